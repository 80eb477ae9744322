"""Requests to models of rows, see tests/torchscript_models.py: every answer says which request it belongs to."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM_INFER = "/inference.GRPCInferenceService/ModelStreamInfer"


def request(model: str, identity: int, rounds: int = 0, version: str = "") -> Any:
    """One row: the answer is `identity`, after `rounds` of work; negative rounds make the model raise."""
    return batch_request(model, [(identity, rounds)], version)


def batch_request(model: str, rows: list[tuple[int, int]], version: str = "") -> Any:
    """Several rows; the request's id is the first one's identity."""
    message = service_pb2.ModelInferRequest(model_name=model, model_version=version, id=str(rows[0][0]))
    message.inputs.add(name="INPUT__0", datatype="INT64", shape=[len(rows), 2])
    message.raw_input_contents.append(np.array(rows, np.int64).tobytes())
    return message


def answers(response: Any) -> list[int]:
    """The first number of each row of a response."""
    assert response.raw_output_contents, response
    numbers = np.frombuffer(response.raw_output_contents[0], np.int64)
    return [int(row[0]) for row in numbers.reshape(response.outputs[0].shape)]


def stub(channel: grpc.Channel | grpc.aio.Channel) -> Any:
    """The generated stub of the Open Inference Protocol."""
    return service_pb2_grpc.GRPCInferenceServiceStub(channel)


def own_connection(address: str) -> grpc.Channel:
    """A channel that shares its connection with no other channel of this process."""
    return grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
