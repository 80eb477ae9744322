"""The ensemble around a network that takes encoded images, so that clients need not decode them.

Two directories beside the network's: the step that decodes, in Python, and the ensemble that joins the two. See
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/ensemble_models.html
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modeling.servable import InputForm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modeling.facts import ModelFacts

STEP = Path(__file__).with_name("decode_image_model.py")

_DECODE = """\
# Encoded images, one to an element, to what {network} takes; 1/model.py says what it needs.
name: "{decode}"
backend: "python"
max_batch_size: {max_batch_size}
input [
  {{
    name: "IMAGE"
    data_type: TYPE_STRING
    dims: [ 1 ]
  }}
]
output [
  {{
    name: "PIXELS"
    data_type: {data_type}
    dims: [ {dims} ]
  }}
]
dynamic_batching {{ }}
# No count: the server knows how many cores it has.
instance_group [ {{ kind: KIND_CPU }} ]
parameters {{
  key: "CROP_FRACTION"
  value: {{ string_value: "{crop_fraction}" }}
}}
"""

_ENSEMBLE = """\
# {network} for clients that send encoded images: JPEG, PNG, WebP or GIF, one to an element.
name: "{ensemble}"
platform: "ensemble"
max_batch_size: {max_batch_size}
input [
  {{
    name: "IMAGE"
    data_type: TYPE_STRING
    dims: [ 1 ]
  }}
]
output [
  {{
    name: "PROBABILITIES"
    data_type: TYPE_FP32
    dims: [ {classes} ]
    label_filename: "labels.txt"
  }}
]
ensemble_scheduling {{
  step [
    {{
      model_name: "{decode}"
      model_version: -1
      input_map {{ key: "IMAGE" value: "IMAGE" }}
      output_map {{ key: "PIXELS" value: "pixels" }}
    }},
    {{
      model_name: "{network}"
      model_version: -1
      input_map {{ key: "INPUT__0" value: "pixels" }}
      output_map {{ key: "OUTPUT__0" value: "PROBABILITIES" }}
    }}
  ]
}}
"""


def decoder_name(ensemble: str) -> str:
    """Return the name of an ensemble's step that decodes: `classify_NAME` decodes by `decode_NAME`."""
    return f"decode_{ensemble.removeprefix('classify_')}"


def ensemble_files(
    ensemble: str, network: str, facts: ModelFacts, form: InputForm, max_batch_size: int
) -> Iterator[tuple[str, bytes]]:
    """Yield each file of the two directories: its path in the repository, and its content.

    Triton wants a version's directory for an ensemble, too: an empty file keeps it.

    Args:
        ensemble: The ensemble's name.
        network: The network's name.
        facts: Its classes, size and crop.
        form: What it takes.
        max_batch_size: The most images in one batch.
    """
    values = {
        "ensemble": ensemble,
        "decode": decoder_name(ensemble),
        "network": network,
        "max_batch_size": max_batch_size,
        "data_type": "TYPE_UINT8" if form is InputForm.UINT8 else "TYPE_FP32",
        "dims": ", ".join(map(str, form.shape(facts.size))),
        "classes": len(facts.classes),
        "crop_fraction": facts.crop_fraction,
    }
    labels = "".join(f"{label}\n" for label in facts.classes)
    yield f"{values['decode']}/1/model.py", STEP.read_bytes()
    yield f"{values['decode']}/config.pbtxt", _DECODE.format(**values).encode()
    yield f"{ensemble}/1/.keep", b""
    yield f"{ensemble}/labels.txt", labels.encode()
    yield f"{ensemble}/config.pbtxt", _ENSEMBLE.format(**values).encode()
