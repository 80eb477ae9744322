"""A run of training from where it stands to its end, and what it leaves in its folder."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from tqdm import tqdm

from modeling.checkpoint import as_stored, load_strictly, require_finite, save_checkpoint
from modeling.command import INTERRUPTED, InputError
from modeling.evaluation import measure_accuracy
from modeling.files import replacing
from modeling.interruption import interruption
from modeling.run_file import SavedRun, read_run, save_run
from modeling.servable import Servable

if TYPE_CHECKING:
    from pathlib import Path
    from threading import Event

    import torch
    from torch import Tensor, nn

    from modeling.dataset import DataSet
    from modeling.facts import ModelFacts

RUN_FILE = "run.pth"
MODEL_FILE = "model.safetensors"
CURVE_FILE = "curve.csv"


class Training(Protocol):
    """What makes the steps of a run.

    Attributes:
        step: How many were made.
        steps: How many there are.
        steps_per_epoch: ... in each epoch.
    """

    step: int
    steps: int
    steps_per_epoch: int

    @property
    def size(self) -> int:
        """The size at which the network sees the images of the next step, in pixels."""

    @property
    def result(self) -> nn.Module:
        """The network that the run has come to."""

    def size_of_epoch(self, epoch: int) -> int:
        """Return the size, in pixels, at which the network sees the images when an epoch, counted from 0, ends."""

    def train_step(self) -> float:
        """Train on the next batch and return its loss."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that the run needs to go on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""


def refuse_to_overwrite(output: Path, *, resume: bool) -> None:
    """Raise InputError where a folder holds a run that is not to be resumed, or what is left of one."""
    if resume:
        return
    if (output / RUN_FILE).exists():
        raise InputError(f"{output} holds a run already; go on with --resume or give another --output")
    if (output / MODEL_FILE).exists():
        raise InputError(f"{output} holds a model already; give another --output")


def read_saved_run(output: Path, settings: dict[str, Any], *, resume: bool) -> SavedRun | None:
    """Return where the run in a folder stood, if it is to be resumed, see `read_run`."""
    return read_run(output / RUN_FILE, settings) if resume else None


class TrainingRun:
    """A run in its folder: the state to go on with, the model, its facts as JSON, and the accuracy after each epoch.

    Args:
        output: The folder.
        training: Makes the steps.
        facts: Which network it trains.
        settings: What it was started with, which a later command to go on must repeat.
        saved: Where it stood, if it goes on.

    Raises:
        InputError: It is finished, or its state is not that of such a training.
    """

    def __init__(
        self, output: Path, training: Training, facts: ModelFacts, settings: dict[str, Any], saved: SavedRun | None
    ) -> None:
        self._output = output
        self._training = training
        self._facts = facts
        self._settings = settings
        self._measured = True  # whether the last whole epoch was
        if saved:
            saved.restore(training)
            self._measured = saved.measured
        if training.step == training.steps and self._measured:
            raise InputError(f"the run in {output} is finished; its model is {output / MODEL_FILE}")

    def carry_out(self, test: DataSet, device: torch.device) -> int:
        """Train to the end, or until Ctrl-C, and return the command's exit code.

        Args:
            test: Images to measure each epoch with.
            device: Where.
        """
        images = [each.to(device) for each in test.decode(self._facts.size, self._facts.crop_fraction)]
        training = self._training
        self._save()  # from now on the folder holds a run
        with interruption() as stop:
            while training.step < training.steps or not self._measured:
                if stop.is_set():
                    sys.stderr.write(
                        f"stopped after step {training.step} of {training.steps}; --resume goes on from there\n"
                    )
                    return INTERRUPTED
                if self._measured:
                    self._measured = not self._train_epoch(stop)
                else:
                    self._measure_epoch(*images)
                    self._measured = True
                # After each, so that a run which is killed does no more than one of them again.
                self._save()
        _say(f"wrote {self._output / MODEL_FILE}")
        return 0

    @property
    def _epochs(self) -> int:
        return self._training.steps // self._training.steps_per_epoch

    def _save(self) -> None:
        save_run(self._output / RUN_FILE, self._training, self._settings, measured=self._measured)

    def _train_epoch(self, stop: Event) -> bool:
        """Train to the end of the current epoch, or until it is to stop; return whether this was its end."""
        training = self._training
        epoch, done = divmod(training.step, training.steps_per_epoch)
        label = f"epoch {epoch + 1}/{self._epochs}"
        with tqdm(total=training.steps_per_epoch, initial=done, desc=label, unit="step", disable=None) as bar:
            for _ in range(done, training.steps_per_epoch):
                if stop.is_set():
                    return False
                size = training.size
                loss = training.train_step()
                bar.set_postfix(loss=f"{loss:.3f}", size=size, refresh=False)
                bar.update()
        return True

    def _measure_epoch(self, pixels: Tensor, labels: Tensor) -> None:
        """Save the model of the epoch that ended, and tell how good it is."""
        accuracy = self._save_model(pixels, labels)
        epoch = self._training.step // self._training.steps_per_epoch
        _extend_curve(self._output / CURVE_FILE, epoch, self._training.size_of_epoch(epoch - 1), accuracy)
        _say(f"epoch {epoch}/{self._epochs}: top-1 {accuracy:.2%} of {len(labels)} images")

    def _save_model(self, pixels: Tensor, labels: Tensor) -> float:
        """Save the weights with their accuracy, measured in the precision that is saved.

        Raises:
            InputError: They are not finite in that precision; what was saved before stays.
        """
        facts = self._facts
        state = as_stored({name: tensor.cpu() for name, tensor in self._training.result.state_dict().items()})
        require_finite(state, f"the network after step {self._training.step}")
        network = facts.build()
        load_strictly(network, state)
        accuracy = measure_accuracy(Servable(network, facts).to(pixels.device), pixels, labels)
        measured = replace(facts, accuracy=accuracy, accuracy_images=len(labels))
        save_checkpoint(self._output / MODEL_FILE, state, measured)
        return accuracy


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _extend_curve(path: Path, epoch: int, size: int, accuracy: float) -> None:
    """Add what an epoch, counted from 1, came to; what a run says of it or of later ones from before is replaced."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
        earlier = [line for line in lines if int(line.partition(",")[0]) < epoch]
    except ValueError:
        raise InputError(f"{path} is not the curve of a run; move it away and go on with --resume") from None
    text = "\n".join(["epoch,size,accuracy", *earlier, f"{epoch},{size},{accuracy:.4f}", ""])
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
