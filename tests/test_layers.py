"""The layers of the package, read from its imports."""

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import exporter

PACKAGE = Path(exporter.__file__).parent
LAYERS = (
    {"_version", "compression", "errors", "extras", "model", "rawjson", "tasks", "text", "validation"},
    {"formats", "observe"},
    {"layout"},
    {"options", "state"},
    {"archive", "destination", "sandbox", "source"},
    {"estimate", "exports", "job", "pipeline", "preflight", "ranges", "streams"},
    {"__init__", "__main__", "cli"},
)
"""Modules and packages below `exporter`, from the ground up. A layer imports those below it."""
APART = {"archive", "destination", "sandbox", "source"}
"""Packages that do not import one another."""
MODULES = sorted(PACKAGE.rglob("*.py"))


@cache
def imports_of(path: Path) -> set[str]:
    """Return every module of the package that a file imports, wherever in it, as dotted names below `exporter`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            is_package = PACKAGE.parent.joinpath(*(node.module or "").split(".")).is_dir()
            names |= {f"{node.module}.{alias.name}" if is_package else node.module or "" for alias in node.names}
    return {name.removeprefix("exporter.") for name in names if name.startswith("exporter.")}


def name_of(path: Path) -> str:
    """Return a module's dotted name below `exporter`."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def room_of(name: str) -> str:
    """Return the package below `exporter` that holds a module, or the module itself; `__init__` for public names."""
    first = name.split(".", maxsplit=1)[0]
    return first if any(first in layer for layer in LAYERS) else "__init__"


def layer_of(room: str) -> int:
    """Return the number of a room's layer."""
    return next(number for number, layer in enumerate(LAYERS) if room in layer)


def test_modules_all_have_a_layer() -> None:
    """A new module at the package's root is added to LAYERS on purpose; there are at most 18 of them."""
    at_root = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.parent.name for path in PACKAGE.glob("*/__init__.py")
    }
    assert at_root == set().union(*LAYERS)
    assert len([*PACKAGE.glob("*.py")]) <= 18


def test_layers_import_only_those_below() -> None:
    """No import runs up, and none between packages that are to stay apart."""
    for path in MODULES:
        room = room_of(name_of(path))
        rooms = {room_of(name) for name in imports_of(path)} - {room}
        assert {other for other in rooms if layer_of(other) > layer_of(room)} == set(), path
        assert room not in APART or not rooms & APART, path


def test_modules_import_one_another_in_no_circle() -> None:
    """Also within a layer, and also by imports inside functions."""
    known = {name_of(path).removesuffix(".__init__") for path in MODULES}
    imported = {name_of(path).removesuffix(".__init__"): imports_of(path) for path in MODULES}
    arrows = {
        name: {next((n for n in (other, other.rpartition(".")[0]) if n in known), "") for other in others} - {"", name}
        for name, others in imported.items()
    }
    list(TopologicalSorter(arrows).static_order())


def test_no_other_package_imports_cli() -> None:
    """Nothing below the command line imports it."""
    for path in MODULES:
        if "cli" not in path.parts and path.name != "__main__.py":
            assert not any(name.startswith("cli") for name in imports_of(path)), path


def test_only_connection_modules_import_aiohttp() -> None:
    """Three modules of the source speak to aiohttp; another only names a type of its."""
    knowing = {
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        if path.parent.name != "sandbox"
        and "import aiohttp" in path.read_text(encoding="utf-8").replace("from aiohttp", "import aiohttp")
    }
    assert knowing == {"source/body.py", "source/session.py", "source/connection_errors.py", "source/http_parser.py"}


def test_no_other_package_prints() -> None:
    """print() appears nowhere outside the command line."""
    for path in MODULES:
        calls = [
            node.func.id
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        assert "print" not in calls or "cli" in path.parts, path


def test_files_stay_short() -> None:
    """No file of the package goes over 300 lines."""
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > 300} == {}
