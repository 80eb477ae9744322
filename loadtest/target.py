"""Where the load goes: which server answers at an address, and what its models take."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from client.errors import UnsupportedModel
from client.model_interface import ModelInterface, read_interface
from proto import classifier_pb2, classifier_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.address import Address

CLASSIFY = "/coordserve.v1.Classifier/Classify"
INFER = "/inference.GRPCInferenceService/ModelInfer"
PAYLOADS = ("image", "uint8", "float32")
_DATATYPES = {"uint8": "UINT8", "float32": "FP32"}
_TIMEOUT_SECONDS = 10.0


class TargetError(Exception):
    """No load can be offered; the message is one line that says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server and those of its models that are to be loaded.

    Attributes:
        address: Of its gRPC port.
        server: What it calls itself.
        server_version: Likewise.
        payload: `image` (encoded files, to Classifier), `uint8` or `float32` (tensors, to ModelInfer).
        models: What they take; at least one.
        model_version: Of the first one; empty where the server names none.
    """

    address: Address
    server: str
    server_version: str
    payload: str
    models: tuple[ModelInterface, ...]
    model_version: str = ""

    @property
    def url(self) -> str:
        """HOST:PORT of its gRPC port."""
        return self.address.url

    @property
    def method(self) -> str:
        """The gRPC method that takes the payload."""
        return CLASSIFY if self.payload == "image" else INFER

    @property
    def api(self) -> str:
        """`classify` or `v2`."""
        return "classify" if self.payload == "image" else "v2"


def find_target(
    address: Address, models: Sequence[str] = (), payload: str | None = None, api: str | None = None
) -> Target:
    """Asks the server at an address what it is and what its models take.

    Args:
        address: Of its gRPC port.
        models: Names; none for the only one that is ready.
        payload: One of `PAYLOADS`; None for encoded images where the server takes them, else the model's own datatype.
        api: `classify`, `v2`, or None for the one that takes the payload.

    Raises:
        TargetError: Nobody answers, there is no such model, or it does not take the payload.
    """
    with address.channel() as channel:
        try:
            return _ask(channel, address, models, payload, api)
        except grpc.RpcError as error:
            raise TargetError(f"{address.url}: {error.code().name}: {_one_line(error.details())}") from error
        except UnsupportedModel as error:
            raise TargetError(f"{address.url}: {error}") from error


def _ask(channel: grpc.Channel, address: Address, names: Sequence[str], payload: str | None, api: str | None) -> Target:
    url = address.url
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    server = stub.ServerMetadata(service_pb2.ServerMetadataRequest(), timeout=_TIMEOUT_SECONDS)
    found = [_interface(stub, name) for name in names] or [_only_interface(stub)]
    interfaces = tuple(interface for interface, _ in found)
    classifies = api != "v2" and payload in (None, "image") and _has_classifier(channel)
    chosen = payload or ("image" if classifies else _own_payload(interfaces[0]))
    if api and api != ("classify" if chosen == "image" else "v2"):
        raise TargetError(f"{url}: encoded images go to api classify and tensors to v2, not {chosen} to {api}")
    if chosen == "image" and not classifies:
        raise TargetError(f"{url}: {server.name} takes no encoded images: use --payload {_own_payload(interfaces[0])}")
    for interface in interfaces:
        if chosen != "image" and interface.datatype != _DATATYPES[chosen]:
            fitting = _own_payload(interface)
            raise TargetError(f"{url}: model '{interface.model}' takes {interface.datatype}: use --payload {fitting}")
    return Target(address, server.name, server.version, chosen, interfaces, found[0][1])


def _only_interface(stub: Any) -> tuple[ModelInterface, str]:
    """The only model that takes images as tensors: ensembles and their other steps may be beside it."""
    index = stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(ready=True), timeout=_TIMEOUT_SECONDS)
    names: list[str] = sorted({model.name for model in index.models if model.state in ("READY", "")})
    if not names:
        raise TargetError("the server has no model that is ready")
    found = []
    for name in names:
        with contextlib.suppress(UnsupportedModel):
            found.append(_interface(stub, name))
    if len(found) != 1:
        raise TargetError(f"name one with --model; the server has: {', '.join(names)}")
    return found[0]


def _interface(stub: Any, name: str) -> tuple[ModelInterface, str]:
    """What the model takes, and its latest version."""
    metadata = stub.ModelMetadata(service_pb2.ModelMetadataRequest(name=name), timeout=_TIMEOUT_SECONDS)
    config = stub.ModelConfig(service_pb2.ModelConfigRequest(name=name), timeout=_TIMEOUT_SECONDS)
    return read_interface(metadata, config.config), metadata.versions[-1] if metadata.versions else ""


def _has_classifier(channel: grpc.Channel) -> bool:
    """An empty request is refused by a server that has the service, and unknown to one that has not."""
    try:
        classifier_pb2_grpc.ClassifierStub(channel).Classify(classifier_pb2.ClassifyRequest(), timeout=_TIMEOUT_SECONDS)
    except grpc.RpcError as error:
        return bool(error.code() is not grpc.StatusCode.UNIMPLEMENTED)
    return True


def _own_payload(interface: ModelInterface) -> str:
    return next(payload for payload, datatype in _DATATYPES.items() if datatype == interface.datatype)


def _one_line(details: str | None) -> str:
    return " ".join((details or "").split())
