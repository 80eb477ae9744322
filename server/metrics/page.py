"""All families of the server on one page."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from server.metrics import model_families, triton_families
from server.metrics.process_families import build_families, process_families
from server.metrics.scraped_model import ScrapedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from server.metrics.exposition import Format
    from server.metrics.family import Family
    from server.repository import ModelRepository


class MetricsPage:
    """The models of `repository`, the process, and what `sources` tell besides; requests pay nothing for it."""

    def __init__(
        self, repository: ModelRepository, version: str, sources: Sequence[Callable[[], Iterable[Family]]] = ()
    ) -> None:
        self._repository = repository
        self._sources = sources
        self._build = list(build_families(version))

    def render(self, form: Format) -> bytes:
        """The whole page in one of the formats of `server.metrics.exposition`."""
        return form.write(self._piecemeal()).encode()

    def _piecemeal(self) -> Iterator[Family]:
        for family in self._families():
            yield family
            time.sleep(0)  # whoever waits for the interpreter gets it here: the event loop must not wait for a page

    def _families(self) -> Iterator[Family]:
        models = [ScrapedModel.of(model) for model in self._repository.complete()]
        yield from triton_families.model_families(models)
        yield from triton_families.machine_families()
        yield from model_families.model_families(models)
        yield from model_families.repository_families(self._repository.readiness())
        yield from self._build
        for source in self._sources:
            yield from source()
        yield from process_families()
