"""What Triton does not tell of models: the `coordserve_*` families."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.histogram import Histogram
from server.metrics.family import Family, label_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from server.metrics.scraped_model import ScrapedModel
    from server.model_states import Readiness
    from server.statistics import ModelStatistics

_BATCH_EDGES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
# Of a model with more classes, predictions are not told: each class is a series.
_MOST_CLASSES = 100
_UNLABELLED = "unlabelled"

_GAUGES: dict[str, tuple[str, Callable[[ScrapedModel], float]]] = {
    "coordserve_queue_capacity": ("Requests that may wait.", lambda model: model.queue_capacity),
    "coordserve_inflight_requests": (
        "Requests that were accepted and have not ended.",
        lambda model: model.statistics.in_flight,
    ),
    "coordserve_instances": ("Instances of the model.", lambda model: model.instances),
    "coordserve_instances_busy": ("Instances that execute a batch now.", lambda model: model.busy),
}
_COUNTERS: dict[str, tuple[str, Callable[[ScrapedModel], float]]] = {
    "coordserve_accepted_total": (
        "Requests that were accepted; each ends as a success or a failure.",
        lambda model: model.statistics.accepted_count,
    ),
    "coordserve_instance_busy_seconds_total": (
        "Time for which instances executed batches, of all instances together.",
        lambda model: model.busy_seconds,
    ),
}
_STAGES: dict[str, Callable[[ModelStatistics], Histogram]] = {
    "decode": lambda statistics: statistics.decode_seconds,
    "queue": lambda statistics: statistics.queue_seconds,
    "compute_input": lambda statistics: statistics.compute_input_seconds,
    "compute": lambda statistics: statistics.compute_seconds,
    "compute_output": lambda statistics: statistics.compute_output_seconds,
}


def model_families(models: Sequence[ScrapedModel]) -> Iterator[Family]:
    """The families of `models`."""
    for name, (text, value) in _GAUGES.items():
        yield _of_each(Family(name, "gauge", text), models, value)
    for name, (text, value) in _COUNTERS.items():
        yield _of_each(Family(name, "counter", text), models, value)
    yield from _histograms(models)
    yield from _predictions(models)


def _of_each(family: Family, models: Sequence[ScrapedModel], value: Callable[[ScrapedModel], float]) -> Family:
    for model in models:
        family.add(model.labels, value(model))
    return family


def _histograms(models: Sequence[ScrapedModel]) -> Iterator[Family]:
    requests = Family(
        "coordserve_request_duration_seconds", "histogram", "From a request's arrival at its model until its end."
    )
    steps = Family(
        "coordserve_step_duration_seconds", "histogram", "Of answered requests, those that an ensemble asked for."
    )
    stages = Family("coordserve_stage_duration_seconds", "histogram", "Where the time of answered requests went.")
    sizes = Family("coordserve_batch_size", "histogram", "Rows per execution.")
    for model in models:
        labels, statistics = model.labels, model.statistics
        requests.add_histogram(labels + ',outcome="ok"', statistics.request_seconds)
        requests.add_histogram(labels + ',outcome="error"', statistics.failed_seconds)
        steps.add_histogram(labels, statistics.step_seconds)
        for stage, histogram in _STAGES.items():
            stages.add_histogram(f'{labels},stage="{stage}"', histogram(statistics))
        sizes.add_histogram(labels, _batch_sizes(statistics))
    yield from (requests, steps, stages, sizes)


def _batch_sizes(statistics: ModelStatistics) -> Histogram:
    histogram = Histogram(_BATCH_EDGES)
    for size, batch in statistics.batches.items():
        histogram.observe(size, batch.count)
    return histogram


def _predictions(models: Sequence[ScrapedModel]) -> Iterator[Family]:
    """For models whose output has labels: what the Classifier answered, and how sure it was."""
    predictions = Family("coordserve_predictions_total", "counter", "Images by their likeliest class.")
    confidence = Family("coordserve_prediction_confidence", "histogram", "Probability of the likeliest class.")
    for model in models:
        if not model.classes:
            continue
        confidence.add_histogram(model.labels, model.statistics.confidence)
        if len(model.classes) <= _MOST_CLASSES:
            for name, count in _by_class(model).items():
                predictions.add(f"{model.labels},{label_pairs(**{'class': name})}", count)
    yield from (predictions, confidence)


def _by_class(model: ScrapedModel) -> dict[str, int]:
    """Predictions by label: two classes may have the same one, and others have none."""
    counts = model.statistics.predictions
    by_class = {name: counts.get(name, 0) for name in model.classes if name}
    by_class[_UNLABELLED] = by_class.get(_UNLABELLED, 0) + counts.get("", 0)
    return by_class


def repository_families(states: Iterable[Readiness]) -> Iterator[Family]:
    """Which versions answer, and how loads went."""
    ready = Family("coordserve_model_ready", "gauge", "1 if the model version answers requests, 0 if it should.")
    loads = Family("coordserve_model_loads_total", "counter", "Times that a model was to be loaded or reloaded.")
    for state in states:
        for version, answers in state.versions.items():
            ready.add(label_pairs(model=state.name, version=version), int(answers))
        for outcome, count in state.loads.items():
            loads.add(label_pairs(model=state.name, outcome=outcome), count)
    yield from (ready, loads)
