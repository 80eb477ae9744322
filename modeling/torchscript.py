"""A network as a TorchScript file that stands alone."""

from __future__ import annotations

import io
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING
from zipfile import ZipFile

import torch

from modeling.command import InputError
from modeling.comparison import noise
from modeling.facts import ModelFacts
from modeling.servable import InputForm, Servable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

_FACTS_FILE = "coordserve.json"  # inside the module's archive
_FORM_FILE = "coordserve.input"


def save_torchscript(servable: Servable, facts: ModelFacts, path: Path) -> None:
    """Trace and freeze a servable network (which folds its batch normalisation) and write it, with its facts inside."""
    example = servable.form.from_pixels(noise(2, facts.size))
    with torch.inference_mode(), _torchscript():
        traced = torch.jit.trace(servable, example, check_trace=False)  # type: ignore[no-untyped-call]
        frozen = torch.jit.freeze(traced)
        extra = {_FACTS_FILE: facts.to_json(), _FORM_FILE: servable.form.value}
        content = io.BytesIO()  # written to the disk itself, PyTorch would not say that it is full
        torch.jit.save(frozen, content, _extra_files=extra)
    path.write_bytes(content.getbuffer())


def is_torchscript(path: Path) -> bool:
    """Tell whether a file is a TorchScript module, and not a state dict, which is a zip archive under `.pt`, too."""
    try:
        with ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except Exception:  # noqa: BLE001 - zipfile has errors of many kinds for damaged archives, which are no modules
        return False


def load_torchscript(path: Path) -> tuple[Callable[[Tensor], Tensor], ModelFacts, InputForm]:
    """Read what `save_torchscript` wrote.

    Raises:
        InputError: The file is not such a file.
    """
    extra = {_FACTS_FILE: "", _FORM_FILE: ""}
    try:
        with _torchscript():
            module = torch.jit.load(str(path), "cpu", extra)  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"cannot read {path} as TorchScript ({reason})") from None
    if not extra[_FACTS_FILE]:
        raise InputError(f"{path} was not written by this exporter: it does not say what it takes")
    try:
        facts, form = (content.decode() if isinstance(content, bytes) else content for content in extra.values())
        return module, ModelFacts.from_json(facts), InputForm(form)
    except ValueError as error:
        raise InputError(f"what {path} says of itself cannot be used ({error})") from None


@contextmanager
def _torchscript() -> Iterator[None]:
    """Silence PyTorch's advice to leave TorchScript, which is what Triton's PyTorch backend loads."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        yield
