"""A crash explorer: it lets a process or the machine die at every moment, and resumes from everything that is left.

A `Watch` sees each system call of this process that changes something below a
folder. It reports a moment after each call, and one in the middle of each
write. A `Disk` models what would be left at that moment. `explore` runs the
same command on each of these remains, looks at every moment of those runs too,
and repeats this until no run leaves anything new.
"""

import asyncio
import fcntl
import os
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.disk import Disk, Node, Tree, lies_in, write_tree

DEAD = 77
"""Exit code of a process that ended itself at a chosen moment."""


class Watch:
    """Stands between this process and a folder: applies each change to a `Disk`, and reports each moment.

    The real disk is not synced: what it would keep is modelled.

    Args:
        root: the folder; other files are ignored.
        disk: the model of what is below the folder.
        moment: called with a description, in the thread that works: before
            the first change, after each change, and in the middle of each write.

    Attributes:
        calls: how many changes there were, by system call.
    """

    def __init__(self, root: Path, disk: Disk, moment: Callable[[str], None]) -> None:
        self.calls: Counter[str] = Counter()
        self._root = str(root)
        self._disk = disk
        self._moment = moment
        self._files: dict[int, str | Node] = {}  # what a descriptor is open for: a folder's name, or a file
        self._watched: dict[str, Callable[..., Any]] = {
            "open": self._open,
            "write": self._write,
            "fsync": self._fsync,
            "ftruncate": self._ftruncate,
            "replace": self._rename,
            "rename": self._rename,
            "unlink": self._unlink,
            "mkdir": self._mkdir,
        }
        self._real: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in self._watched}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Replace the system calls for the length of a block."""
        with pytest.MonkeyPatch.context() as patches:
            for name, watched in self._watched.items():
                patches.setattr(os, name, watched)
            self._moment("before the first change")
            yield

    def _name(self, path: Any) -> str | None:
        """Return the name of a path below the folder: empty for the folder itself, None for other paths."""
        text = str(path)
        return text[len(self._root) + 1 :].rstrip("/") if f"{text}/".startswith(f"{self._root}/") else None

    def _done(self, call: str, what: str) -> None:
        self.calls[call] += 1
        self._moment(f"after {call} {what or 'the folder'}")

    def _open(self, path: Any, flags: int, *others: Any, **more: Any) -> int:
        descriptor: int = self._real["open"](path, flags, *others, **more)
        self._files.pop(descriptor, None)
        name = self._name(path)
        if name is None:
            return descriptor
        if flags & os.O_CREAT and name not in self._disk.names:
            self._disk.change({name: Node(b"", b"")})
            self._done("open", name)
        node = self._disk.names.get(name)
        self._files[descriptor] = name if node is None or node.cached is None else node
        return descriptor

    def _write(self, descriptor: int, content: Any) -> int:
        node = self._files.get(descriptor)
        if not isinstance(node, Node) or node.cached is None:
            return int(self._real["write"](descriptor, content))
        assert fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND  # every write appends
        assert os.fstat(descriptor).st_size == len(node.cached)
        half = len(content) // 2
        node.cached += bytes(content[: self._real["write"](descriptor, content[:half])])
        self._moment(f"half way through write {self._name_of(node)}")
        node.cached += bytes(content[half:][: self._real["write"](descriptor, content[half:])])
        self._done("write", self._name_of(node))
        return len(content)

    def _fsync(self, descriptor: int) -> None:
        what = self._files.get(descriptor)
        if what is None:
            self._real["fsync"](descriptor)
        elif isinstance(what, Node):
            what.synced = what.cached
            self._done("fsync", self._name_of(what))
        else:
            self._disk.sync_folder(what)
            self._done("fsync", what)

    def _ftruncate(self, descriptor: int, length: int) -> None:
        self._real["ftruncate"](descriptor, length)
        node = self._files.get(descriptor)
        if isinstance(node, Node) and node.cached is not None:
            node.cached = node.cached[:length]
            self._done("ftruncate", self._name_of(node))

    def _rename(self, source: Any, target: Any) -> None:
        self._real["rename"](source, target)
        old, new = self._name(source), self._name(target)
        if old is not None and new is not None:
            self._disk.change({old: None, new: self._disk.names[old]})
            self._done("rename", old)

    def _unlink(self, path: Any) -> None:
        self._real["unlink"](path)
        if (name := self._name(path)) is not None:
            self._disk.change({name: None})
            self._done("unlink", name)

    def _mkdir(self, path: Any, mode: int = 0o777) -> None:
        self._real["mkdir"](path, mode)
        if (name := self._name(path)) is not None:
            self._disk.change({name: Node(None, None)})
            self._done("mkdir", name)

    def _name_of(self, node: Node) -> str:
        return next((name for name, named in self._disk.names.items() if named is node), "a file without a name")


@dataclass(frozen=True)
class Case:
    """A command that has to survive every death.

    Attributes:
        run: the command, in a folder.
        check_moment: raises when what is there at some moment is not allowed.
        check_end: raises when what is there after a complete run is wrong.
        start: what is there before the first run.
    """

    run: Callable[[Path], Awaitable[object]]
    check_moment: Callable[[Tree], None]
    check_end: Callable[[Tree], None]
    start: Tree = field(default_factory=dict)


@dataclass
class Tally:
    """How much was explored.

    Attributes:
        calls: changes made by the first run, by system call.
        runs: runs, each on other remains.
        moments: moments of these runs, at each of which the process could have died.
    """

    calls: Mapping[str, int] = field(default_factory=dict)
    runs: int = 0
    moments: int = 0

    def __str__(self) -> str:
        calls = ", ".join(f"{count} {name}" for name, count in sorted(self.calls.items()))
        return (
            f"{sum(self.calls.values())} changes in a run ({calls}); "
            f"resumed from {self.runs} different remains, with {self.moments} moments of death in those runs"
        )


async def explore(case: Case, folder: Path, *, power: bool = False, deaths: int | None = None) -> Tally:
    """Run a command on everything that it can leave behind when it dies, again and again.

    Args:
        case: the command.
        folder: where it may work.
        power: whether the power fails too; else only processes die.
        deaths: how many deaths in a row, None for as many as leave anything new.
    """
    tally = Tally()
    waiting = deque([Disk(case.start, "the start")])
    known = {waiting[0].key()}

    def stop(disk: Disk, words: str) -> None:
        tally.moments += 1
        if disk.deaths == deaths:
            return
        for left in _remains(disk, words, power=power):
            if (key := left.key()) not in known:
                known.add(key)
                waiting.append(left)

    while waiting:
        disk = waiting.popleft()
        with _history_in_errors(disk):
            calls = await _resume(case, folder / "disk", disk, lambda words, disk=disk: stop(disk, words))  # type: ignore[misc]
        tally.runs += 1
        tally.calls = tally.calls or calls
    return tally


def _remains(disk: Disk, words: str, *, power: bool) -> Iterator[Disk]:
    left = disk.after_a_kill(words)
    if power:
        yield left
        yield from disk.after_a_power_cut(words)
    else:
        yield Disk(left.tree(), left.history, left.deaths)


async def _resume(case: Case, root: Path, disk: Disk, moment: Callable[[str], None]) -> Mapping[str, int]:
    """Run the command to its end on what a death left; then its output must be on the disk, power cut or not."""
    case.check_moment(disk.tree())
    write_tree(disk.tree(), root)
    watch = Watch(root, disk, moment)
    with watch.watching():
        await case.run(root)
    assert lies_in(root) == disk.tree()
    case.check_end(disk.tree())
    for kept in disk.after_a_power_cut("after the end"):
        with _history_in_errors(kept):
            case.check_end({name: content for name, content in kept.tree().items() if "checkpoint" not in name})
    return watch.calls


@contextmanager
def _history_in_errors(disk: Disk) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        error.add_note(f"What happened before:\n{disk.history}")
        raise


def die(run: Callable[[Path], Awaitable[object]], root: Path, moment: int) -> bool:
    """Run a command in a child process that ends itself at a moment.

    Args:
        run: the command, on an event loop of its own.
        root: the folder it works in, empty.
        moment: counted from 0.

    Returns:
        Whether the command reached that moment.
    """
    pid = os.fork()
    if not pid:
        try:
            _live_until(run, root, moment)
        finally:  # never back into the tests
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, DEAD), f"it ended with {code}"
    return code == DEAD


def _live_until(run: Callable[[Path], Awaitable[object]], root: Path, moment: int) -> None:
    left = [moment]

    def stop(_words: str) -> None:
        if not left[0]:
            os._exit(DEAD)
        left[0] -= 1

    async def job() -> None:
        await run(root)

    with Watch(root, Disk({}), stop).watching():
        asyncio.run(job())
    os._exit(0)
