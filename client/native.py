"""The messages of CoordServe's own service, `coordserve.v1.Classifier`: encoded images in, labels out."""

from __future__ import annotations

from client.errors import ClientError, ServerError, from_status
from client.results import Class, Classification, Timing
from proto import classifier_pb2


def classify_request(
    encoded: bytes, model: str, version: str, top_k: int, request_id: str = ""
) -> classifier_pb2.ClassifyRequest:
    """Asks for the `top_k` classes of one encoded image."""
    return classifier_pb2.ClassifyRequest(
        model_name=model, model_version=version, images=[encoded], top_k=top_k, request_id=request_id
    )


def request_error(response: classifier_pb2.ClassifyResponse) -> ClientError | None:
    """Returns why the request failed as a whole, or None if it did not."""
    return from_status(response.error.code, response.error.message) if response.HasField("error") else None


def read_classification(response: classifier_pb2.ClassifyResponse, file: str | None) -> Classification:
    """Reads the answer to a request for one image.

    Raises:
        ClientError: The answer is that the request, or its image, failed.
    """
    if error := request_error(response):
        raise error
    if len(response.results) != 1:
        raise ServerError(f"the server answered one image with {len(response.results)} results")
    result = response.results[0]
    if result.HasField("error"):
        raise from_status(result.error.code, result.error.message, concerning_image=True)
    if not result.classes:
        raise ServerError("the server answered the image with no class")
    return Classification(
        file=file,
        model=response.model_name,
        version=response.model_version,
        classes=tuple(Class(each.index, each.label, each.probability) for each in result.classes),
        timing=_read_timing(result.timing) if result.HasField("timing") else None,
    )


def _read_timing(timing: classifier_pb2.Timing) -> Timing:
    return Timing(
        decode_ns=timing.decode_ns,
        queue_ns=timing.queue_ns,
        compute_ns=timing.compute_ns,
        total_ns=timing.total_ns,
        batch_size=timing.batch_size,
    )
