"""A disk on which one of the system calls of this process fails."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CALLS = ("open", "write", "fsync", "ftruncate", "replace", "rename", "unlink", "mkdir")


class FailingDisk:
    """Stands between this process and a folder, and makes one of the calls fail that would change it.

    The real disk is not synced.

    Args:
        root: the folder.
        number: which call, from 1.
        code: the error's number; None makes a write take only half of what it is given.
        lasting: whether all calls fail from then on.

    Attributes:
        calls: the names of all calls so far.
    """

    def __init__(self, root: Path, number: int, code: int | None, *, lasting: bool = False) -> None:
        self.calls: list[str] = []
        self._root = f"{root}/"
        self._number, self._code, self._lasting = number, code, lasting
        self._descriptors: set[int] = set()
        self._real = {name: getattr(os, name) for name in CALLS}

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Replace the system calls for the length of a block."""
        with pytest.MonkeyPatch.context() as patches:
            for name in CALLS:
                patches.setattr(os, name, self._open if name == "open" else self._replacement_of(name))
            yield

    @property
    def has_failed(self) -> bool:
        """Whether the call that has to fail was made."""
        return len(self.calls) >= self._number

    def _open(self, path: Any, *others: Any, **more: Any) -> int:
        descriptor: int = self._replacement_of("open")(path, *others, **more)
        (self._descriptors.add if self._is_below(path) else self._descriptors.discard)(descriptor)
        return descriptor

    def _replacement_of(self, name: str) -> Callable[..., Any]:
        def call(what: Any, *others: Any, **more: Any) -> Any:
            if self._is_below(what):
                self.calls.append(name)
                if len(self.calls) == self._number or (self._lasting and self.has_failed):
                    others = self._fail(name, others)
                if name == "fsync":
                    return None
            return self._real[name](what, *others, **more)

        return call

    def _fail(self, name: str, others: tuple[Any, ...]) -> tuple[Any, ...]:
        """Raise, or return less for the call to do."""
        if self._code is not None:
            raise OSError(self._code, os.strerror(self._code))
        return (others[0][: -(-len(others[0]) // 2)],) if name == "write" else others

    def _is_below(self, what: Any) -> bool:
        return what in self._descriptors if isinstance(what, int) else f"{what}/".startswith(self._root)
