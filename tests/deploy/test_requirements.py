from __future__ import annotations

import tomllib

import pytest

from deploy.docker.requirements import requirements
from tests.deploy.dockerfile import ROOT

PYPROJECT = ROOT / "pyproject.toml"


def test_an_image_installs_what_the_project_and_its_extra_require() -> None:
    """The load test's image gets the client's packages and Locust, and no torch."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    lines = requirements(PYPROJECT, ["loadtest"])
    assert set(lines) == {*project["dependencies"], *project["optional-dependencies"]["loadtest"]}
    assert not [line for line in lines if line.startswith("torch")]


def test_an_extra_that_does_not_exist_is_an_error() -> None:
    """A mistyped extra does not make an image without its packages."""
    with pytest.raises(KeyError, match="serving"):
        requirements(PYPROJECT, ["serving"])
