"""The connection: how it is set up, and the methods that the conversation names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tritonclient.grpc import service_pb2_grpc

from proto import classifier_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OPTIONS: tuple[tuple[str, int], ...] = (
    # A batch of images is larger than gRPC's default of 4 MiB.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # The most frequent ping that a gRPC server puts up with by default; an unanswered one ends a dead connection.
    ("grpc.keepalive_time_ms", 300_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # gRPC's default grows to two minutes: too long to notice that a server is back.
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


def methods(channel: Any) -> Mapping[str, Callable[..., Any]]:
    """Returns the methods of a `grpc.Channel` or `grpc.aio.Channel` that a conversation may name."""
    classifier = classifier_pb2_grpc.ClassifierStub(channel)
    inference = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    return {
        "Classify": classifier.Classify,
        "ClassifyStream": classifier.ClassifyStream,
        "ModelConfig": inference.ModelConfig,
        "ModelInfer": inference.ModelInfer,
        "ModelMetadata": inference.ModelMetadata,
        "ModelStatistics": inference.ModelStatistics,
        "RepositoryIndex": inference.RepositoryIndex,
        "ServerLive": inference.ServerLive,
        "ServerMetadata": inference.ServerMetadata,
    }
