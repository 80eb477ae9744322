"""`inference.GRPCInferenceService`: the Open Inference Protocol with Triton's extensions.

https://github.com/triton-inference-server/server/tree/main/docs/protocol
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, TypeVar

from tritonclient.grpc import service_pb2

from server.daemon_thread import SharedCall
from server.errors import (
    ControlNotAllowed,
    InvalidRequest,
    ModelNotFound,
    ServingError,
    ShuttingDown,
    Unavailable,
    Unsupported,
)
from server.load_error import LoadError
from server.model_states import State
from server.observed_request import current
from server.services.aside import Aside
from server.services.ensembles import Pipelines
from server.services.infer_request import read_infer_request
from server.services.infer_response import build_infer_response
from server.services.model_descriptions import describe_config, describe_metadata, describe_statistics
from server.services.outcome import Outcome
from server.services.parameters import check_load_parameters, check_unload_parameters, parse_version
from server.services.share import AT_ONCE, Share
from server.services.streaming import answer_in_order
from server.services.wire import InferMessage, parse_infer_message
from server.tensor_types import BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from server.engine import Result
    from server.repository import ModelRepository
    from server.services.accounting import Call
    from server.services.delivery import Delivery
    from server.services.infer_request import Inference
    from server.services.model_control import ModelControl

SERVICE = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
PARSERS = {"ModelInfer": parse_infer_message, "ModelStreamInfer": parse_infer_message}

_Result = TypeVar("_Result")
_MANY_TEXTS = 10_000  # some milliseconds
_SCORES_PER_TEXT = 10  # that are sorted in the time of looking at one text
_RANK = 8  # more dimensions are hardly meant, and their product may be a number of any length
_EXTENSIONS = (
    "classification",
    "model_repository",
    "model_configuration",
    "binary_tensor_data",
    "parameters",
    "statistics",
)


class InferenceServicer:
    """Answers the protocol from a model repository.

    `is_ready` tells whether the whole server is ready; `control` loads and unloads models by request; None
    where that is not allowed.
    """

    def __init__(
        self,
        repository: ModelRepository,
        delivery: Delivery,
        version: str,
        is_ready: Callable[[], bool],
        control: ModelControl | None,
    ) -> None:
        self._repository = repository
        self._pipelines = Pipelines(repository, delivery)
        self._aside = Aside()
        self._index = SharedCall(repository.index)  # it looks at the directory
        self._version = version
        self._is_ready = is_ready
        self._control = control

    async def ServerLive(self, _request: Any, _call: Call) -> Any:
        """Whether the server runs at all."""
        return service_pb2.ServerLiveResponse(live=True)

    async def ServerReady(self, _request: Any, _call: Call) -> Any:
        """Whether the server should get requests."""
        return service_pb2.ServerReadyResponse(ready=self._is_ready())

    async def ModelReady(self, request: Any, _call: Call) -> Any:
        """Whether a model answers requests; false for one that does not exist."""
        version = parse_version(request.version)
        try:
            self._repository.get(request.name, version)
        except (ModelNotFound, Unavailable):
            return service_pb2.ModelReadyResponse(ready=False)
        return service_pb2.ModelReadyResponse(ready=True)

    async def ServerMetadata(self, _request: Any, _call: Call) -> Any:
        """The server's name, version and extensions."""
        return service_pb2.ServerMetadataResponse(name="coordserve", version=self._version, extensions=_EXTENSIONS)

    async def ModelMetadata(self, request: Any, _call: Call) -> Any:
        """A model's inputs and outputs."""
        version = parse_version(request.version)
        model = self._repository.get(request.name, version)
        ready = [other.version for other in self._repository.ready() if other.config.name == request.name]
        return describe_metadata(model.config, ready if version is None else [version])

    async def ModelConfig(self, request: Any, _call: Call) -> Any:
        """A model's config.pbtxt, with the defaults filled in."""
        return describe_config(self._repository.get(request.name, parse_version(request.version)))

    async def ModelStatistics(self, request: Any, _call: Call) -> Any:
        """What a model, or every model, has done."""
        version = parse_version(request.version)
        models = [model for model in self._repository.ready() if request.name in ("", model.config.name)]
        if request.name and not models:
            raise InvalidRequest(f"requested model '{request.name}' is not available")
        if version is not None:
            models = [model for model in models if model.version == version]
        if request.name and not models:
            raise InvalidRequest(f"requested model version is not available for model '{request.name}'")
        return service_pb2.ModelStatisticsResponse(model_stats=[describe_statistics(model) for model in models])

    async def ModelInfer(self, message: InferMessage, call: Call) -> Any:
        """One inference."""
        return await self._infer(message, call)

    def ModelStreamInfer(self, messages: AsyncIterator[InferMessage], call: Call) -> AsyncGenerator[Any, None]:
        """Inferences in a stream; one that fails is answered with its error, and the stream goes on."""
        share = Share()

        async def answer(message: InferMessage) -> Any:
            try:
                response = await self._infer(message, call, share)
            except ServingError as error:
                call.failed(error)
                failed = service_pb2.ModelInferResponse(id=message.request.id)
                return service_pb2.ModelStreamInferResponse(error_message=str(error), infer_response=failed)
            response.parameters["triton_final_response"].bool_param = True
            return service_pb2.ModelStreamInferResponse(infer_response=response)

        return answer_in_order(messages, call.each(answer), AT_ONCE)

    async def _infer(self, message: InferMessage, call: Call, share: Share | None = None) -> Any:
        request, observed = message.request, current()
        observed.asks(request.id, request.model_name, request.model_version)
        version = parse_version(request.model_version)
        with self._repository.lease(request.model_name, version) as model:
            observed.version = str(model.version)
            inference = await self._beside(_texts_declared(request), read_infer_request, message, model.config)
            # Waiting for other messages of its stream is the caller's choice, not the model's latency.
            async with share.place(model) if share else contextlib.nullcontext():
                with Outcome(model, request.id) as outcome:
                    reply = await self._pipelines.run(model, request, inference, call.deadline)
                    outcome.answered(inference.rows, reply)
                    texts = max(_texts_given(reply.result), _scores_sorted(inference, reply.result) // _SCORES_PER_TEXT)
                    return await self._beside(texts, build_infer_response, request, inference, reply.result, model)

    async def _beside(self, texts: int, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """Call `function`, which looks at so many `texts` one by one; in a thread if others would wait for it."""
        return await self._aside.run(function, *arguments) if texts > _MANY_TEXTS else function(*arguments)

    async def RepositoryIndex(self, request: Any, _call: Call) -> Any:
        """Every model of the repository and the state of its versions."""
        _check_repository_name(request)
        entries = await self._index()
        if request.ready:
            entries = [entry for entry in entries if entry.state is State.READY]
        response = service_pb2.RepositoryIndexResponse()
        for entry in entries:
            known = entry.version > 0
            response.models.add(
                name=entry.name,
                version=str(entry.version) if known else "",
                state=entry.state.value if known else "",
                reason=entry.reason,
            )
        return response

    async def RepositoryModelLoad(self, request: Any, _call: Call) -> Any:
        """Load or reload a model; returns when it answers requests."""
        control = self._allowed_control(request)
        name, parameters = request.model_name, request.parameters
        check_load_parameters(parameters)
        override = parameters["config"].string_param if "config" in parameters else None
        try:
            await control.load(name, override)
        except LoadError as error:
            raise InvalidRequest(f"load failed for model '{name}': {error}") from error
        except ShuttingDown as error:
            raise ShuttingDown(f"load failed for model '{name}': {error}") from error
        return service_pb2.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(self, request: Any, _call: Call) -> Any:
        """Take a model out of service; what it has accepted is answered."""
        control = self._allowed_control(request)
        check_unload_parameters(request.parameters)
        await control.unload(request.model_name)
        return service_pb2.RepositoryModelUnloadResponse()

    def _allowed_control(self, request: Any) -> ModelControl:
        _check_repository_name(request)
        if self._control is None:
            raise ControlNotAllowed("explicit model load / unload is not allowed if polling is enabled")
        return self._control


def _texts_declared(request: Any) -> int:
    """How many elements the largest input of BYTES is to have; as many are looked at, at most."""
    shapes = (tensor.shape[:_RANK] for tensor in request.inputs if tensor.datatype == BYTES)
    return max(map(math.prod, shapes), default=0)


def _texts_given(result: Result) -> int:
    """How many the largest output of BYTES has; outputs of an ensemble that nobody asked for are not there."""
    return max((array.size for array in result if array is not None and array.dtype.hasobject), default=0)


def _scores_sorted(inference: Inference, result: Result) -> int:
    """How many the classification extension has to sort, however few of them it then tells."""
    return sum(result[position].size for position, count in inference.outputs if count)


def _check_repository_name(request: Any) -> None:
    if request.repository_name:
        raise Unsupported("'repository_name' specification is not supported")
