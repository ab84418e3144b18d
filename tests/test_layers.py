"""The layers of the package, read from its imports."""

import ast
from pathlib import Path

import pytest

import exporter

PACKAGE = Path(exporter.__file__).parent
GROUND_MODULES = (
    "amounts",
    "arrow",
    "bounds",
    "cutting",
    "errors",
    "events",
    "fastzlib",
    "fastzstd",
    "ids",
    "logs",
    "members",
    "model",
    "normalize",
    "schema",
    "tasks",
    "timeline",
    "usage",
    "utf8",
)
GROUND = {"exporter", *(f"exporter.{name}" for name in GROUND_MODULES)}
ROOMS = ("encode", "source", "sink", "sandbox")
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    """Every module of the package that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            names |= {node.module or ""}
            names |= {f"{node.module}.{alias.name}" for alias in node.names if node.module == "exporter"}
    return {name for name in names if name.split(".")[0] == "exporter"}


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_do_not_know_one_another(room: str) -> None:
    """encode, source, sink and sandbox import the ground floor and themselves."""
    for path in (PACKAGE / room).rglob("*.py"):
        foreign = {
            name
            for name in imports_of(path)
            if name not in GROUND
            and not name.startswith((f"exporter.{room}", "exporter.errors.", "exporter.events.", "exporter.model."))
        }
        assert foreign - {"exporter.__version__"} == set(), path


def test_the_ground_floor_knows_nobody() -> None:
    """What all rooms stand on imports nothing of the package but one another."""
    for name in GROUND_MODULES:
        assert imports_of(PACKAGE / f"{name}.py") <= GROUND


def test_only_the_command_imports_the_command() -> None:
    """Nothing below the command line imports it."""
    for path in MODULES:
        if "cli" not in path.parts and path.name != "__main__.py":
            assert not any(name.startswith("exporter.cli") for name in imports_of(path)), path


def test_only_connections_know_aiohttp() -> None:
    """Three modules of the source speak to aiohttp; another only names a type of its."""
    knowing = {
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        if path.parent.name != "sandbox"
        and "import aiohttp" in path.read_text(encoding="utf-8").replace("from aiohttp", "import aiohttp")
    }
    assert knowing == {"source/body.py", "source/connection.py", "source/failures.py", "source/wire.py"}


def test_only_the_command_prints() -> None:
    """print() appears nowhere outside the command line."""
    for path in MODULES:
        calls = [
            node.func.id
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        assert "print" not in calls or "cli" in path.parts, path


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_files_stay_short(path: Path) -> None:
    """No file of the package goes over 300 lines."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
