"""What `initialize` of a model in Python is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from server.model_config import ModelConfig


def initialize_arguments(config: ModelConfig, directory: Path, version: int, instance: int) -> dict[str, str]:
    """The arguments for the `instance`-th instance of a model in `directory`, by Triton's names."""
    return {
        "model_config": json.dumps(config_json(config.proto), separators=(",", ":")),
        "model_instance_kind": "CPU",
        "model_instance_name": f"{config.name}_0_{instance}",
        "model_instance_device_id": "0",
        "model_repository": str(directory),
        "model_version": str(version),
        "model_name": config.name,
    }


def config_json(message: Any) -> dict[str, Any]:
    """A config as Triton writes it in JSON: every field but those of messages that are not set, whole numbers as such.

    protobuf's own JSON makes strings of 64-bit numbers.
    """
    result: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            plain = field.message_type.fields_by_name["value"]
            result[field.name] = {str(key): _json(value[key], plain) for key in value}
        elif field.is_repeated:
            result[field.name] = [_json(item, field) for item in value]
        elif not field.has_presence or message.HasField(field.name):
            result[field.name] = _json(value, field)
    return result


def _json(value: Any, field: Any) -> Any:
    if field.message_type is not None:
        return config_json(value)
    return field.enum_type.values_by_number[value].name if field.enum_type is not None else value
