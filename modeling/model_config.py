"""`config.pbtxt`, the one source of a served model's facts, in Triton's text format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modeling.servable import InputForm

if TYPE_CHECKING:
    from modeling.facts import ModelFacts

_UINT8_INPUT = """\
# Pixels as an image decoder gives them, RGB: the module normalises them itself, so a client knows no mean and no
# deviation and sends a quarter of the bytes that float32 takes.
input [
  {{
    name: "INPUT__0"
    data_type: TYPE_UINT8
    dims: [ {size}, {size}, 3 ]
  }}
]"""

_FLOAT32_INPUT = """\
# RGB between 0 and 1; the module subtracts the mean and divides by the deviation itself.
input [
  {{
    name: "INPUT__0"
    data_type: TYPE_FP32
    format: FORMAT_NCHW
    dims: [ 3, {size}, {size} ]
  }}
]"""

_CONFIG = """\
name: "{name}"
platform: "pytorch_libtorch"
max_batch_size: {max_batch_size}
{input}
# Probabilities: the softmax is inside.
output [
  {{
    name: "OUTPUT__0"
    data_type: TYPE_FP32
    dims: [ {classes} ]
    label_filename: "labels.txt"
  }}
]
# What waits is batched at once; a queue delay would make a lone request wait for company.
dynamic_batching {{ }}
# No count: the server knows how many cores it has.
instance_group [ {{ kind: KIND_CPU }} ]
# The part of the shorter side that the centre crop keeps, for clients that send pixels to prepare them as in training.
parameters {{
  key: "CROP_FRACTION"
  value: {{ string_value: "{crop_fraction}" }}
}}
"""


def model_config(name: str, facts: ModelFacts, form: InputForm, max_batch_size: int) -> str:
    """Return the text of a model's `config.pbtxt`.

    Args:
        name: The model's name and folder.
        facts: Its classes, size and crop.
        form: What its module takes.
        max_batch_size: The most images in one batch.
    """
    template = _UINT8_INPUT if form is InputForm.UINT8 else _FLOAT32_INPUT
    return _CONFIG.format(
        name=name,
        max_batch_size=max_batch_size,
        input=template.format(size=facts.size),
        classes=len(facts.classes),
        crop_fraction=facts.crop_fraction,
    )
