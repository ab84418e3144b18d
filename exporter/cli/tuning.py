"""Process-wide switches: for the command, which has its process to itself. A library must not touch them."""

import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # as malloc.h of glibc numbers them
_LARGEST_KEPT_BYTES = 32 << 20  # more is refused by older ones
_KEPT_BYTES = 64 << 20
_OBJECTS = 5_000
_LEAST_COLUMNS, _MOST_COLUMNS = 40, 1_000


def tune_process() -> None:
    """Keep memory for the next page, and look for cycles rarely.

    A page is some pieces of 400 kB, which glibc gives back to the system and
    asks for again each time: a tenth of a run went into that. What is kept is
    what was in use at once before. All threads share it: else each keeps what
    it used once, which is a few MB more, and Python lets one at a time run anyway.
    """
    import ctypes
    import gc

    gc.set_threshold(_OBJECTS)  # a page's records are hundreds of objects, and none is part of a cycle
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):  # glibc only
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_ARENA_MAX, 1)


def bound_columns() -> None:
    """Keep help and progress readable, and quick, where COLUMNS says a width that no terminal has."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit():
        os.environ["COLUMNS"] = str(min(max(int(columns[:5]), _LEAST_COLUMNS), _MOST_COLUMNS))
