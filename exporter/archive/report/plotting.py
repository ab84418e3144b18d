"""matplotlib for the report: with the same settings on every machine, without messages, also on a read-only disk.

By default matplotlib reads settings from the user's home and from the current
folder. Without a home folder it creates a temporary folder and logs a warning.
If it cannot write its list of fonts to a file, it builds the list in each run,
which takes about a second.
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

_IMPOSSIBLE_FOLDER = os.path.join(os.devnull, "matplotlib")  # noqa: PTH118 - a str; /dev/null is not a folder
_XDG_SYSTEMS = ("linux", "freebsd")


@cache
def plotting() -> ModuleType:
    """Return matplotlib, imported without messages and without new folders.

    Raises:
        ImportError: matplotlib is not installed.
    """
    with _silent():
        with _environment("MATPLOTLIBRC", _default_settings()):
            import matplotlib as mpl  # noqa: PLC0415 - it needs an extra
        with _folders(mpl):
            import matplotlib.backends.backend_svg  # noqa: PLC0415 - same as above
            import matplotlib.figure  # noqa: PLC0415 - same as above
    return mpl


def default_style(mpl: ModuleType) -> dict[str, object]:
    """Return matplotlib's default settings, without those of the user or of the host application."""
    return {name: value for name, value in mpl.rcParamsDefault.items() if name != "backend"}


def _default_settings() -> str:
    """Return the path of the settings file in matplotlib's package; matplotlib then reads no other settings file."""
    package = importlib.util.find_spec("matplotlib")
    if package is None or package.origin is None:
        raise ImportError("matplotlib is not installed")
    return str(Path(package.origin).with_name("mpl-data") / "matplotlibrc")


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable for the duration of the block."""
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
    """Disable matplotlib's log for the duration of the block: its messages are about the list of fonts only."""
    log = logging.getLogger("matplotlib")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


@contextmanager
def _folders(mpl: Any) -> Iterator[None]:
    """Prevent matplotlib from creating folders for the duration of the block.

    It gets no settings folder, and a cache folder without write permission is
    used anyway: it is enough to read the list of fonts from it.
    """
    before = mpl.get_configdir, mpl.get_cachedir
    mpl.get_configdir = lambda: _IMPOSSIBLE_FOLDER
    folder = _cache_folder()
    if not os.access(folder, os.W_OK):  # else matplotlib creates a temporary folder and logs a warning
        mpl.get_cachedir = lambda: str(folder)
    try:
        yield
    finally:
        mpl.get_configdir, mpl.get_cachedir = before


def _cache_folder() -> Path:
    """Return the folder of matplotlib's list of fonts; create it if possible.

    Returns:
        The folder, or a path that cannot exist if there is no home folder.
    """
    try:
        if configured := os.environ.get("MPLCONFIGDIR"):
            folder = Path(configured)
        elif sys.platform.startswith(_XDG_SYSTEMS):
            folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "matplotlib")
        else:
            folder = Path.home() / ".matplotlib"
        folder.mkdir(parents=True, exist_ok=True)
    except RuntimeError:  # there is no home folder
        folder = Path(_IMPOSSIBLE_FOLDER)
    except OSError:
        pass
    return folder
