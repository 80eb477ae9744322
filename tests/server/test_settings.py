from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from server.settings import Settings


def _read(*arguments: str, **environment: str) -> Settings:
    return Settings.from_command_line(arguments, {f"COORDSERVE_{name}": value for name, value in environment.items()})


def _mistake(capsys: pytest.CaptureFixture[str], *arguments: str, **environment: str) -> str:
    with pytest.raises(SystemExit) as raised:
        _read(*arguments, **environment)
    assert raised.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert "Traceback" not in output.err
    return output.err


def test_without_anything_there_are_defaults() -> None:
    """The server starts with no option at all, and listens to this machine alone."""
    settings = _read()
    assert settings == Settings()
    assert (settings.host, settings.grpc_port, settings.metrics_port) == ("127.0.0.1", 8001, 8002)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("model_repository", "/models", Path("/models")),
        ("host", "::", "::"),
        ("grpc_port", "0", 0),
        ("metrics_port", "65535", 65535),
        ("model_control_mode", "explicit", "explicit"),
        ("repository_poll_seconds", "0.5", 0.5),
        ("latency_objective_seconds", "0.25", 0.25),
        ("queue_capacity", "1", 1),
        ("max_message_bytes", "1000", 1000),
        ("max_image_bytes", "1000", 1000),
        ("max_image_pixels", "1000", 1000),
        ("lame_duck_seconds", "0", 0.0),
        ("grace_seconds", "1.5", 1.5),
        ("log_level", "debug", "debug"),
    ],
)
def test_the_command_line_wins_over_the_environment(name: str, text: str, value: object) -> None:
    """Each setting comes from its option, else from its variable, else it has its default."""
    option, variable = "--" + name.replace("_", "-"), name.upper()
    other = str(getattr(Settings(), name))
    assert getattr(_read(option, text), name) == value
    assert getattr(_read(**{variable: text}), name) == value
    assert getattr(_read(option, text, **{variable: other}), name) == value
    assert getattr(_read(option, other, **{variable: text}), name) == getattr(Settings(), name)


def test_a_choice_in_a_variable_may_be_in_capitals() -> None:
    """Shells often have LOG_LEVEL=INFO."""
    assert _read(LOG_LEVEL="INFO").log_level == "info"


def test_every_field_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    """--help shows each of them, and exits with 0."""
    with pytest.raises(SystemExit) as raised:
        _read("--help")
    assert raised.value.code == 0
    text = capsys.readouterr().out
    assert [item.name for item in dataclasses.fields(Settings) if "--" + item.name.replace("_", "-") not in text] == []


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("true", True), ("YES", True), ("on", True), ("0", False), ("False", False), ("off", False)],
)
def test_a_flag_can_be_a_variable(text: str, value: bool) -> None:  # noqa: FBT001 - it is the expected value
    """Flags have words in the environment, and two options that win over it."""
    assert _read(STRICT_READINESS=text).strict_readiness is value
    assert _read("--strict-readiness", STRICT_READINESS=text).strict_readiness is True
    assert _read("--no-strict-readiness", STRICT_READINESS=text).strict_readiness is False


def test_models_to_load_are_a_list() -> None:
    """The option may be given again, the variable has commas, and the one replaces the other."""
    mode = ("--model-control-mode", "explicit")
    assert _read(*mode, "--load-model", "a", "--load-model", "b").load_model == ("a", "b")
    assert _read(*mode, LOAD_MODEL="a,b,").load_model == ("a", "b")
    assert _read(*mode, "--load-model", "c", LOAD_MODEL="a,b").load_model == ("c",)


@pytest.mark.parametrize("item", [item.name for item in dataclasses.fields(Settings)])
def test_an_empty_variable_is_none(item: str) -> None:
    """What a deployment leaves empty is not set."""
    assert _read(**{item.upper(): ""}) == Settings()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--grpc-port", "x"], "--grpc-port: invalid int value: 'x'"),
        (["--grpc-port", "65536"], "--grpc-port must be 0 to 65535"),
        (["--metrics-port", "-1"], "--metrics-port must be 0 to 65535"),
        (["--grpc-port", "9" * 5000], "invalid int value"),
        (["--queue-capacity", "0"], "--queue-capacity must be at least 1"),
        (["--max-message-bytes", "0"], "--max-message-bytes must be at least 1"),
        (["--max-message-bytes", str(1 << 31)], "--max-message-bytes must be below 2 GiB"),
        (["--max-image-bytes", "-5"], "--max-image-bytes must be at least 1"),
        (["--max-image-pixels", "0"], "--max-image-pixels must be at least 1"),
        (["--lame-duck-seconds", "-1"], "--lame-duck-seconds must be 0 or more seconds"),
        (["--repository-poll-seconds", "0"], "--repository-poll-seconds must be above 0"),
        (["--latency-objective-seconds", "nan"], "--latency-objective-seconds must be above 0"),
        (["--grace-seconds", "nan"], "--grace-seconds must be 0 or more seconds"),
        (["--grace-seconds", "inf"], "--grace-seconds must be 0 or more seconds"),
        (["--model-control-mode", "sometimes"], "invalid choice: 'sometimes'"),
        (["--log-level", "loud"], "invalid choice: 'loud'"),
        (["--load-model", "a"], "--load-model needs --model-control-mode explicit"),
        (["--unknown"], "unrecognized arguments: --unknown"),
        (["model_repository"], "unrecognized arguments: model_repository"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    """The exit status is 2 and the line says what is wrong."""
    assert text in _mistake(capsys, *arguments)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("GRPC_PORT", "x", "invalid int value: 'x'"),
        ("GRPC_PORT", "65536", "--grpc-port must be 0 to 65535"),
        ("GRACE_SECONDS", "soon", "invalid float value: 'soon'"),
        ("LOG_LEVEL", "loud", "COORDSERVE_LOG_LEVEL must be one of debug, info, warning, error"),
        ("MODEL_CONTROL_MODE", "sometimes", "COORDSERVE_MODEL_CONTROL_MODE must be one of none, poll, explicit"),
        ("STRICT_READINESS", "ture", "COORDSERVE_STRICT_READINESS must be one of"),
        ("LOAD_MODEL", "a", "--load-model needs --model-control-mode explicit"),
    ],
)
def test_a_mistake_in_the_environment_is_one_line(
    capsys: pytest.CaptureFixture[str], name: str, value: str, text: str
) -> None:
    """Variables are checked as options are."""
    assert text in _mistake(capsys, **{name: value})


def test_other_variables_are_nobodys_business() -> None:
    """Only those of the fields are read."""
    assert Settings.from_command_line([], {"GRPC_PORT": "x", "COORDSERVE_OTHER": "x"}) == Settings()
