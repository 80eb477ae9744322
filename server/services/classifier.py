"""`coordserve.v1.Classifier`: encoded images in, labels out; see proto/classifier.proto."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar

from proto import classifier_pb2
from server.errors import DeadlineUnreachable, InvalidRequest, ModelNotReady, ServingError, Unavailable
from server.observed_request import current
from server.services.execution import execute
from server.services.images import ImageDecoder, ImageInput
from server.services.infer_response import top_classes
from server.services.outcome import Outcome
from server.services.parameters import parse_version
from server.services.share import AT_ONCE, Share
from server.services.streaming import answer_in_order
from server.services.wire import parse_classify_message

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Sequence

    from server.engine import Result
    from server.instance import Reply
    from server.model import ModelVersion
    from server.repository import ModelRepository
    from server.services.accounting import Call
    from server.services.delivery import Delivery

SERVICE = classifier_pb2.DESCRIPTOR.services_by_name["Classifier"]
PARSERS = {"Classify": parse_classify_message, "ClassifyStream": parse_classify_message}

_DEFAULT_TOP_K = 5

_T = TypeVar("_T")


class ClassifierServicer:
    """Answers from a model repository; `decoder` turns files into crops."""

    def __init__(self, repository: ModelRepository, delivery: Delivery, decoder: ImageDecoder) -> None:
        self._repository = repository
        self._delivery = delivery
        self._decoder = decoder

    async def Classify(self, request: Any, call: Call) -> Any:
        """Classify the images of one request; see the service's definition."""
        return await self._classify(request, call, Share())

    def ClassifyStream(self, requests: AsyncIterator[Any], call: Call) -> AsyncGenerator[Any, None]:
        """Classify request after request; see the service's definition."""
        share = Share()

        async def answer(request: Any) -> Any:
            try:
                return await self._classify(request, call, share)
            except ServingError as error:
                call.failed(error)
                return classifier_pb2.ClassifyResponse(
                    model_name=request.model_name, request_id=request.request_id, error=_error(error)
                )

        return answer_in_order(requests, call.each(answer), AT_ONCE)

    async def _classify(self, request: Any, call: Call, share: Share) -> Any:
        observed = current()
        observed.asks(request.request_id, request.model_name, request.model_version)
        if not request.images:
            raise InvalidRequest("the request has no images")
        if len(request.images) > self._decoder.capacity:
            raise InvalidRequest(
                f"the request has {len(request.images)} images, but no more than {self._decoder.capacity} can wait"
            )
        name = request.model_name or self._only_classifier()
        with self._repository.lease(name, parse_version(request.model_version)) as model:
            observed.asks(request.request_id, name, str(model.version))
            wanted = ImageInput.of(model.config)
            outcomes = await _all(
                [self._outcome(image, request, wanted, model, share, call) for image in request.images]
            )
            _account_failures(outcomes, call)
            return classifier_pb2.ClassifyResponse(
                model_name=model.config.name,
                model_version=str(model.version),
                request_id=request.request_id,
                results=[_failed(item) if isinstance(item, ServingError) else item for item in outcomes],
            )

    def _only_classifier(self) -> str:
        names = sorted({model.config.name for model in self._repository.ready() if _classifies(model)})
        if not names and (loading := self._repository.loading()):
            raise ModelNotReady(f"no model that classifies images is ready yet; being loaded: {', '.join(loading)}")
        if not names and (broken := [*self._repository.failed(), *self._repository.ended()]):
            raise ModelNotReady(f"no model that classifies images answers; not ready: {', '.join(broken)}")
        if len(names) != 1:
            choices = ", ".join(names) or "none"
            raise InvalidRequest(
                f"the request must name a model (--model on the command line); those that classify images: {choices}"
            )
        return names[0]

    async def _outcome(
        self, image: bytes, request: Any, wanted: ImageInput, model: ModelVersion, share: Share, call: Call
    ) -> Any | ServingError:
        """One image's result, or why there is none."""
        arrived_ns = time.monotonic_ns()
        try:
            async with share.place(model):  # waiting for its siblings is the caller's choice, not the model's latency
                started_ns = time.monotonic_ns()
                with Outcome(model, request.request_id) as outcome:
                    reply = await self._decode_and_execute(image, wanted, model, call)
                    outcome.answered(1, reply)
                    model.statistics.decoded(reply.arrived_ns - started_ns)
                    return _result(reply, request.top_k or _DEFAULT_TOP_K, model, arrived_ns, started_ns)
        except ServingError as error:
            return error

    async def _decode_and_execute(
        self, image: bytes, wanted: ImageInput, model: ModelVersion, call: Call
    ) -> Reply[Result]:
        started_ns = time.monotonic_ns()
        try:
            payload = await self._decoder.decode(image, wanted)
        finally:
            current().decoded(model.config.name, started_ns)
        return await execute(model, self._delivery, payload, 1, call.deadline)


async def _all(work: Sequence[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Await all results in their order; where one of them raises, the others end before it is told."""
    if len(work) == 1:  # as most requests have, for which a task is a tenth of the way
        return [await work[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None  # what is logged once for each cause, and a group has none
    return [task.result() for task in tasks]


def _account_failures(outcomes: Sequence[Any | ServingError], call: Call) -> None:
    """Count each image that failed; when no image at all found a place in time, the call fails and counts for one."""
    failures = [outcome for outcome in outcomes if isinstance(outcome, ServingError)]
    overloaded = [error for error in failures if isinstance(error, (Unavailable, DeadlineUnreachable))]
    whole = len(overloaded) == len(outcomes)
    for error in failures[1:] if whole else failures:
        call.part_failed(error)
    if whole:
        error = overloaded[0]
        raise type(error)(*error.args)  # a copy, as the frames that it passes know the outcomes


def _result(reply: Reply[Result], top_k: int, model: ModelVersion, arrived_ns: int, started_ns: int) -> Any:
    """One image's classes, and where its time went since `arrived_ns`; counts what was predicted.

    From `started_ns` on it had a decoder, or waited for one.
    """
    finished_ns = time.monotonic_ns()
    execution = reply.execution
    timing = classifier_pb2.Timing(
        decode_ns=reply.arrived_ns - started_ns,
        queue_ns=execution.started_ns - reply.arrived_ns,
        compute_ns=execution.finished_ns - execution.started_ns,
        total_ns=finished_ns - arrived_ns,
        batch_size=reply.batch_rows,
    )
    scores = reply.result[0].reshape(-1)
    labels = model.config.labels[model.config.outputs[0].name]
    classes = [
        classifier_pb2.Class(index=index, label=labels[index] if index < len(labels) else "", probability=scores[index])
        for index in top_classes(scores, top_k).tolist()
    ]
    if classes:
        model.statistics.predicted(classes[0].label, classes[0].probability)
    return classifier_pb2.ImageResult(classes=classes, timing=timing)


def _classifies(model: ModelVersion) -> bool:
    try:
        ImageInput.of(model.config)
    except InvalidRequest:
        return False
    return True


def _failed(error: ServingError) -> Any:
    return classifier_pb2.ImageResult(error=_error(error))


def _error(error: ServingError) -> Any:
    return classifier_pb2.Error(code=error.code.value[0], message=str(error))
