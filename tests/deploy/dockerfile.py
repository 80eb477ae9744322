"""The Dockerfile's stages, and a rehearsal of their steps in plain directories, with this environment as `/venv`."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
TRITON_DOCKERFILE = DOCKERFILE.with_name("triton.Dockerfile")

# Commands of RUN that make the system and the environment, for which this machine's own stand in.
_NOT_REHEARSED = re.compile(r"/venv(?!/bin/python -m (modeling|server))|apt-get|/var/lib|groupadd|useradd|/models\b")


@dataclass(frozen=True, slots=True)
class Copy:
    """One COPY: what is copied, out of which stage ("" for the build context), and where to."""

    source_stage: str
    sources: list[str]
    target: str


@dataclass(slots=True)
class Stage:
    """A stage: what it starts from and its instructions, in order."""

    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def values(self, instruction: str) -> list[str]:
        """What follows each instruction of this kind."""
        return [value for name, value in self.steps if name == instruction]

    def copies(self) -> list[Copy]:
        """Its COPY instructions."""
        return [parse_copy(value) for value in self.values("COPY")]


def parse_copy(value: str) -> Copy:
    """Read what follows COPY."""
    words = value.split()
    stage = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else ""
    return Copy(stage, words[:-1], words[-1])


def read_stages(path: Path = DOCKERFILE) -> dict[str, Stage]:
    """The stages by their names, in the file's order."""
    stages: dict[str, Stage] = {}
    with path.open("rb") as file:
        structure = DockerfileParser(fileobj=file).structure
    for item in structure:
        if item["instruction"] == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", item["value"]).groups()  # type: ignore[union-attr]
            stages[name] = stage = Stage(base)
        elif stages and item["instruction"] != "COMMENT":
            stage.steps.append((item["instruction"], item["value"]))
    return stages


def steps_of(stages: dict[str, Stage], name: str) -> list[tuple[str, str]]:
    """The steps that make the image of a stage, those of the stages it starts from included."""
    stage = stages[name]
    return [*(steps_of(stages, stage.base) if stage.base in stages else []), *stage.steps]


def environment_of(stages: dict[str, Stage], name: str) -> dict[str, str]:
    """The variables that an image sets."""
    values = [value for instruction, value in steps_of(stages, name) if instruction == "ENV"]
    return dict(item.split("=", 1) for value in values for item in shlex.split(value))


def context_files(root: Path = ROOT) -> list[Path]:
    """The files that .dockerignore leaves in the build context, relative to `root`; the last pattern that fits decides.

    Nothing is excluded by its parent alone once a later pattern takes the parent in, as in Docker.
    """
    lines = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    tops = [root / line[1:] for line in patterns if line.startswith("!")]
    files = {path for top in tops for path in (top.rglob("*") if top.is_dir() else [top]) if path.is_file()}
    return sorted(path.relative_to(root) for path in files if not _is_ignored(path.relative_to(root), patterns))


def _is_ignored(path: Path, patterns: list[str]) -> bool:
    ignored = False
    for pattern in patterns:
        expression = re.compile(_expression(pattern.removeprefix("!")))
        if any(expression.fullmatch(each.as_posix()) for each in (path, *path.parents)):
            ignored = not pattern.startswith("!")
    return ignored


def _expression(pattern: str) -> str:
    parts = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    split = re.split(r"(\*\*/|\*|\?|\[[^]]*\])", pattern)
    return "".join(part if part.startswith("[") else parts.get(part) or re.escape(part) for part in split)


class Rehearsal:
    """Stages built below `directory`, each in a folder of its own that stands for its root, with these `weights`."""

    def __init__(self, directory: Path, weights: str = "bundled") -> None:
        self._directory = directory
        self._weights = weights
        self._stages = read_stages()
        self._built: set[str] = set()
        self.ran: list[str] = []

    def build(self, name: str) -> Path:
        """Do the steps of a stage, and first of those that it needs; returns its root."""
        root = self._directory / name
        if name in self._built:
            return root
        shutil.rmtree(root, ignore_errors=True)  # of an attempt that failed
        stage = self._stages[name]
        if stage.base in self._stages:
            shutil.copytree(self.build(stage.base), root, symlinks=True)
        workdir = root
        for instruction, value in [*self._base_workdirs(stage), *stage.steps]:
            if instruction == "WORKDIR":
                workdir = root / value.lstrip("/")
                workdir.mkdir(parents=True, exist_ok=True)
            elif instruction == "COPY":
                self._copy(parse_copy(value), root, workdir)
            elif instruction == "RUN":
                self._run(value, root, workdir)
        self._built.add(name)
        return root

    def _base_workdirs(self, stage: Stage) -> list[tuple[str, str]]:
        steps = steps_of(self._stages, stage.base) if stage.base in self._stages else []
        return [step for step in steps if step[0] == "WORKDIR"]

    def _copy(self, copy: Copy, root: Path, workdir: Path) -> None:
        target = root / copy.target.lstrip("/") if copy.target.startswith("/") else workdir
        if copy.source_stage:
            origin = self.build(copy.source_stage)
            for source in copy.sources:
                if source != "/venv":
                    shutil.copytree(origin / source.lstrip("/"), target, dirs_exist_ok=True)
            return
        for path in context_files():
            for source in copy.sources:
                if source == "." or path.is_relative_to(source):
                    place = target / (path if source == "." or (ROOT / source).is_dir() else path.name)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / path, place)

    def _run(self, line: str, root: Path, workdir: Path) -> None:
        for command in line.split("&&"):
            if _NOT_REHEARSED.search(command):
                continue
            self.ran.append(command.strip())
            here = rehearsed(command, root).replace("${WEIGHTS}", self._weights)
            result = subprocess.run(["/bin/sh", "-c", here], cwd=workdir, capture_output=True, text=True, check=False)
            assert result.returncode == 0, f"{here}\n{result.stdout}{result.stderr}"


def rehearsed(text: str, root: Path) -> str:
    """A command of the Dockerfile with this machine's Python and with `root` before the paths of the image."""
    text = re.sub(r"(^|\s)(/venv/bin/)?python\b", rf"\1{sys.executable}", text)
    text = re.sub(r"^\s*pip install", f"{sys.executable} -m pip install --quiet --no-index --no-build-isolation", text)
    return re.sub(r"(?<![\w/.])/app\b", str(root / "app"), text)


def command_of(value: str) -> list[str]:
    """The words of an instruction in exec form; the shell form is an error."""
    words = json.loads(value)
    assert all(isinstance(word, str) for word in words)
    return list(words)
