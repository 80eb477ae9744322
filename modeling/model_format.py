"""The formats that a model is exported in: which of a server's engines loads it, and under which name."""

from __future__ import annotations

from enum import StrEnum


class ModelFormat(StrEnum):
    """What a model's file is."""

    TORCHSCRIPT = "torchscript"  # served by this project's server and by Triton
    ONNX = "onnx"  # served by Triton, and run by whatever else runs ONNX

    @property
    def platform(self) -> str:
        """Triton's name of what loads it."""
        return "pytorch_libtorch" if self is ModelFormat.TORCHSCRIPT else "onnxruntime_onnx"

    @property
    def file_name(self) -> str:
        """The file's name in a version's folder."""
        return "model.pt" if self is ModelFormat.TORCHSCRIPT else "model.onnx"

    @property
    def threads_parameter(self) -> str:
        """The parameter in `config.pbtxt` that gives an instance's number of threads."""
        return "INTRA_OP_THREAD_COUNT" if self is ModelFormat.TORCHSCRIPT else "intra_op_thread_count"
