"""A network as an ONNX file that stands alone, for Triton's ONNX Runtime backend and whatever else runs ONNX."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch

from modeling.command import InputError
from modeling.comparison import noise
from modeling.facts import ModelFacts
from modeling.servable import InputForm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from modeling.servable import Servable

INPUT, OUTPUT = "INPUT__0", "OUTPUT__0"
OPSET = 21  # the newest that ONNX Runtime 1.19 loads, which Triton 24.10 has; newer ones load it as well
_FACTS_KEY = "coordserve"
_FORMS = {"tensor(uint8)": InputForm.UINT8, "tensor(float)": InputForm.FLOAT32}


def save_onnx(servable: Servable, facts: ModelFacts, path: Path) -> None:
    """Write a servable network, for batches of any size, with its facts in the file's metadata.

    Raises:
        InputError: The packages that this takes are not installed.
    """
    _require("onnx", "onnxruntime", "onnxscript")
    example = servable.form.from_pixels(noise(2, facts.size))
    with _quiet():
        program = torch.onnx.export(
            servable,
            (example,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
    assert program is not None  # noqa: S101 - for the type checker: the older exporter returns nothing
    program.model.metadata_props[_FACTS_KEY] = facts.to_json()
    program.save(str(path), external_data=False)


def load_onnx(path: Path) -> tuple[Callable[[Tensor], Tensor], ModelFacts, InputForm]:
    """Read what `save_onnx` wrote, to be run in ONNX Runtime with as many threads as PyTorch has.

    Raises:
        InputError: The file is not such a file, or ONNX Runtime is not installed.
    """
    session = _session(path)
    facts = session.get_modelmeta().custom_metadata_map.get(_FACTS_KEY)
    form = _FORMS.get(session.get_inputs()[0].type)
    if facts is None or form is None:
        raise InputError(f"{path} was not written by this exporter: it does not say what it takes")

    def run(images: Tensor) -> Tensor:
        (probabilities,) = session.run([OUTPUT], {INPUT: images.contiguous().numpy()})
        return torch.from_numpy(probabilities)

    return run, ModelFacts.from_json(facts), form


def _session(path: Path) -> Any:
    _require("onnxruntime")
    import onnxruntime  # noqa: PLC0415 - only those who export ONNX have it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - each of its codes is an error of its own kind
        reason = str(error).partition("\n")[0]
        raise InputError(f"cannot read {path} as ONNX ({reason})") from None


def _require(*packages: str) -> None:
    """Import what writing or running ONNX takes.

    Raises:
        InputError: It is not installed.
    """
    try:
        for package in packages:
            import_module(package)
    except ImportError as error:
        raise InputError(
            f"ONNX takes packages that are not installed ({error}): pip install 'coordserve[onnx]'"
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter says of itself: that it uses what PyTorch has deprecated, and has no torchvision."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*treespec", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)
