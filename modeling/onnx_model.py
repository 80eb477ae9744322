"""A network as an ONNX file that stands alone, for Triton's ONNX Runtime backend and whatever else runs ONNX."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from modeling.command import InputError
from modeling.comparison import noise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from modeling.facts import ModelFacts
    from modeling.servable import Servable

INPUT, OUTPUT = "INPUT__0", "OUTPUT__0"
OPSET = 21  # the newest that ONNX Runtime 1.19 loads, which Triton 24.10 has; newer ones load it as well
_FACTS_KEY = "coordserve"


def save_onnx(servable: Servable, facts: ModelFacts, path: Path) -> None:
    """Write a servable network, for batches of any size, with its facts in the file's metadata.

    Raises:
        InputError: The packages that this takes are not installed.
    """
    require_onnx()
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


def load_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    """Return what runs the file in ONNX Runtime, with one thread."""
    require_onnx()
    import onnxruntime  # noqa: PLC0415 - only those who export ONNX have it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        (probabilities,) = session.run([OUTPUT], {INPUT: images.contiguous().numpy()})
        return torch.from_numpy(probabilities)

    return run


def require_onnx() -> None:
    """Import what writing and running ONNX takes.

    Raises:
        InputError: It is not installed.
    """
    try:
        import onnx  # noqa: F401, PLC0415 - only those who export ONNX have it
        import onnxruntime  # noqa: F401, PLC0415
        import onnxscript  # noqa: F401, PLC0415
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
