"""A model of a disk: what processes see, and what may be left of it when a process dies or the power fails."""

import itertools
import re
import shutil
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

Tree: TypeAlias = dict[str, bytes | None]
"""What is below a folder: names, and the bytes of each file; None stands for a folder."""

_MAX_PENDING_NAMES = 4
_DIFFERENT_IN_EACH_RUN = re.compile(
    rb'("(?:started_at|finished_at|runs|interruptions|requests|rate_limit_wait_s)": )[^,\n]*|("timeline": )[^\n]*'
)


@dataclass(eq=False, slots=True)
class Node:
    """A file or a folder without its name: the bytes that processes see, and those that the disk has."""

    cached: bytes | None
    synced: bytes | None

    def possible_contents(self) -> set[bytes | None]:
        """Return what the disk may have: what was synced, all that was written, or that with garbage in it."""
        cached, synced = self.cached, self.synced
        if cached is None or synced is None or cached == synced:
            return {synced}
        safe = min(len(cached), len(synced)) if cached.startswith(synced) or synced.startswith(cached) else 0
        return {synced, cached, cached[:safe] + b"#" * (len(cached) - safe)}


Names: TypeAlias = dict[str, Node]
Change: TypeAlias = Mapping[str, Node | None]


class Disk:
    """What is below a folder, for processes and on the disk.

    Args:
        tree: what is there, all of it synced.
        history: what happened before, for the message of a failure.
        deaths: how many deaths left it like this.

    Attributes:
        names: what processes see.
    """

    def __init__(self, tree: Tree, history: str = "", deaths: int = 0) -> None:
        self.names: Names = {name: Node(content, content) for name, content in tree.items()}
        self.history = history
        self.deaths = deaths
        self._synced = dict(self.names)
        self._pending: list[Change] = []

    def change(self, change: Change) -> None:
        """Name nodes or remove names, all at once; the disk has the change once the folder is synced."""
        self._pending.append(change)
        _apply(change, self.names)
        if len(self._pending) > _MAX_PENDING_NAMES:  # a disk writes by itself after some time
            _apply(self._pending.pop(0), self._synced)

    def sync_folder(self, folder: str) -> None:
        """Write the names in a folder to the disk."""
        pending, self._pending = self._pending, []
        for change in pending:
            if any(_folder(name) == folder for name in change):
                _apply(change, self._synced)
            else:
                self._pending.append(change)

    def tree(self) -> Tree:
        """Return what processes see."""
        return {name: node.cached for name, node in self.names.items()}

    def after_a_kill(self, words: str) -> "Disk":
        """Return a copy for the next process; what was not synced is still not synced."""
        copies: dict[Node, Node] = {}

        def copied(names: Mapping[str, Any]) -> dict[str, Any]:
            return {
                name: node and copies.setdefault(node, Node(node.cached, node.synced)) for name, node in names.items()
            }

        disk = Disk({}, f"{self.history}\nkilled {words}", self.deaths + 1)
        disk.names, disk._synced = copied(self.names), copied(self._synced)
        disk._pending = [copied(change) for change in self._pending]
        return disk

    def after_a_power_cut(self, words: str) -> Iterator["Disk"]:
        """Return every disk that may be left: any of the changed names, and any of the unsynced contents."""
        for kept in itertools.product((False, True), repeat=len(self._pending)):
            names = dict(self._synced)
            for change in itertools.compress(self._pending, kept):
                _apply(change, names)
            for tree in _contents_of(names):
                left = ", ".join(f"{name} ({len(content or b'')})" for name, content in sorted(tree.items()))
                yield Disk(tree, f"{self.history}\npower cut {words}, left: {left}", self.deaths + 1)

    def key(self) -> Hashable:
        """Return what is equal for two disks on which the same command does the same."""
        numbers: dict[Node | None, int] = {}

        def numbered(names: Change) -> Hashable:
            return tuple((name, numbers.setdefault(names[name], len(numbers))) for name in sorted(names))

        layout = tuple(numbered(names) for names in (self.names, self._synced, *self._pending))
        return layout, tuple((_timeless(node.cached), _timeless(node.synced)) for node in numbers if node)


def _apply(change: Change, names: Names) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def _contents_of(names: Names) -> Iterator[Tree]:
    """Return every tree that these names and the possible contents of their files can make."""
    reachable = {name: node for name, node in names.items() if _folder(name) in ("", *names)}
    nodes = list(dict.fromkeys(reachable.values()))
    for contents in itertools.product(*(node.possible_contents() for node in nodes)):
        content_of = dict(zip(nodes, contents, strict=True))
        yield {name: content_of[node] for name, node in reachable.items()}


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


@lru_cache(4096)
def _timeless(content: bytes | None) -> bytes | None:
    if not content or not content.startswith(b"{\n"):
        return content
    return _DIFFERENT_IN_EACH_RUN.sub(rb"\1\2", content) if content.endswith(b"\n}\n") else b"a broken object"


def timeless(tree: Tree) -> Tree:
    """Leave out what differs in each run, in checkpoints and manifests: times, and counts of runs and requests."""
    return {name: _timeless(content) for name, content in tree.items()}


def write_tree(tree: Tree, root: Path) -> None:
    """Make a folder that holds a tree and nothing else."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for name, content in sorted(tree.items()):
        if content is None:
            (root / name).mkdir()
        else:
            (root / name).write_bytes(content)


def lies_in(root: Path) -> Tree:
    """Read a folder as a tree."""
    return {str(path.relative_to(root)): None if path.is_dir() else path.read_bytes() for path in root.rglob("*")}
