"""What a real Triton was seen to say of wrong requests to the models of the fixture `configs`."""

from __future__ import annotations

NOTE = (
    " NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each"
    " input shape. If you want to specify the full shape including the batch dim in your input dims config, try setting"
    " max_batch_size to zero. See the model configuration docs for more info on max_batch_size."
)
R7 = "[request id: r7] "
UNKNOWN_INPUT = "unexpected inference input 'OTHER' for model 'img'"
UNKNOWN_OUTPUT = "unexpected inference output 'OTHER' for model 'img'"
NO_DATA = "unable to find data for input tensor 'INPUT__0' for model 'img' in request."
BOTH = "contents field must not be specified when using raw_input_contents for 'INPUT__0' for model 'img'"
TOO_LARGE = R7 + "inference request batch-size must be <= 8 for 'img'"
TIMEOUT = "invalid value type for 'timeout' parameter, expected int64_param."
NO_CLASSES = "invalid value for 'classification' parameter, expected >= 0"


def wrong_shape(got: str, model: str = "img", expected: str = "[-1,4,4,3]", note: str = NOTE) -> str:
    """An input of another shape than the model's."""
    return f"unexpected shape for input 'INPUT__0' for model '{model}'. Expected {expected}, got {got}.{note}"


def wrong_size(expected: int, got: int) -> str:
    """More or fewer bytes than the shape takes."""
    return f"{R7}input byte size mismatch for input 'INPUT__0' for model 'img'. Expected {expected}, got {got}"


def wrong_kind(kind: str, declared: str = "UINT8") -> str:
    """Numbers of another kind than the input's."""
    return (
        "unexpected explicit tensor data for input tensor 'INPUT__0' for model 'img' of type"
        f" '{kind}', expected datatype '{declared}'"
    )


def wrong_type(got: str) -> str:
    """Another type than the model's."""
    return f"{R7}inference input 'INPUT__0' data-type is '{got}', but model 'img' expects 'UINT8'"


def wrong_count(expected: int, got: str, missing: str, model: str = "img") -> str:
    """Inputs that are missing, or too many."""
    return (
        f"expected {expected} inputs but got {got.count(',') + bool(got)} inputs for model '{model}'. Got input(s)"
        f" [{got}], but missing required input(s) [{missing}]. Please provide all required input(s)."
    )
