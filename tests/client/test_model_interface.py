"""What the client learns from a model's metadata and configuration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2

from client import InvalidImage, UnsupportedModel
from client.model_interface import ModelInterface, read_interface

ONE_OUTPUT = 'output { name: "OUT" }'


def interface(datatype: str, shape: list[int], config: str = ONE_OUTPUT, inputs: int = 1) -> ModelInterface:
    """Reads the interface of a model with that input and configuration."""
    tensor = service_pb2.ModelMetadataResponse.TensorMetadata(name="IN", datatype=datatype, shape=shape)
    metadata = service_pb2.ModelMetadataResponse(name="m", inputs=[tensor] * inputs)
    return read_interface(metadata, text_format.Parse(config, model_config_pb2.ModelConfig()))


@pytest.mark.parametrize(
    ("datatype", "shape", "batch", "expected"),
    [
        ("UINT8", [-1, 20, 30, 3], 8, (20, 30, False)),
        ("FP32", [-1, 3, 20, 30], 8, (20, 30, True)),
        ("UINT8", [20, 30, 3], 0, (20, 30, False)),
        ("FP32", [3, 20, 30], 0, (20, 30, True)),
        ("UINT8", [3, 30, 3], 0, (3, 30, False)),
    ],
)
def test_shape_gives_size_and_layout(datatype: str, shape: list[int], batch: int, expected: tuple[Any, ...]) -> None:
    """The batch dimension is there exactly when the model batches; three channels stand first or last."""
    read = interface(datatype, shape, f"max_batch_size: {batch} {ONE_OUTPUT}")

    assert (read.height, read.width, read.channels_first) == expected
    assert (read.datatype, read.max_batch_size, read.images_per_request) == (datatype, batch, max(1, batch))
    assert (read.input_name, read.output_name, read.crop_fraction) == ("IN", "OUT", 1.0)


@pytest.mark.parametrize(
    ("datatype", "shape"),
    [
        ("INT64", [20, 30, 3]),
        ("BYTES", [1]),
        ("UINT8", [20, 30]),
        ("UINT8", [-1, -1, 3]),
        ("UINT8", [20, 30, 4]),
        ("FP32", [1, 3, 20, 30]),
    ],
)
def test_input_that_is_no_image_is_unsupported(datatype: str, shape: list[int]) -> None:
    """The error shows the input that the client cannot make."""
    with pytest.raises(UnsupportedModel, match=f"'IN' of model 'm' is {datatype}"):
        interface(datatype, shape)


def test_two_inputs_are_unsupported() -> None:
    """A model that wants more than an image is no image classifier."""
    with pytest.raises(UnsupportedModel, match="2 inputs"):
        interface("UINT8", [20, 30, 3], inputs=2)


def test_labelled_output_is_taken_from_several() -> None:
    """Labels tell which output holds the classes."""
    config = 'output { name: "FEATURES" } output { name: "CLASSES" label_filename: "labels.txt" }'

    assert interface("UINT8", [20, 30, 3], config).output_name == "CLASSES"


@pytest.mark.parametrize("config", ["", 'output { name: "A" } output { name: "B" }'])
def test_output_that_is_not_clear_is_unsupported(config: str) -> None:
    """The client does not guess."""
    with pytest.raises(UnsupportedModel, match="outputs that could be"):
        interface("UINT8", [20, 30, 3], config)


def test_crop_fraction_comes_from_the_parameters() -> None:
    """The model's own crop is used."""
    config = f'{ONE_OUTPUT} parameters {{ key: "CROP_FRACTION" value {{ string_value: "0.875" }} }}'

    assert interface("UINT8", [20, 30, 3], config).crop_fraction == 0.875


@pytest.mark.parametrize("text", ["", "much", "0", "1.5", "nan"])
def test_senseless_crop_fraction_is_unsupported(text: str) -> None:
    """A wrong crop would give wrong classes without a word."""
    config = f'{ONE_OUTPUT} parameters {{ key: "CROP_FRACTION" value {{ string_value: "{text}" }} }}'

    with pytest.raises(UnsupportedModel, match="CROP_FRACTION"):
        interface("UINT8", [20, 30, 3], config)


def test_image_is_decoded_to_the_models_tensor(photos: list[bytes]) -> None:
    """Bytes as they are; floats from 0 to 1, with the channels where the model has them."""
    as_bytes = interface("UINT8", [20, 30, 3]).decode(photos[0])
    as_floats = interface("FP32", [3, 20, 30]).decode(photos[0])

    assert (as_bytes.shape, str(as_bytes.dtype)) == ((20, 30, 3), "uint8")
    assert (as_bytes == [250, 10, 10]).all()
    assert (as_floats.shape, str(as_floats.dtype)) == ((3, 20, 30), "float32")
    np.testing.assert_allclose(as_floats[:, 0, 0], np.array([250, 10, 10]) / 255, rtol=1e-6)


def test_bytes_that_are_no_image_are_an_invalid_image() -> None:
    """The decoder's reason is kept."""
    with pytest.raises(InvalidImage, match="supported format"):
        interface("UINT8", [20, 30, 3]).decode(b"GIF?")
