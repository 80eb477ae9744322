"""The live page as a person sees it: a real Chromium before a real server."""

from __future__ import annotations

import io
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import grpc
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from proto import classifier_pb2, classifier_pb2_grpc
from tests.browser import chromium
from tests.integration import rows
from tests.integration.gates import Door
from tests.serving import PATIENCE_SECONDS
from tests.torchscript_models import ROWS, WAIT, Colours, Worker, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.serving import ServerProcess

IMAGES = """
    platform: "pytorch_libtorch"  max_batch_size: 8  dynamic_batching { }  instance_group [ { count: 1 } ]
    input [ { name: "INPUT__0" data_type: TYPE_UINT8 dims: [ 16, 16, 3 ] } ]
    output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 3 ] label_filename: "labels.txt" } ]
"""
NARROW = (
    """
    platform: "pytorch_libtorch"  max_batch_size: 1  instance_group [ { count: 1 } ]
    dynamic_batching { default_queue_policy { max_queue_size: 2 } }
"""
    + ROWS
)
LABEL = "<img src=x onerror=alert(1)> red"
UNKNOWN = "\N{EN DASH}"
expect.set_options(timeout=PATIENCE_SECONDS * 1e3)


def picture(*colour: int) -> bytes:
    """A PNG of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, "PNG")
    return file.getvalue()


RED = picture(250, 5, 45)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """The door of the model of rows."""
    door = Door(tmp_path_factory.mktemp("door") / "door")
    yield door
    door.open()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, door: Door) -> Path:
    """A model of images, one of rows with a short queue, and one that cannot be loaded."""
    directory = tmp_path_factory.mktemp("models")
    images = write_model(directory / "colours", Colours(channels_first=False), IMAGES)
    (images / "labels.txt").write_text(f"{LABEL}\ngreen\nblue\n", encoding="utf-8")
    write_model(directory / "narrow", Worker(door=door.path), NARROW)
    broken = write_model(directory / "broken", Worker(), NARROW)
    (broken / "1" / "model.pt").write_bytes(b"no archive")
    return directory


@pytest.fixture(scope="module")
def server(models: Path, start_server: Callable[..., AbstractContextManager[ServerProcess]]) -> Iterator[ServerProcess]:
    """The server behind the page."""
    with start_server(models) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for all of these tests."""
    with chromium() as browser:
        yield browser


class Visit:
    """The page in a window; `complaints` is what the browser's console says, `hosts` whom the page has asked."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url.removeprefix("blob:")).netloc))
        page.goto(f"http://{address}/")
        expect(page.locator(".plot").first).to_be_visible()

    def figure(self, name: str) -> str:
        """A figure of the last seconds."""
        return self.page.locator(f"[data-figure={name}]").inner_text()

    def expect_finding(self, title: str, reason: str = "") -> None:
        """Wait until the verdict tells this, first or among the others."""
        finding = self.page.locator("#verdict", has_text=title)
        expect(finding).to_contain_text(reason)

    def classify(self, content: bytes, name: str = "image.png") -> None:
        """Choose a file in the box."""
        file = {"name": name, "mimeType": "image/png", "buffer": content}
        self.page.set_input_files("#classify input", files=[file])  # type: ignore[list-item] # a FilePayload


@pytest.fixture
def visit(server: ServerProcess, browser: Browser) -> Iterator[Visit]:
    """The page on a wide screen; it must not complain, nor ask anybody but the server."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    visit = Visit(page, server.http_address)
    yield visit
    page.close()
    assert visit.complaints == []
    assert visit.hosts == {server.http_address}


@pytest.fixture
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    """A connection to the server."""
    with rows.own_connection(server.grpc_address) as channel:
        yield channel


def classify(channel: grpc.Channel, image: bytes) -> Any:
    """The Classifier's result for one image."""
    request = classifier_pb2.ClassifyRequest(images=[image], model_name="colours")
    stub = classifier_pb2_grpc.ClassifierStub(channel)  # type: ignore[no-untyped-call] # generated
    return stub.Classify(request, timeout=PATIENCE_SECONDS).results[0]


def test_without_traffic_the_page_tells_what_there_is(visit: Visit) -> None:
    """A model that failed to load is named with the reason, others have a row, and charts say that they are empty."""
    visit.expect_finding("Model broken is not served", "no TorchScript module")
    assert visit.figure("rate") == "0"
    assert visit.figure("p99") == UNKNOWN
    expect(visit.page.locator("tbody tr")).to_have_count(3)
    expect(visit.page.locator("tr", has_text="broken")).to_contain_text("unavailable")
    expect(visit.page.locator("tr", has_text="narrow")).to_contain_text("0 / 2")
    expect(visit.page.get_by_text("no requests in these minutes").first).to_be_visible()


def test_the_numbers_are_the_clients_own(visit: Visit, channel: grpc.Channel) -> None:
    """Each answer is counted, and the median lies where the histogram says, next to the answers' own timings."""
    before = answered(visit)
    with ThreadPoolExecutor(4) as callers:
        results = list(callers.map(lambda _: classify(channel, RED), range(60)))
    expect(visit.page.locator("[data-figure=busy] + .detail")).to_have_text(f"{before + 60} answered in all")
    median = float(np.median([result.timing.total_ns for result in results])) / 1e6
    low, high = edges(visit.page.locator("[data-figure=p50] + .detail").inner_text())
    assert low * 0.8 <= median <= high * 1.25
    row = visit.page.locator("tr", has_text="colours")
    expect(row.locator("td").last).to_have_text(str(before + 60))
    expect(visit.page.locator("#slowest .breakdown").first).to_be_visible()


def answered(visit: Visit) -> int:
    """How many requests the page knows to have been answered."""
    return int(visit.page.locator("[data-figure=busy] + .detail").inner_text().split()[0])


def edges(text: str) -> tuple[float, float]:
    """The milliseconds between which a percentile lies, as the page tells it."""
    numbers = [float(number) for number in re.findall(r"[\d.]+(?= ms)", text)]
    return (0, numbers[0]) if text.startswith("below") else (numbers[0], numbers[1])


def test_an_image_that_is_chosen_is_classified_as_by_grpc(visit: Visit, channel: grpc.Channel) -> None:
    """Labels and probabilities are the Classifier's own; a label that looks like markup is only text."""
    visit.classify(RED)
    classes = visit.page.locator(".classes li")
    expect(classes).to_have_count(3)
    expected = classify(channel, RED).classes
    assert classes.locator(".label").all_inner_texts() == [each.label for each in expected]
    assert expected[0].label == LABEL
    shares = [float(text.removesuffix(" %")) / 100 for text in classes.locator("b").all_inner_texts()]
    assert shares == pytest.approx([each.probability for each in expected], abs=0.01)
    expect(visit.page.locator("output .legend")).to_contain_text(re.compile(r"decode.* ms.*compute.* ms"))


DROP = """([bytes, type]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(bytes)], "blue.png", { type: "image/png" }));
    document.body.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


def test_an_image_that_is_dropped_is_classified(visit: Visit) -> None:
    """It may be dropped anywhere on the page."""
    visit.page.evaluate(DROP, [list(picture(0, 10, 250)), "drop"])
    expect(visit.page.locator(".classes li").first).to_contain_text("blue")


def test_a_file_that_is_no_image_is_refused_readably(visit: Visit) -> None:
    """The box says what is wrong, and the refusal is counted under its reason."""
    visit.classify(b"GIF? no.")
    expect(visit.page.locator(".problem")).to_contain_text("INVALID_ARGUMENT not an image in a supported format")
    expect(visit.page.locator("#failures")).to_contain_text("invalid_image")
    refusals = visit.page.locator(".chart", has_text="Refused and failed")
    expect(refusals.locator(".legend")).to_contain_text("invalid image")
    assert "400" in visit.complaints.pop()  # the browser tells of each answer that is an error


def test_failures_and_rejections_are_told_with_their_model(
    server: ServerProcess, visit: Visit, channel: grpc.Channel, door: Door
) -> None:
    """A model that raises and a queue that is full are named, each with its own word."""
    inference = rows.stub(channel)
    for number in range(5):
        with pytest.raises(grpc.RpcError):
            inference.ModelInfer(rows.request("narrow", number, -1))
    visit.expect_finding("Failing", "inside narrow")
    waiting = [inference.ModelInfer.future(rows.request("narrow", 0, WAIT))]
    server.metrics_when(lambda samples: samples.total("coordserve_instances_busy", model="narrow") == 1)
    waiting += [inference.ModelInfer.future(rows.request("narrow", number, WAIT)) for number in range(1, 30)]
    visit.expect_finding("Overloaded", "the queue of narrow is full, 2 of 2 wait")
    expect(visit.page.locator("#failures")).to_contain_text("queue_full")
    door.open()
    codes = [call.exception(PATIENCE_SECONDS) for call in waiting]
    assert sum(error is None for error in codes) == 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 800, 1440])
def test_nothing_overflows(server: ServerProcess, browser: Browser, width: int, scheme: Any) -> None:
    """On a phone and on wide screens, light and dark, there is nothing to scroll to the side for."""
    page = browser.new_page(viewport={"width": width, "height": 812}, color_scheme=scheme)
    visit = Visit(page, server.http_address)
    visit.classify(RED)
    expect(page.locator(".classes li")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    light = page.evaluate("getComputedStyle(document.body).backgroundColor").startswith("rgb(2")
    assert light == (scheme == "light")
    assert visit.complaints == []
    page.close()


def test_the_keyboard_reads_charts(visit: Visit) -> None:
    """An arrow key moves the crosshair of all charts, whose label tells the numbers; Escape takes it away."""
    first, second = visit.page.locator(".plot").nth(0), visit.page.locator(".plot").nth(1)
    first.press("ArrowLeft")
    expect(second.locator(".when")).to_be_visible()
    assert re.search(r"^Requests: answered .*/s", first.get_attribute("aria-label") or "")
    first.press("Escape")
    expect(second.locator(".when")).to_be_hidden()


def test_a_server_that_goes_away_is_told_and_found_again(
    server: ServerProcess,
    tmp_path: Path,
    browser: Browser,
    start_server: Callable[..., AbstractContextManager[ServerProcess]],
) -> None:
    """The page says that the connection is lost, keeps what it had, and goes on when a server answers again.

    This is the last of these tests: it ends their server.
    """
    page = browser.new_page()
    visit = Visit(page, server.http_address)
    server.send_signal(signal.SIGKILL)
    visit.expect_finding("Connection lost", "has not answered since")
    expect(page.locator("body.lost tbody tr")).to_have_count(3)
    port = server.http_address.rpartition(":")[2]
    with start_server(tmp_path, "--metrics-port", port, loaded=False):
        visit.expect_finding("Ready, nobody is asking")
        expect(page.get_by_text("The repository is empty.")).to_be_visible()
    page.close()
