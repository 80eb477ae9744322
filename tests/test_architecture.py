"""Who may import whom: the rooms of the house, and the one direction inside the server."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[1]
_ROOMS = ("proto", "imaging", "modeling", "server", "client", "loadtest", "deploy")

# Of our own rooms, those that each may import; itself always.
_MAY_IMPORT = {
    "proto": set(),
    "imaging": set(),
    "modeling": {"imaging"},
    "server": {"proto", "imaging"},
    "client": {"proto", "imaging"},
    "loadtest": {"client", "proto"},
    "deploy": set(),
}
# Of the libraries, those that a room must do without.
_NEVER = {
    "proto": {"torch", "numpy"},
    "imaging": {"torch", "grpc", "google", "tritonclient"},
    "modeling": {"grpc", "google", "tritonclient", "prometheus_client"},
    "server": {"locust", "matplotlib", "tqdm", "rich"},
    "client": {"torch", "prometheus_client", "aiohttp"},
    "loadtest": {"torch"},
}
# ... and modules of the server.
_NEVER_IN_SERVER = {
    "server.batching": {"torch", "grpc", "prometheus_client", "asyncio", "tritonclient", "numpy"},
    "server.request_queue": {
        "torch",
        "grpc",
        "prometheus_client",
        "asyncio",
        "tritonclient",
        "numpy",
        "threading",
        "time",
    },
    "server.cost": {"torch", "grpc", "prometheus_client", "asyncio", "tritonclient", "numpy", "threading", "time"},
    "server.warm_up": {"torch", "grpc", "prometheus_client", "asyncio", "tritonclient", "numpy", "time"},
    "server.engine": {"grpc", "prometheus_client", "asyncio", "tritonclient"},
    "server.catalogue": {"torch", "grpc", "prometheus_client", "asyncio"},
    "server.repository": {"torch", "grpc", "prometheus_client", "asyncio"},
    "server.repository_poll": {"torch", "grpc", "prometheus_client", "asyncio"},
    "server.version_loading": {"torch", "grpc", "prometheus_client", "asyncio"},
    "server.services": {"torch", "prometheus_client"},
    "server.metrics": {"torch", "grpc", "asyncio", "aiohttp"},
}
# From those that know nothing of the others to those that know all: a module imports only from lines above its own.
_ORDER = (
    ("server.errors", "server.addresses", "server.cpus", "server.daemon_thread", "server.log_sampling"),
    ("server.logs",),
    ("server.histogram", "server.cost", "server.tensor_types", "server.instance", "server.lease"),
    ("server.config_fields", "server.ensemble_config", "server.observed_request"),
    ("server.settings", "server.model_config", "server.model_directories", "server.request_queue", "server.statistics"),
    ("server.slow_requests", "server.tracing"),
    ("server.request_watch",),
    ("server.model_warmup",),
    ("server.warm_up",),
    ("server.batching", "server.engine"),
    ("server.python_backend",),
    ("server.ensemble_fit",),
    ("server.model",),
    ("server.load_error", "server.model_states"),
    ("server.ensemble",),
    ("server.catalogue", "server.version_loading"),
    ("server.ensemble_steps",),
    ("server.repository",),
    ("server.repository_poll",),
    ("server.services", "server.metrics", "server.live"),
    ("server.rpc_metrics", "server.event_loop_lag", "server.scrape"),
    ("server.http", "server.check"),
    ("server.app",),
    ("server.__main__",),
)  # fmt: skip


class Import(NamedTuple):
    """One import: who, whom, and where it stands."""

    module: str
    imported: str
    place: str


def _module_name(path: Path) -> str:
    parts = path.relative_to(_ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(room: str) -> Iterator[Import]:
    """Every import of a room's files, those inside functions and for type checkers included."""
    for path in sorted((_ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            place = f"{path.relative_to(_ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                yield from (Import(_module_name(path), alias.name, place) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{place}: relative imports hide who is meant"
                yield from (
                    Import(_module_name(path), _target(node.module or "", alias.name), place) for alias in node.names
                )


def _target(module: str, name: str) -> str:
    """`from module import name` means the module `module.name` if there is one, else something in `module`."""
    path = _ROOT.joinpath(*module.split("."), name)
    return f"{module}.{name}" if path.with_suffix(".py").exists() or path.is_dir() else module


def _is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def _layer(module: str) -> int:
    for number, packages in enumerate(_ORDER):
        if any(_is_within(module, package) for package in packages):
            return number
    pytest.fail(f"{module} has no place in the order of the server's modules")


@pytest.mark.parametrize("room", _ROOMS)
def test_rooms_keep_to_themselves(room: str) -> None:
    """A room imports its own modules and those of the rooms that the design names."""
    others = {*_ROOMS, "tests"} - {room, *_MAY_IMPORT[room]}
    assert [each for each in _imports(room) if each.imported.split(".")[0] in others] == []


@pytest.mark.parametrize("room", _NEVER)
def test_rooms_do_without_some_libraries(room: str) -> None:
    """What a room must not need is not imported anywhere in it."""
    assert [each for each in _imports(room) if each.imported.split(".")[0] in _NEVER[room]] == []


def test_the_house_has_the_rooms_that_are_checked() -> None:
    """Whoever adds a package finds it checked, or fails here."""
    packages = {path.parent.name for path in _ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= set(_ROOMS)
    assert set(_MAY_IMPORT) == set(_ROOMS)


def test_the_model_repository_is_no_room() -> None:
    """Triton's layout holds no code of ours, but for the steps that Triton runs itself."""
    files = [path.relative_to(_ROOT / "model_repository") for path in (_ROOT / "model_repository").rglob("*.py")]
    assert [path for path in files if path.name != "model.py" or len(path.parts) != 3] == []


def test_the_server_imports_in_one_direction() -> None:
    """A module knows only those that stand before it in the order, also in what it imports for type checkers."""
    wrong = [
        each
        for each in _imports("server")
        if _is_within(each.imported, "server")
        and each.imported != "server"
        and each.imported.split(".")[1] != each.module.split(".")[1]  # those of one package know each other
        and _layer(each.imported) >= _layer(each.module)
    ]
    assert wrong == []


def test_only_the_application_knows_the_services() -> None:
    """What answers requests is put together in one place."""
    outside = {
        each.module
        for each in _imports("server")
        if _is_within(each.imported, "server.services") and not _is_within(each.module, "server.services")
    }
    assert outside == {"server.app"}


def test_the_server_has_no_circles() -> None:
    """No module imports itself in a roundabout way."""
    edges: dict[str, set[str]] = {}
    for each in _imports("server"):
        if _is_within(each.imported, "server") and each.imported != each.module:
            edges.setdefault(each.module, set()).add(each.imported)
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for imported in sorted(edges.get(module, ())):
                visit(imported, (*path, module))
            done.add(module)

    for module in sorted(edges):
        visit(module, ())


@pytest.mark.parametrize("package", _NEVER_IN_SERVER)
def test_parts_of_the_server_do_without_some_libraries(package: str) -> None:
    """The batching core knows no framework and the services no tensors of torch."""
    imports = [each for each in _imports("server") if _is_within(each.module, package)]
    assert imports, "there is no such module"
    assert [each for each in imports if each.imported.split(".")[0] in _NEVER_IN_SERVER[package]] == []


def test_only_the_start_reads_the_environment() -> None:
    """Settings come from one place: nothing else in the server asks for environment variables."""
    readers = {
        path.relative_to(_ROOT).as_posix()
        for path in (_ROOT / "server").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    }
    assert readers == {"server/__main__.py"}


def test_importing_the_settings_loads_no_library() -> None:
    """`--help` is answered before torch is imported, and OpenMP's variables are set before it reads them."""
    loaded = {each.imported.split(".")[0] for each in _imports("server") if each.module == "server.settings"}
    assert loaded <= set(sys.stdlib_module_names) | {"server"}
