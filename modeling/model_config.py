"""`config.pbtxt`, the one source of a served model's facts, in Triton's text format.

How many instances? That depends on the machine, which a repository does not know: it is exported on one, or into an
image, and served on others. So no count is written unless the caller gives one, and each server fills the machine in
its own way: this project's with an instance of one thread for each core, Triton with one instance whose passes use all
cores. Several instances of one thread get more through; whoever serves with Triton, and knows the machine, gives their
number, and then each has one thread under both servers. Of an ONNX model Triton alone is the server, and would run two
instances: there the one is written.

Which batch sizes are run before the model is ready? This project's server chooses them itself; Triton knows none but
those that are written: the first ones, which most batches have, and beyond them two to an octave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modeling.model_format import ModelFormat
from modeling.servable import InputForm, Precision

if TYPE_CHECKING:
    from modeling.facts import ModelFacts

_UINT8_INPUT = """\
# Pixels as an image decoder gives them, RGB: the module normalises them itself, so a client knows no mean and no
# deviation and sends a quarter of the bytes that float32 takes.
input [
  {{
    name: "INPUT__0"
    data_type: TYPE_UINT8
    dims: [ {dims} ]
  }}
]"""

_FLOAT32_INPUT = """\
# RGB between 0 and 1; the module subtracts the mean and divides by the deviation itself.
input [
  {{
    name: "INPUT__0"
    data_type: TYPE_FP32
    format: FORMAT_NCHW
    dims: [ {dims} ]
  }}
]"""

_CONFIG = """\
name: "{name}"
platform: "{platform}"
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
{instances}
# The part of the shorter side that the centre crop keeps, for clients that send pixels to prepare them as in training.
parameters {{
  key: "CROP_FRACTION"
  value: {{ string_value: "{crop_fraction}" }}
}}
# Run once before the model is ready; the first, thrice, is an engine's time to optimise the module.
{warm_ups}
"""
_NO_COUNT = """\
# No count: each server knows how many cores it has.
instance_group [ {{ kind: KIND_CPU }} ]"""
_ONE = """\
# Without a count Triton runs two of an ONNX model, and each takes all cores.
instance_group [ {{ kind: KIND_CPU count: 1 }} ]"""
_COUNT = """\
# As many executions at a time, with one thread each.
instance_group [ {{ kind: KIND_CPU count: {count} }} ]
parameters {{
  key: "{threads_parameter}"
  value: {{ string_value: "1" }}
}}"""
_WARM_UP = (
    'model_warmup {{ name: "{size}" batch_size: {size} count: {count} '
    'inputs {{ key: "INPUT__0" value {{ data_type: {data_type} dims: [ {dims} ] zero_data: true }} }} }}'
)
_DATA_TYPES = {InputForm.UINT8: "TYPE_UINT8", InputForm.FLOAT32: "TYPE_FP32"}
_EACH_SIZE = 8


@dataclass(frozen=True, slots=True)
class Serving:
    """How a model is to be served.

    Attributes:
        form: What its module takes.
        precision: What it computes in.
        max_batch_size: The most images in one batch.
        instances: How many batches are executed at a time; None leaves that to the server.
        format: What its file is.
    """

    form: InputForm = InputForm.UINT8
    precision: Precision = Precision.FP32
    max_batch_size: int = 8
    instances: int | None = None
    format: ModelFormat = ModelFormat.TORCHSCRIPT


def model_config(name: str, facts: ModelFacts, serving: Serving) -> str:
    """Return the text of a model's `config.pbtxt`.

    Args:
        name: The model's name and folder.
        facts: Its classes, size and crop.
        serving: How it is served.
    """
    template = _UINT8_INPUT if serving.form is InputForm.UINT8 else _FLOAT32_INPUT
    dims = ", ".join(map(str, serving.form.shape(facts.size)))
    return _CONFIG.format(
        name=name,
        platform=serving.format.platform,
        max_batch_size=serving.max_batch_size,
        input=template.format(dims=dims),
        classes=len(facts.classes),
        instances=_instances(serving),
        crop_fraction=facts.crop_fraction,
        warm_ups="\n".join(
            _WARM_UP.format(size=size, count=3 if size == 1 else 1, data_type=_DATA_TYPES[serving.form], dims=dims)
            for size in warm_sizes(serving.max_batch_size)
        ),
    )


def _instances(serving: Serving) -> str:
    if serving.instances is None:
        return (_ONE if serving.format is ModelFormat.ONNX else _NO_COUNT).format()
    return _COUNT.format(count=serving.instances, threads_parameter=serving.format.threads_parameter)


def warm_sizes(max_batch_size: int) -> list[int]:
    """The batch sizes to warm up, ascending: 1 to 8, 12, 16, 24, 32, ..., and the largest."""
    octaves = {factor << shift for factor in (2, 3) for shift in range(max_batch_size.bit_length())}
    sizes = range(1, max_batch_size + 1)
    return [size for size in sizes if size <= _EACH_SIZE or size in octaves or size == max_batch_size]
