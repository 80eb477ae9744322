"""The first step of an ensemble that takes encoded images: JPEG, PNG, WebP or GIF to the pixels of the network's crop.

One element of the input is one file. The output's dims say what the network takes: UINT8 [height, width, 3], or
FP32 [3, height, width] from 0 to 1; the parameter CROP_FRACTION says how much of the shorter side the crop keeps,
MAX_IMAGE_BYTES and MAX_IMAGE_PIXELS what a file may cost (268435456 and 134217728 where they are not there).

It runs under CoordServe's server and under Triton's python backend. There it needs CoordServe's package `imaging`, with
Pillow and simplejpeg, in the Python that runs it: `pip install .` in a checkout. Without them Triton loads it all the
same, so that other models of the repository are served, and each request is answered with what is missing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import triton_python_backend_utils as pb_utils

try:
    import imaging

    MISSING = ""
except ImportError as error:
    MISSING = f"images cannot be decoded here, as Python packages are missing ({error}): install CoordServe's"

LIMITS = {"MAX_IMAGE_BYTES": "max_bytes", "MAX_IMAGE_PIXELS": "max_pixels"}

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class TritonPythonModel:
    """One instance of the step."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the configuration, which comes as JSON in `args["model_config"]`."""
        config = json.loads(args["model_config"])
        [image], [pixels] = config["input"], config["output"]
        self._input, self._output = image["name"], pixels["name"]
        self._channels_first = pixels["data_type"] == "TYPE_FP32"
        self._height, self._width = map(int, pixels["dims"][1:] if self._channels_first else pixels["dims"][:2])
        parameters = {name: value["string_value"] for name, value in config["parameters"].items()}
        self._crop_fraction = float(parameters.get("CROP_FRACTION", 1))
        if MISSING:
            pb_utils.Logger.log_error(MISSING)
        else:
            given = {LIMITS[name]: int(value) for name, value in parameters.items() if name in LIMITS}
            self._limits = imaging.Limits(**given)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request by itself: one that cannot be decoded fails alone."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        if MISSING:
            return _failed(MISSING, pb_utils.TritonError.UNSUPPORTED)
        files = pb_utils.get_input_tensor_by_name(request, self._input).as_numpy().ravel()
        crops = []
        for index, file in enumerate(files):
            if request.is_cancelled():
                return _failed("cancelled", pb_utils.TritonError.CANCELLED)
            try:
                crops.append(self._crop(file))
            except imaging.ImageError as error:
                which = f"image {index} of {len(files)}: " if len(files) > 1 else ""
                return _failed(f"{which}{error}", pb_utils.TritonError.INVALID_ARG)
        return pb_utils.InferenceResponse([pb_utils.Tensor(self._output, np.stack(crops))])

    def _crop(self, file: bytes) -> NDArray[Any]:
        crop: NDArray[Any] = imaging.decode_crop(file, self._height, self._width, self._crop_fraction, self._limits)
        if self._channels_first:
            return np.ascontiguousarray(crop.transpose(2, 0, 1), np.float32) / np.float32(255)
        return crop


def _failed(text: str, code: int) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(text, code))
