"""All services of the server, as handlers for a gRPC server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer

from server.errors import Unsupported
from server.services import classifier, health, inference
from server.services.rpc import service_handler, stream_handler

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from server.services.accounting import Accounts, Call
    from server.services.intake import Intake

_REFLECTION = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
SERVICE_NAMES = [inference.SERVICE.full_name, classifier.SERVICE.full_name]


def handlers(
    inference_servicer: inference.InferenceServicer,
    classifier_servicer: classifier.ClassifierServicer,
    health_servicer: health.HealthServicer,
    accounts: Accounts,
    intake: Intake,
) -> list[grpc.GenericRpcHandler[Any, Any]]:
    """Handlers of the services, in the order in which gRPC shall ask them."""
    names = [*SERVICE_NAMES, health.SERVICE.full_name, _REFLECTION.full_name]
    return [
        service_handler(inference.SERVICE, inference_servicer, accounts, intake, inference.PARSERS),
        service_handler(classifier.SERVICE, classifier_servicer, accounts, intake, classifier.PARSERS),
        service_handler(health.SERVICE, health_servicer, accounts, intake),
        service_handler(_REFLECTION, ReflectionServicer(names), accounts, intake),
        _UnknownMethods(accounts, intake),
    ]


class _UnknownMethods(grpc.GenericRpcHandler):  # type: ignore[type-arg] # the class takes no arguments when it runs
    """Answers UNIMPLEMENTED to what nobody else knows, so that it is counted."""

    def __init__(self, accounts: Accounts, intake: Intake) -> None:
        self._handler = stream_handler(_refuse, bytes, bytes, accounts.open("unknown", "unknown", "unknown"), intake)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler for any method."""
        del handler_call_details
        return self._handler


async def _refuse(_requests: AsyncIterator[bytes], _call: Call) -> AsyncGenerator[bytes, None]:
    raise Unsupported("unknown method")
    yield  # makes it a generator
