"""Ensembles and models in Python under a real Triton and this server: alike, but for what is written down."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest

from proto import classifier_pb2, classifier_pb2_grpc
from tests.parity import ensemble_models
from tests.parity.answers import TIMEOUT_SECONDS, ask, output_values
from tests.parity.comparison import answered_otherwise, difference, fail_if, model_counts, wait_until_unloaded
from tests.parity.conftest import side_by_side
from tests.parity.ensemble_cases import (
    ENSEMBLE_CASES,
    ENSEMBLE_CONTROL,
    ENSEMBLE_MOVEMENTS,
    ask_ensemble,
    photograph,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tritonclient.grpc import service_pb2 as pb

    from tests.parity.cases import Case
    from tests.parity.conftest import Pair, Server

MODELS = ("classify_image", "decode_image", "network")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both servers, told to load the outermost ensemble and the echo, and nothing of what they need for it."""
    repository = tmp_path_factory.mktemp("ensembles")
    ensemble_models.write_repository(repository)
    flags = ["--model-control-mode=explicit", "--load-model=outer", "--load-model=echo"]
    with side_by_side(repository, flags, flags) as pair:
        yield pair


@pytest.mark.parametrize("case", ENSEMBLE_CASES, ids=lambda case: case.name)
def test_both_answer_alike(pair: Pair, case: Case) -> None:
    """One request gets one answer, whichever server it reaches."""
    fail_if(answered_otherwise(pair, case))


def test_encoded_images_get_the_classifiers_answers(pair: Pair) -> None:
    """The ensemble under either server gives the probabilities that `Classifier` gives for the same files."""
    pictures = [photograph(seed, kind) for seed, kind in enumerate(("PNG", "JPEG", "WEBP", "GIF"))]
    with grpc.insecure_channel(pair.ours.process.grpc_address) as channel:
        request = classifier_pb2.ClassifyRequest(images=pictures, model_name="network", top_k=5)
        results = classifier_pb2_grpc.ClassifierStub(channel).Classify(request, timeout=TIMEOUT_SECONDS).results
    expected = [[each.probability for each in sorted(result.classes, key=lambda c: c.index)] for result in results]
    assert len(expected) == 4
    for server in (pair.triton, pair.ours):
        response = server.inference.ModelInfer(ask_ensemble(*pictures), timeout=TIMEOUT_SECONDS)
        np.testing.assert_allclose(output_values(response), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ENSEMBLE_MOVEMENTS)
def test_counts_move_alike(pair: Pair, name: str) -> None:
    """A request moves the counts of the ensemble and of the models of its steps."""
    theirs, ours = (_movement(server, ENSEMBLE_MOVEMENTS[name]) for server in (pair.triton, pair.ours))
    fail_if(difference(name, theirs, ours))


def _movement(server: Server, requests: Sequence[pb.ModelInferRequest]) -> str:
    before = {model: _settled(server, model) for model in MODELS}
    for request in requests:
        ask(server, "ModelInfer", request)
    after = {model: _settled(server, model) for model in MODELS}
    moved = ((m, name, value - before[m].get(name, 0)) for m in MODELS for name, value in sorted(after[m].items()))
    return "".join(f"{model}: {name} +{value:g}\n" for model, name, value in moved if value)


def _settled(server: Server, model: str) -> dict[str, float]:
    """The counts once they move no more: Triton counts an ensemble's request after it has answered it."""
    end = time.monotonic() + TIMEOUT_SECONDS
    counts = model_counts(server, model)
    while (then := _a_moment_later(server, model)) != counts:
        assert time.monotonic() < end, "the counts never settle"
        counts = then
    return counts


def _a_moment_later(server: Server, model: str) -> dict[str, float]:
    time.sleep(0.2)
    return model_counts(server, model)


def test_models_of_steps_come_and_go_alike(pair: Pair) -> None:
    """An ensemble is there while its steps' models are; every step of a conversation is answered alike."""
    differences = []
    for case in ENSEMBLE_CONTROL:
        wait_until_unloaded(pair.triton)
        differences.append(answered_otherwise(pair, case))
    fail_if(*differences)
