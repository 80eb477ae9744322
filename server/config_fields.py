"""Which fields of a config.pbtxt this server honours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_HONOURED = {
    "name",
    "platform",
    "backend",
    "max_batch_size",
    "default_model_filename",
    "input.name",
    "input.data_type",
    "input.format",  # checked, and told in ModelConfig
    "input.dims",
    "output.name",
    "output.data_type",
    "output.dims",
    "output.label_filename",
    "parameters",  # each one is looked at by itself
    "version_policy.all",
    "version_policy.latest.num_versions",
    "version_policy.specific.versions",
    "dynamic_batching.max_queue_delay_microseconds",
    "dynamic_batching.default_queue_policy.default_timeout_microseconds",
    "dynamic_batching.default_queue_policy.allow_timeout_override",
    "dynamic_batching.default_queue_policy.max_queue_size",
    "instance_group.name",
    "instance_group.kind",
    "instance_group.count",
    "model_warmup",
    "ensemble_scheduling.step.model_name",
    "ensemble_scheduling.step.model_version",
    "ensemble_scheduling.step.input_map",
    "ensemble_scheduling.step.output_map",
}
_PARAMETERS = {"CROP_FRACTION", "INTRA_OP_THREAD_COUNT"}


def ignored(proto: Any) -> Iterator[str]:
    """Paths of fields that are set in the file and have no effect here."""
    yield from dict.fromkeys(_without_effect(proto, ""))
    yield from (f"parameters.{key}" for key in proto.parameters if not _is_honoured(proto, key))


def parameter(proto: Any, key: str) -> str:
    """The text of one of the model's `parameters`; empty where it is not set."""
    return str(proto.parameters[key].string_value) if key in proto.parameters else ""


def _is_honoured(proto: Any, key: str) -> bool:
    inference_mode = key == "INFERENCE_MODE" and parameter(proto, key).lower() in ("true", "1")  # it is never off
    for_its_own_code = proto.backend == "python"
    return key in _PARAMETERS or inference_mode or for_its_own_code


def _without_effect(message: Any, prefix: str) -> Iterator[str]:
    for field, value in message.ListFields():
        path = prefix + field.name
        if path in _HONOURED:
            continue
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            yield path
            continue
        for item in value if field.is_repeated else [value]:
            if item.ListFields():
                yield from _without_effect(item, path + ".")
            elif not any(honoured.startswith(path + ".") for honoured in _HONOURED):
                yield path
