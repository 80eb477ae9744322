"""The same client with both real servers: only the address differs."""

from __future__ import annotations

import itertools
import json
import threading
from typing import TYPE_CHECKING

import pytest

from client import (
    Classifier,
    ImageFailure,
    InvalidImage,
    InvalidRequest,
    ModelNotFound,
    ServerStatus,
    status,
)
from client.command_line import main

if TYPE_CHECKING:
    from pathlib import Path

    from tests.client.conftest import Client

LABELS = ["red", "green: leaf", "bleu café"]


@pytest.fixture(params=["running_server", "running_triton"])
def url(request: pytest.FixtureRequest) -> str:
    """The address of CoordServe's server, then of Triton."""
    address: str = request.getfixturevalue(request.param)
    return address


def test_image_gets_its_classes(client: Client, url: str, photos: list[bytes]) -> None:
    """Labels with colons and accents come through; the only ready model needs no name."""
    for photo, label in zip(photos, LABELS, strict=True):
        result = client.classify(url, photo, top_k=7)

        assert (result.best.label, result.model, result.version) == (label, "colour", "1")
        assert sorted(each.label for each in result.classes) == sorted(LABELS)
        assert sum(each.probability for each in result.classes) == pytest.approx(1, abs=1e-5)


def test_both_servers_give_the_same_probabilities(
    running_server: str, running_triton: str, client: Client, folder: Path
) -> None:
    """It does not matter who decodes: the crop is the same."""
    for path in (folder / "green.JPG", folder / "a" / "blue.webp"):
        ours, tritons = (client.classify(address, path).classes for address in (running_server, running_triton))

        assert [each.label for each in ours] == [each.label for each in tritons]
        for mine, other in zip(ours, tritons, strict=True):
            assert mine.probability == pytest.approx(other.probability, abs=2e-6)


def test_bulk_work_keeps_order_and_failures(client: Client, url: str, photos: list[bytes]) -> None:
    """Hundreds of images, some broken, one result each."""
    images = [*photos, b"broken"] * 60

    results = client.classify_many(url, images, concurrency=32)

    assert len(results) == len(images)
    for result, expected in zip(results, itertools.cycle([*LABELS, None])):
        if expected:
            assert not isinstance(result, ImageFailure)
            assert result.best.label == expected
        else:
            assert isinstance(result, ImageFailure)
            assert isinstance(result.error, InvalidImage)


def test_threads_share_a_classifier(url: str, photos: list[bytes]) -> None:
    """Bulk work and single images go through one connection at the same time."""
    failures: list[object] = []

    def work(classifier: Classifier) -> None:
        bulk = [result.best.label for result in classifier.classify_many(photos * 5, on_error="raise")]
        single = [classifier.classify(photo).best.label for photo in photos]
        if (bulk, single) != (LABELS * 5, LABELS):
            failures.append((bulk, single))

    with Classifier(url, "colour") as classifier:
        threads = [threading.Thread(target=work, args=(classifier,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert failures == []


def test_wrong_names_are_told_apart(client: Client, url: str, photos: list[bytes]) -> None:
    """Unknown model, broken model, unknown version and a version that is no number."""
    with pytest.raises(ModelNotFound, match="'absent' is not found"):
        client.classify(url, photos[0], model="absent")
    with pytest.raises(ModelNotFound, match="no available versions"):
        client.classify(url, photos[0], model="broken")
    with Classifier(url, "colour", version="7") as classifier, pytest.raises(ModelNotFound, match="version 7"):
        classifier.classify(photos[0])
    with Classifier(url, "colour", version="x") as classifier, pytest.raises(InvalidRequest, match="version"):
        list(classifier.classify_many(photos))


def test_status_tells_of_every_model(url: str, photos: list[bytes], client: Client) -> None:
    """What was asked is counted; what is broken says why."""
    before = {model.name: model for model in status(url).models}
    client.classify_many(url, photos * 4)
    after: ServerStatus = client.call(url, "status")
    broken, colour = after.models

    assert (colour.name, colour.version, colour.ready) == ("colour", "1", True)
    assert colour.inference_count - before["colour"].inference_count == 12
    assert colour.mean_batch
    assert colour.mean_compute_seconds
    assert (broken.name, broken.ready, broken.succeeded, broken.mean_batch) == ("broken", False, 0, None)
    assert "model.pt" in broken.reason


def test_commands_work(url: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As they are typed at a terminal."""
    assert main(["classify", str(folder), "--url", url, "--json", "--top-k", "1"], {}) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["classes"][0]["label"] for line in lines] == ["green: leaf", "red", "bleu café"]

    assert main(["status", "--url", url], {}) == 0
    out = capfd.readouterr().out
    assert "colour" in out
    assert "broken 1: " in out

    assert main(["status", "--url", url, "--json"], {}) == 0
    models = {model["name"]: model for model in json.loads(capfd.readouterr().out)["models"]}
    assert (models["colour"]["ready"], models["broken"]["ready"]) == (True, False)
    assert models["colour"]["mean_batch"] >= 1
