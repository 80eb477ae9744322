"""Model control as a caller does it; with an asynchronous stub the results are awaited."""

from __future__ import annotations

from typing import Any

from tritonclient.grpc import service_pb2


def load(inference: Any, name: str, **parameters: str) -> Any:
    """RepositoryModelLoad."""
    request = service_pb2.RepositoryModelLoadRequest(model_name=name)
    for key, value in parameters.items():
        request.parameters[key].string_param = value
    return inference.RepositoryModelLoad(request)


def unload(inference: Any, name: str) -> Any:
    """RepositoryModelUnload."""
    return inference.RepositoryModelUnload(service_pb2.RepositoryModelUnloadRequest(model_name=name))


def states(inference: Any, name: str) -> dict[str, tuple[str, str]]:
    """State and reason of each version of a model, from the repository's index."""
    index = inference.RepositoryIndex(service_pb2.RepositoryIndexRequest())
    return {model.version: (model.state, model.reason) for model in index.models if model.name == name}
