"""What a model of a plain Open Inference Protocol server takes and gives, as far as classifying images needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from client.errors import InvalidImage, UnsupportedModel
from client.images import read_image
from imaging import ImageError, decode_crop

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from client.images import Image

_DTYPES = {"UINT8": np.uint8, "FP32": np.float32}
_CHANNELS = 3


@dataclass(frozen=True, slots=True)
class ModelInterface:
    """A model that takes one image tensor and gives class probabilities.

    Attributes:
        model: Its name.
        input_name: Name of the input tensor.
        datatype: `UINT8` (values 0 to 255) or `FP32` (values 0 to 1).
        height: In pixels.
        width: In pixels.
        channels_first: Whether an image is [3, height, width] instead of [height, width, 3].
        output_name: Name of the output tensor.
        max_batch_size: Images in one request; 0 when a request has no batch dimension.
        crop_fraction: How much of the largest centred rectangle the model sees, in (0, 1].
    """

    model: str
    input_name: str
    datatype: str
    height: int
    width: int
    channels_first: bool
    output_name: str
    max_batch_size: int
    crop_fraction: float

    @property
    def images_per_request(self) -> int:
        """How many images one request may hold."""
        return max(1, self.max_batch_size)

    def decode(self, image: Image) -> NDArray[Any]:
        """Reads and decodes `image` to the tensor of one image that the model takes.

        Raises:
            InvalidImage: The image cannot be read or decoded.
        """
        try:
            pixels = decode_crop(read_image(image), self.height, self.width, self.crop_fraction)
        except ImageError as error:
            raise InvalidImage(str(error)) from error
        if self.channels_first:
            pixels = pixels.transpose(2, 0, 1)
        return pixels if self.datatype == "UINT8" else pixels.astype(np.float32) / 255


def read_interface(metadata: Any, config: Any) -> ModelInterface:
    """Reads a model's interface from the server's `ModelMetadataResponse` and `ModelConfig`.

    Raises:
        UnsupportedModel: The model does not classify images.
    """
    model = metadata.name
    if len(metadata.inputs) != 1:
        raise UnsupportedModel(f"model '{model}' has {len(metadata.inputs)} inputs; a classifier of images has one")
    tensor = metadata.inputs[0]
    dims = list(tensor.shape[1:] if config.max_batch_size else tensor.shape)
    channels_first = dims[:1] == [_CHANNELS] and dims[-1:] != [_CHANNELS]
    height, width = _height_and_width(dims, channels_first=channels_first)
    if tensor.datatype not in _DTYPES or min(height, width) < 1:
        raise UnsupportedModel(
            f"input '{tensor.name}' of model '{model}' is {tensor.datatype} {dims}; the client can make images of "
            f"UINT8 or FP32 with a fixed height and width and {_CHANNELS} channels"
        )
    return ModelInterface(
        model=model,
        input_name=tensor.name,
        datatype=tensor.datatype,
        height=height,
        width=width,
        channels_first=channels_first,
        output_name=_output_name(model, config),
        max_batch_size=config.max_batch_size,
        crop_fraction=_crop_fraction(model, config),
    )


def _height_and_width(dims: list[int], *, channels_first: bool) -> tuple[int, int]:
    """Returns zeros for dimensions that are no image's."""
    if len(dims) != _CHANNELS or _CHANNELS not in (dims[0], dims[-1]):
        return 0, 0
    return (dims[1], dims[2]) if channels_first else (dims[0], dims[1])


def _output_name(model: str, config: Any) -> str:
    """Takes the output that has labels, or else the only one."""
    labelled = [output.name for output in config.output if output.label_filename]
    candidates = labelled or [output.name for output in config.output]
    if len(candidates) != 1:
        raise UnsupportedModel(f"model '{model}' has {len(candidates)} outputs that could be its classes")
    name: str = candidates[0]
    return name


def _crop_fraction(model: str, config: Any) -> float:
    text = config.parameters["CROP_FRACTION"].string_value if "CROP_FRACTION" in config.parameters else "1"
    try:
        fraction = float(text)
    except ValueError:
        fraction = 0.0
    if not 0 < fraction <= 1:
        raise UnsupportedModel(f"CROP_FRACTION of model '{model}' is '{text}', not a number above 0 and up to 1")
    return fraction
