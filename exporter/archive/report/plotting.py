"""matplotlib as the report needs it: the same on every machine, silent, and without a folder that can be written.

By itself it reads settings of the user's and of the current folder, and without
a home it makes a temporary folder and says so. Where it cannot write it builds
its list of fonts anew each time, which takes about a second.
"""

import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

_NOWHERE = os.path.join(os.devnull, "matplotlib")  # noqa: PTH118 - text, below what is no folder
_XDG_SYSTEMS = ("linux", "freebsd")


@cache
def plotting() -> ModuleType:
    """Return matplotlib, imported without a word and without a trace.

    Raises:
        ImportError: it is not installed.
    """
    with _silent():
        with _environment("MATPLOTLIBRC", _default_settings()):
            import matplotlib as mpl  # noqa: PLC0415 - it needs an extra
        with _folders(mpl):
            import matplotlib.backends.backend_svg  # noqa: PLC0415 - the same
            import matplotlib.figure  # noqa: PLC0415 - the same
    return mpl


def default_style(mpl: ModuleType) -> dict[str, object]:
    """Return the settings that matplotlib has where nobody has changed them."""
    return {name: value for name, value in mpl.rcParamsDefault.items() if name != "backend"}


def _default_settings() -> str:
    """Return the path of the settings that matplotlib brings along; with them it looks for no others."""
    package = importlib.util.find_spec("matplotlib")
    if package is None or package.origin is None:
        raise ImportError("matplotlib is not installed")
    return str(Path(package.origin).with_name("mpl-data") / "matplotlibrc")


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Change a variable of the environment for as long as the block lasts."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def _silent() -> Iterator[None]:
    """Let matplotlib log nothing: a list of fonts that takes long, or cannot be kept, is no concern of the user's."""
    log = logging.getLogger("matplotlib")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


@contextmanager
def _folders(mpl: Any) -> Iterator[None]:
    """Keep matplotlib from making folders: it has no settings, and of its list of fonts reading is enough."""
    before = mpl.get_configdir, mpl.get_cachedir
    mpl.get_configdir = lambda: _NOWHERE
    folder = _cache_folder()
    if not os.access(folder, os.W_OK):  # else it would look for one that it can write, and say so
        mpl.get_cachedir = lambda: str(folder)
    try:
        yield
    finally:
        mpl.get_configdir, mpl.get_cachedir = before


def _cache_folder() -> Path:
    """Return the folder that matplotlib keeps its list of fonts in, made if possible; one that cannot be if unknown."""
    try:
        if named := os.environ.get("MPLCONFIGDIR"):
            folder = Path(named)
        elif sys.platform.startswith(_XDG_SYSTEMS):
            folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "matplotlib")
        else:
            folder = Path.home() / ".matplotlib"
        folder.mkdir(parents=True, exist_ok=True)
    except RuntimeError:  # there is no home
        folder = Path(_NOWHERE)
    except OSError:
        pass
    return folder
