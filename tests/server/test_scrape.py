from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import make_mocked_request

from server.metrics.exposition import OPENMETRICS, TEXT
from server.metrics.page import MetricsPage
from server.scrape import answer_scrape
from tests.server.models import open_repository

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("encoding", "zipped"), [("gzip", True), ("identity", False)])
async def test_a_scrape_gets_what_it_asks_for(tmp_path: Path, encoding: str, *, zipped: bool) -> None:
    """Format and encoding are those that the headers ask for, and the answer says so."""
    page = MetricsPage(open_repository(tmp_path), "1.2.3")
    for accept, form in (("*/*", TEXT), ("application/openmetrics-text", OPENMETRICS)):
        request = make_mocked_request("GET", "/metrics", {"Accept": accept, "Accept-Encoding": encoding})
        with ThreadPoolExecutor(1) as executor:
            response = await answer_scrape(request, page, executor)
        assert response.headers["Content-Type"] == form.content_type
        assert response.headers.get("Content-Encoding") == ("gzip" if zipped else None)
        body: Any = response.body
        text = (gzip.decompress(body) if zipped else body).decode()
        assert text.startswith("# HELP ")
        assert text.endswith("# EOF\n") == (form is OPENMETRICS)
