"""Models that are broken or odd, and what `python -m server check` says of them; both servers are asked, too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from tests.torchscript_models import save_module

if TYPE_CHECKING:
    from pathlib import Path

# Nothing is wrong in it, and nothing surprises. Tests count its lines.
CLEAN = """platform: "pytorch_libtorch"
max_batch_size: 2
input [ { name: "INPUT__0" data_type: TYPE_UINT8 dims: [ 4, 4, 3 ] } ]
output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 3 ] } ]
dynamic_batching { }
instance_group [ { count: 1 kind: KIND_CPU } ]
parameters { key: "INTRA_OP_THREAD_COUNT" value { string_value: "1" } }
model_warmup { batch_size: 1 inputs { key: "INPUT__0" value { data_type: TYPE_UINT8 dims: [ 4, 4, 3 ] zero_data: true } } }
model_warmup { batch_size: 2 inputs { key: "INPUT__0" value { data_type: TYPE_UINT8 dims: [ 4, 4, 3 ] zero_data: true } } }
"""  # noqa: E501 - one line each


class Colours(torch.nn.Module):
    """Three classes: the means of the colours."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """[N, H, W, 3] uint8 -> [N, 3] float32."""
        return image.float().mean([1, 2])


class Lonely(torch.nn.Module):
    """The same for one image alone."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """[1, 4, 4, 3] uint8 -> [1, 3] float32."""
        return image.reshape(1, 4, 4, 3).float().mean([1, 2])


_MODULES = {"colours": Colours(), "lonely": Lonely()}


@dataclass(frozen=True)
class Odd:
    """A model: the clean one, with the text `old` in its config.pbtxt changed to `new`, and `added` as the tenth line.

    `findings` are the beginnings of all lines that check writes, without the model's directory. `versions` are names of
    directories with the module `module` each; "" is none and "text" a file that is no module. `files` lie beside
    config.pbtxt. `asked`: whether the real Triton is asked, which some of them crash. A
    `cold` model has no model_warmup.
    """

    name: str
    findings: tuple[str, ...]
    old: str = ""
    new: str = ""
    added: str = ""
    versions: tuple[str, ...] = ("1",)
    module: str = "colours"
    files: dict[str, bytes] = field(default_factory=dict)
    asked: bool = True
    cold: bool = False

    def write(self, repository: Path) -> Path:
        """Write it below `repository`; returns its directory."""
        assert self.old in CLEAN
        directory = repository / self.name
        directory.mkdir(parents=True)
        text = CLEAN.replace(self.old, self.new) if self.old else CLEAN
        if self.cold:
            text = text.partition("model_warmup")[0]
        directory.joinpath("config.pbtxt").write_text(text + self.added, encoding="utf-8")
        for file, data in self.files.items():
            directory.joinpath(file).write_bytes(data)
        for version in self.versions:
            self._write_version(directory / version)
        return directory

    def _write_version(self, directory: Path) -> None:
        directory.mkdir()
        if self.module == "text":
            directory.joinpath("model.pt").write_text("no module")
        elif self.module:
            save_module(_MODULES[self.module], directory / "model.pt")


def _both(name: str, line: int, text: str, old: str = "", new: str = "", added: str = "") -> Odd:
    """A model that neither server takes."""
    return Odd(name, (f"config.pbtxt:{line}: error: [both] {text}",), old, new, added)


def _warm_up(dims: str) -> str:
    return f'model_warmup {{ batch_size: 1 inputs {{ key: "INPUT__0" value {{ {dims} zero_data: true }} }} }}'


_DIMS, _OUTPUT_DIMS, _BATCHING, _KIND = "dims: [ 4, 4, 3 ] }", "dims: [ 3 ]", "dynamic_batching { }", "kind: KIND_CPU"
_LABELLED = 'dims: [ 3 ] label_filename: "labels.txt"'
_PASSED_OVER = "1: warning: [both] the name is no whole number without leading zeros"
_NO_VERSION = "config.pbtxt:1: error: [both] no version directory that the version policy allows"
_SECOND_INPUT = 'input [ { name: "INPUT__1" data_type: TYPE_UINT8 dims: [ 4, 4, 3 ] },'
_COLD = "config.pbtxt:1: warning: [triton] model_warmup has no batch size 1, 2"
_UNTRIED = "(Triton tries a model in model_warmup alone"

FINE = (
    Odd("clean", ()),
    Odd(
        "override",
        ("config.pbtxt:5: warning: [both] allow_timeout_override has no effect",),
        _BATCHING,
        "dynamic_batching { default_queue_policy { allow_timeout_override: true } }",
    ),
    Odd(
        "some_versions",
        ("config.pbtxt:10: warning: [both] version_policy names version 7, for which there is no directory",),
        added="version_policy { specific { versions: [ 1, 7 ] } }",
    ),
    Odd(
        "labels",
        (
            "labels.txt:2: warning: [both] class 1 has an empty label",
            "labels.txt:4: warning: [both] 4 labels for an output of 3 classes",
        ),
        _OUTPUT_DIMS,
        _LABELLED,
        files={"labels.txt": b"red\n\nblue\nwhite\n"},
    ),
    Odd(
        "names",
        ("config.pbtxt:4: warning: [both] the outputs' names have the indices [1], not 0 to 0",),
        "OUTPUT__0",
        "OUTPUT__1",
    ),
)

# Errors of one server alone, of inputs that both miss in their own ways, and of warm-ups.
DIFFERENT = (
    Odd(
        "no_platform",
        ('config.pbtxt:1: error: [coordserve] platform: "pytorch_libtorch" is missing',),
        'platform: "pytorch_libtorch"',
    ),
    Odd(
        "variable",
        ('config.pbtxt:3: error: [coordserve] input "INPUT__0": dims must all be given and positive',),
        _DIMS,
        "dims: [ -1, 4, 3 ] }",
    ),
    Odd(
        "output_type",
        (
            _COLD,
            f"config.pbtxt:4: error: [coordserve] output OUTPUT__0 of the model has type torch.float32, *{_UNTRIED}",
        ),
        "TYPE_FP32",
        "TYPE_FP16",
        cold=True,
    ),
    Odd(
        "batches",
        (_COLD, f"config.pbtxt:3: error: [coordserve] the module fails on a batch of zeros*{_UNTRIED}"),
        module="lonely",
        cold=True,
    ),
    Odd(
        "output_dims",
        (f"config.pbtxt:4: error: [coordserve] output OUTPUT__0 of the model has shape [1, 3], *{_UNTRIED}",),
        _OUTPUT_DIMS,
        "dims: [ 5 ]",
    ),
    Odd(
        "inputs",
        (
            "config.pbtxt:3: error: [coordserve] the module takes 1 inputs, config.pbtxt has 2",
            "config.pbtxt:3: warning: [triton] the module takes 1 inputs, config.pbtxt has 2",
            "config.pbtxt:8: error: [both] model_warmup has no input INPUT__1",
            "config.pbtxt:9: error: [both] model_warmup has no input INPUT__1",
        ),
        "input [",
        _SECOND_INPUT,
    ),
    Odd(
        "twice",
        (
            'config.pbtxt:4: error: [coordserve] output "OUTPUT__0" is there more than once',
            "config.pbtxt:4: warning: [both] the outputs' names have the indices [0, 0], not 0 to 1",
            'config.pbtxt:4: warning: [triton] a second output has the name "OUTPUT__0"',
        ),
        "output [",
        'output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 3 ] },',
    ),
    Odd(
        "labels_outside",
        ('config.pbtxt:4: error: [coordserve] file name "../labels_outside/labels.txt" leads out',),
        _OUTPUT_DIMS,
        'dims: [ 3 ] label_filename: "../labels_outside/labels.txt"',
        files={"labels.txt": b"red\ngreen\nblue\n"},
    ),
    Odd(
        "version_0",
        (
            "0:1: warning: [coordserve] the name is no whole number without leading zeros",
            "config.pbtxt:1: error: [coordserve] no version directory that the version policy allows",
        ),
        versions=("0",),
    ),
    Odd(
        "crop",
        ("config.pbtxt:10: error: [coordserve] parameter CROP_FRACTION must be above 0 and at most 1",),
        added='parameters { key: "CROP_FRACTION" value { string_value: "3" } }',
    ),
    Odd("latest_0", ("config.pbtxt:10: error: [triton] no version",), added="version_policy { latest { } }"),
    Odd(
        "preferred",
        (
            "config.pbtxt:5: error: [triton] preferred_batch_size 8 is not between 1 and max_batch_size, 2",
            "config.pbtxt:5: warning: [coordserve] dynamic_batching.preferred_batch_size has no effect here",
        ),
        _BATCHING,
        "dynamic_batching { preferred_batch_size: [ 2, 8 ] }",
    ),
    Odd(
        "priorities",
        (
            "config.pbtxt:5: error: [triton] default_priority_level must be from 1 to priority_levels, 2",
            "config.pbtxt:5: warning: [coordserve] dynamic_batching.priority_levels has no effect here",
            "config.pbtxt:5: warning: [triton] priority_levels turns off",
        ),
        _BATCHING,
        "dynamic_batching { priority_levels: 2 }",
    ),
    Odd(
        "ordered",
        (
            "config.pbtxt:5: error: [triton] preserve_ordering allows one priority level",
            "config.pbtxt:5: warning: [coordserve] dynamic_batching.preserve_ordering has no effect here",
            "config.pbtxt:5: warning: [coordserve] dynamic_batching.priority_levels has no effect here",
            "config.pbtxt:5: warning: [coordserve] dynamic_batching.default_priority_level has no effect here",
            "config.pbtxt:5: warning: [triton] priority_levels turns off",
        ),
        _BATCHING,
        "dynamic_batching { preserve_ordering: true priority_levels: 2 default_priority_level: 1 }",
    ),
    Odd(
        "delayed",
        (
            "config.pbtxt:5: error: [triton] preserve_ordering does not allow the timeout_action DELAY",
            "config.pbtxt:5: warning: [coordserve] dynamic_batching.preserve_ordering has no effect here",
            "config.pbtxt:5: warning: [coordserve] dynamic_batching.default_queue_policy.timeout_action has no effect",
            "config.pbtxt:5: warning: [triton] default_timeout_microseconds turns off",
        ),
        _BATCHING,
        "dynamic_batching { preserve_ordering: true"
        " default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 9 } }",
    ),
    Odd(
        "level",
        (
            "config.pbtxt:5: error: [triton] priority_queue_policy must be for a level from 1 to 2",
            "config.pbtxt:5: warning: [coordserve] dynamic_batching.priority_levels has no effect here",
            "config.pbtxt:5: warning: [coordserve] dynamic_batching.default_priority_level has no effect here",
            "config.pbtxt:5: warning: [coordserve] dynamic_batching.priority_queue_policy has no effect here",
            "config.pbtxt:5: warning: [triton] priority_levels turns off",
        ),
        _BATCHING,
        "dynamic_batching { priority_levels: 2 default_priority_level: 1 priority_queue_policy { key: 3 value { } } }",
    ),
    Odd(
        "unsigned",
        ('config.pbtxt:3: error: [triton] input "INPUT__0": PyTorch models have no data type TYPE_UINT16',),
        "TYPE_UINT8",
        "TYPE_UINT16",
    ),
    Odd(
        "gpu",
        (
            "config.pbtxt:6: error: [coordserve] instance_group: only KIND_CPU and KIND_AUTO can be served here",
            "config.pbtxt:6: warning: [triton] KIND_GPU: Triton loads it only where there is a GPU",
        ),
        _KIND,
        "kind: KIND_GPU",
        asked=False,  # it depends on the machine
    ),
    Odd(
        "gpus",
        (
            "config.pbtxt:6: error: [triton] instances of KIND_CPU take no gpus",
            "config.pbtxt:6: warning: [coordserve] instance_group.gpus has no effect here",
        ),
        _KIND,
        "kind: KIND_CPU gpus: [ 0 ]",
    ),
    Odd(
        "profile",
        (
            "config.pbtxt:6: error: [triton] only TensorRT models have a profile",
            "config.pbtxt:6: warning: [coordserve] instance_group.profile has no effect here",
        ),
        _KIND,
        'kind: KIND_CPU profile: "0"',
    ),
    Odd(
        "reshape",
        (
            'config.pbtxt:3: error: [triton] input "INPUT__0": reshape has another size than dims',
            "config.pbtxt:3: warning: [coordserve] input.reshape.shape has no effect here",
        ),
        _DIMS,
        "dims: [ 4, 4, 3 ] reshape { shape: [ 47 ] } }",
    ),
    Odd(
        "format",
        (
            'config.pbtxt:3: error: [both] input "INPUT__0": the format is one of images',
            'config.pbtxt:8: error: [both] model_warmup: input "INPUT__0" has dims [1, 4, 4, 3]',
            'config.pbtxt:9: error: [both] model_warmup: input "INPUT__0" has dims [1, 4, 4, 3]',
        ),
        "data_type: TYPE_UINT8 dims: [ 4, 4, 3 ] }",
        "data_type: TYPE_UINT8 format: FORMAT_NHWC dims: [ 1, 4, 4, 3 ] }",
    ),
    Odd(
        "shape_tensor",
        (
            "config.pbtxt:3: error: [triton] only TensorRT models have shape tensors",
            "config.pbtxt:3: warning: [coordserve] input.is_shape_tensor has no effect here",
        ),
        _DIMS,
        "dims: [ 4, 4, 3 ] is_shape_tensor: true }",
    ),
    Odd(
        "runtime",
        (
            'config.pbtxt:10: error: [triton] runtime "mine.so" is no library',
            "config.pbtxt:10: warning: [coordserve] runtime has no effect here",
        ),
        added='runtime: "mine.so"',
    ),
    Odd(
        "warm_type",
        ('config.pbtxt:10: error: [both] model_warmup: input "INPUT__0" has TYPE_UINT8',),
        added=_warm_up("data_type: TYPE_FP32 dims: [ 4, 4, 3 ]"),
    ),
    Odd(
        "warm_dims",
        ('config.pbtxt:10: error: [both] model_warmup: input "INPUT__0" has dims [4, 4, 3]',),
        added=_warm_up("data_type: TYPE_UINT8 dims: [ 4, 4 ]"),
    ),
    Odd(
        "warm_name",
        ("config.pbtxt:10: error: [both] model_warmup has no input INPUT__0",),
        added=_warm_up("data_type: TYPE_UINT8 dims: [ 4, 4, 3 ]").replace("INPUT__0", "OTHER"),
    ),
    Odd(
        "warm_file",
        ('config.pbtxt:10: error: [both] model_warmup: input "INPUT__0" needs a file "warmup/pixels"',),
        added=_warm_up("data_type: TYPE_UINT8 dims: [ 4, 4, 3 ]").replace(
            "zero_data: true", 'input_data_file: "pixels"'
        ),
    ),
    Odd(
        "warm_size",
        ("config.pbtxt:10: error: [both] model_warmup has batch_size 3, which is above max_batch_size",),
        added=_warm_up("data_type: TYPE_UINT8 dims: [ 4, 4, 3 ]").replace("batch_size: 1", "batch_size: 3"),
        asked=False,  # Triton crashes
    ),
)

# Errors for both servers.
BROKEN = (
    _both("syntax", 10, "'}': Expected identifier", added="}"),
    _both("unknown", 10, 'Message type "inference.ModelConfig" has no field named "speed"', added="speed: 9"),
    _both(
        "scalar_twice", 10, 'Message type "inference.ModelConfig" should not have multiple', added="max_batch_size: 2"
    ),
    _both("wrong_name", 10, 'name is "other", but the directory is "wrong_name"', added='name: "other"'),
    _both("platform", 1, 'platform "other" is not served here', "pytorch_libtorch", "other"),
    _both("backend", 1, 'backend "other" is not served here', 'platform: "pytorch_libtorch"', 'backend: "other"'),
    _both("negative", 2, "max_batch_size must be 0 or more", "max_batch_size: 2", "max_batch_size: -1"),
    _both("no_type", 3, 'input "INPUT__0": data type INVALID cannot be served', "data_type: TYPE_UINT8", ""),
    _both("string", 3, 'input "INPUT__0": data type STRING cannot be served', "TYPE_UINT8", "TYPE_STRING"),
    _both("no_dims", 4, 'output "OUTPUT__0": dims must all be given', _OUTPUT_DIMS, ""),
    _both("no_labels", 4, 'label_filename "labels.txt" cannot be read', _OUTPUT_DIMS, _LABELLED),
    _both("threads", 7, "parameter INTRA_OP_THREAD_COUNT must be a whole number", '"1"', '"0"'),
    Odd(
        "other_version",
        (
            "config.pbtxt:10: error: [both] no version directory that the version policy allows",
            "config.pbtxt:10: warning: [both] version_policy names version 7",
        ),
        added="version_policy { specific { versions: [ 7 ] } }",
    ),
    Odd(
        "nameless",
        (_COLD, "config.pbtxt:3: error: [both] an input has no name"),
        'name: "INPUT__0" ',
        cold=True,
    ),
    Odd(
        "no_output",
        (
            "config.pbtxt:1: error: [triton] at least one output is needed",
            "config.pbtxt:3: error: [coordserve] at least one input and one output are needed",
        ),
        'output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 3 ] } ]',
    ),
    Odd("no_version", (_NO_VERSION,), versions=()),
    Odd("leading_zero", (f"01:{_PASSED_OVER}", _NO_VERSION), versions=("01",)),
    Odd("no_number", (_NO_VERSION, f"one:{_PASSED_OVER}"), versions=("one",)),
    Odd("no_file", ("1/model.pt:1: error: [both] there is no such file",), module=""),
    Odd("text", ("1/model.pt:1: error: [both] the file is no TorchScript module",), module="text"),
)
ODD = (*FINE, *DIFFERENT, *BROKEN)
