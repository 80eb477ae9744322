"""Classifies images on a CoordServe or Triton server: the library, and the command `python -m client`."""

from client.async_classifier import AsyncClassifier
from client.classifier import Classifier, status
from client.errors import (
    AccessDenied,
    ClientError,
    DeadlineExceeded,
    InvalidImage,
    InvalidRequest,
    ModelLoading,
    ModelNotFound,
    Overloaded,
    RequestCancelled,
    ServerError,
    ServerNotReady,
    ServerStopping,
    ServerUnreachable,
    Unimplemented,
    UnsupportedModel,
)
from client.images import Image
from client.model_status import ModelStatus, ServerStatus
from client.results import Class, Classification, ImageFailure, Result, Timing

__all__ = [
    "AccessDenied",
    "AsyncClassifier",
    "Class",
    "Classification",
    "Classifier",
    "ClientError",
    "DeadlineExceeded",
    "Image",
    "ImageFailure",
    "InvalidImage",
    "InvalidRequest",
    "ModelLoading",
    "ModelNotFound",
    "ModelStatus",
    "Overloaded",
    "RequestCancelled",
    "Result",
    "ServerError",
    "ServerNotReady",
    "ServerStatus",
    "ServerStopping",
    "ServerUnreachable",
    "Timing",
    "Unimplemented",
    "UnsupportedModel",
    "status",
]
