from __future__ import annotations

import numpy as np
import pytest
import torch

from server.python_backend import triton_python_backend_utils as pb_utils


def test_tensors_share_memory_by_dlpack() -> None:
    """Nothing is copied from or to torch."""
    source = torch.arange(6).reshape(2, 3)
    tensor = pb_utils.Tensor.from_dlpack("T", source)
    source[0, 0] = 7
    assert tensor.as_numpy().tolist() == [[7, 1, 2], [3, 4, 5]]
    assert torch.from_dlpack(tensor).data_ptr() == source.data_ptr()
    assert tensor.shape() == (2, 3)
    assert tensor.is_cpu()


def test_tensors_take_capsules() -> None:
    """What to_dlpack gives, from_dlpack takes."""
    tensor = pb_utils.Tensor("T", np.arange(3))
    assert pb_utils.Tensor.from_dlpack("U", tensor.to_dlpack()).as_numpy().tolist() == [0, 1, 2]


def test_tensors_are_found_by_name() -> None:
    """By name among a response's tensors; what is not there is None."""
    response = pb_utils.InferenceResponse([pb_utils.Tensor("A", np.zeros(1)), pb_utils.Tensor("B", np.ones(1))])
    found = pb_utils.get_output_tensor_by_name(response, "B")
    assert found is not None
    assert found.as_numpy().tolist() == [1]
    assert pb_utils.get_output_tensor_by_name(response, "C") is None
    assert not response.has_error()


def test_configurations_are_found_by_name() -> None:
    """By name among the inputs or outputs; what is not there is None."""
    config = {"input": [{"name": "A"}], "output": [{"name": "B", "dims": [3]}]}
    assert pb_utils.get_output_config_by_name(config, "B") == {"name": "B", "dims": [3]}
    assert pb_utils.get_input_config_by_name(config, "A") == {"name": "A"}
    assert pb_utils.get_output_config_by_name(config, "A") is None
    assert not pb_utils.using_decoupled_model_transaction_policy(config)


@pytest.mark.parametrize(
    ("name", "dtype"), [("TYPE_STRING", np.object_), ("TYPE_UINT8", np.uint8), ("TYPE_BOOL", bool)]
)
def test_types_have_numpys(name: str, dtype: type) -> None:
    """A name of config.pbtxt gives numpy's type."""
    assert pb_utils.triton_string_to_numpy(name) is dtype
