"""A temperature makes probabilities what they say."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from modeling.calibration import fit_temperature, measure_calibration
from modeling.command import InputError


def drawn(temperature: float, count: int = 20_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw logits, and labels as likely as the logits divided by a temperature say."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(count, 5, generator=generator, dtype=torch.float64) * 3
    labels = (logits / temperature).softmax(dim=1).multinomial(1, generator=generator)[:, 0]
    return logits, labels


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_known_temperature(temperature: float) -> None:
    """Of labels that were drawn at a temperature that one is found again, and it takes the error away."""
    logits, labels = drawn(temperature)
    found = fit_temperature(logits, labels)

    assert found == pytest.approx(temperature, rel=0.05)
    assert measure_calibration(logits, labels, found).error < 0.01


@pytest.mark.parametrize("temperature", [0.3, 4.0])
def test_least_loss(temperature: float) -> None:
    """No other temperature makes the labels likelier."""
    logits, labels = drawn(temperature, 500)
    found = fit_temperature(logits, labels)
    least = measure_calibration(logits, labels, found).likelihood_loss

    for other in (found * 0.99, found * 1.01, found / 3, found * 3):
        assert measure_calibration(logits, labels, other).likelihood_loss > least


def test_logits_may_be_shifted() -> None:
    """What is added to all logits of an image, however much, changes nothing."""
    logits, labels = drawn(2.0, 500)

    assert fit_temperature(logits + 1e4, labels) == pytest.approx(fit_temperature(logits, labels), rel=1e-6)


def test_measures() -> None:
    """The error is that of the more probable class, and the loss that of the right one, in nats."""
    odds = torch.tensor([[4.0, 1.0]] * 10, dtype=torch.float64)
    labels = torch.tensor([0] * 5 + [1] * 5)
    measured = measure_calibration(odds.log(), labels, 1.0)

    assert measured.error == pytest.approx(0.8 - 0.5)
    assert measured.likelihood_loss == pytest.approx(float(functional.cross_entropy(odds.log(), labels)))
    assert measure_calibration(odds.log() * 7, labels, 7.0).error == pytest.approx(0.3)


def test_nothing_to_fit() -> None:
    """Where all images are classified right no temperature is too low, and where labels contradict none too high."""
    logits, _ = drawn(1.0, 50)

    with pytest.raises(InputError, match="all 50 images to fit to are classified right"):
        fit_temperature(logits, logits.argmax(dim=1))
    with pytest.raises(InputError, match="no better than chance"):
        fit_temperature(logits, logits.argmin(dim=1))
    with pytest.raises(InputError, match="not finite"):
        fit_temperature(logits * torch.nan, logits.argmin(dim=1))
