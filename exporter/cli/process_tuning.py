"""Process-wide settings: for the command, which has its process to itself. A library must not touch them."""

import os
import sys
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # as malloc.h of glibc numbers them
_MMAP_THRESHOLD_BYTES = 32 << 20  # older versions refuse more
_TRIM_THRESHOLD_BYTES = 64 << 20
_GC_THRESHOLD = 5_000
_MIN_COLUMNS, _MAX_COLUMNS = 40, 1_000
_MAX_OPEN_FILES = 4_096


def tune_process() -> None:
    """Keep memory for the next page, and collect cycles rarely.

    A page is some pieces of 400 kB, which glibc gives back to the system and
    asks for again each time: a tenth of a run went into that. What is kept is
    what was in use at once before. All threads share it: else each keeps what
    it used once, which is a few MB more, and Python lets one at a time run anyway.
    """
    import ctypes
    import gc

    gc.set_threshold(_GC_THRESHOLD)  # a page's records are hundreds of objects, and none is part of a cycle
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):  # glibc only
        libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES)
        libc.mallopt(_M_ARENA_MAX, 1)


def allow_open_files() -> None:
    """Allow this process as many open files as the system lets it: each cursor has a connection and a file."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def limit_columns() -> None:
    """Keep help and progress readable, and quick, where COLUMNS is a width that no terminal has."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit():
        os.environ["COLUMNS"] = str(min(max(int(columns[:5]), _MIN_COLUMNS), _MAX_COLUMNS))
