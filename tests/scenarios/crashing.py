"""Death at every moment: of a process, or of the machine, over and over, with the same command going on each time.

A `Watch` sees each system call of this process that changes something below a
folder, and stops for a moment after each, and in the middle of each write. A
`Disk` knows what would be left at that moment. `explore` runs the same command
on every one of those remains, looks at every moment of these runs too, and so
on until nothing new is ever left.
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

from tests.scenarios.disk import Disk, Node, Tree, lay_out, lies_in

DEAD = 77
"""Exit code of a process that died at a moment."""


class Watch:
    """Stands between this process and a folder, tells a `Disk` of each change, and stops for each moment.

    The real disk is never waited for: what it would keep is what is modelled.

    Args:
        root: the folder; other files are none of its business.
        disk: is told.
        moment: called with words for it, in the thread that works, before the
            first change, after each, and in the middle of each write.

    Attributes:
        calls: how many changes there were, by system call.
    """

    def __init__(self, root: Path, disk: Disk, moment: Callable[[str], None]) -> None:
        self.calls: Counter[str] = Counter()
        self._root = str(root)
        self._disk = disk
        self._moment = moment
        self._files: dict[int, str | Node] = {}  # what is behind a descriptor: a folder's name, or a file
        self._ours: dict[str, Callable[..., Any]] = {
            "open": self._open,
            "write": self._write,
            "fsync": self._fsync,
            "ftruncate": self._ftruncate,
            "replace": self._rename,
            "rename": self._rename,
            "unlink": self._unlink,
            "mkdir": self._mkdir,
        }
        self._real: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in self._ours}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch for the length of a block."""
        with pytest.MonkeyPatch.context() as patches:
            for name, ours in self._ours.items():
                patches.setattr(os, name, ours)
            self._moment("before anything")
            yield

    def _name(self, path: Any) -> str | None:
        """Name a path below the folder: empty for the folder itself, None for what is elsewhere."""
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
        assert fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND  # what is written goes behind what is there
        assert os.fstat(descriptor).st_size == len(node.cached)
        half = len(content) // 2
        node.cached += bytes(content[: self._real["write"](descriptor, content[:half])])
        self._moment(f"half way through write {self._called(node)}")
        node.cached += bytes(content[half:][: self._real["write"](descriptor, content[half:])])
        self._done("write", self._called(node))
        return len(content)

    def _fsync(self, descriptor: int) -> None:
        what = self._files.get(descriptor)
        if what is None:
            self._real["fsync"](descriptor)
        elif isinstance(what, Node):
            what.synced = what.cached
            self._done("fsync", self._called(what))
        else:
            self._disk.sync_folder(what)
            self._done("fsync", what)

    def _ftruncate(self, descriptor: int, length: int) -> None:
        self._real["ftruncate"](descriptor, length)
        node = self._files.get(descriptor)
        if isinstance(node, Node) and node.cached is not None:
            node.cached = node.cached[:length]
            self._done("ftruncate", self._called(node))

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

    def _called(self, node: Node) -> str:
        return next((name for name, named in self._disk.names.items() if named is node), "what has no name")


@dataclass(frozen=True)
class Case:
    """A command that is to survive everything.

    Attributes:
        run: the command, in a folder.
        sound: raises when what is there at some moment is not what may be.
        done: raises when what is there afterwards is not what has to be.
        start: what is there before.
    """

    run: Callable[[Path], Awaitable[object]]
    sound: Callable[[Tree], None]
    done: Callable[[Tree], None]
    start: Tree = field(default_factory=dict)


@dataclass
class Tally:
    """What was explored.

    Attributes:
        calls: changes made by the first run, by system call.
        runs: runs, each on other remains.
        moments: moments at which one of them could have died.
    """

    calls: Mapping[str, int] = field(default_factory=dict)
    runs: int = 0
    moments: int = 0

    def __str__(self) -> str:
        calls = ", ".join(f"{count} {name}" for name, count in sorted(self.calls.items()))
        return (
            f"{sum(self.calls.values())} changes in a run ({calls}); "
            f"{self.runs} different remains gone on from, {self.moments} moments of death in those runs"
        )


async def explore(case: Case, folder: Path, *, power: bool = False, deaths: int | None = None) -> Tally:
    """Let a command begin on everything that it can leave behind when it dies, again and again.

    Args:
        case: the command.
        folder: where it may work.
        power: whether the power fails too; else only processes die.
        deaths: how often in a row, None for as often as anything new is left.
    """
    tally = Tally()
    waiting = deque([Disk(case.start, "the start")])
    known = {waiting[0].key()}

    def stop(disk: Disk, words: str) -> None:
        tally.moments += 1
        if disk.deaths == deaths:
            return
        for left in _what_is_left(disk, words, power=power):
            if (key := left.key()) not in known:
                known.add(key)
                waiting.append(left)

    while waiting:
        disk = waiting.popleft()
        with _told(disk):
            calls = await _go_on(case, folder / "disk", disk, lambda words, disk=disk: stop(disk, words))  # type: ignore[misc]
        tally.runs += 1
        tally.calls = tally.calls or calls
    return tally


def _what_is_left(disk: Disk, words: str, *, power: bool) -> Iterator[Disk]:
    left = disk.after_a_kill(words)
    if power:
        yield left
        yield from disk.after_a_power_cut(words)
    else:
        yield Disk(left.tree(), left.history, left.deaths)


async def _go_on(case: Case, root: Path, disk: Disk, moment: Callable[[str], None]) -> Mapping[str, int]:
    """Run the command on what was left, to its end; what it left must be on the disk then."""
    case.sound(disk.tree())
    lay_out(disk.tree(), root)
    watch = Watch(root, disk, moment)
    with watch.watching():
        await case.run(root)
    assert lies_in(root) == disk.tree()
    case.done(disk.tree())
    for kept in disk.after_a_power_cut("after the end"):
        with _told(kept):
            case.done({name: content for name, content in kept.tree().items() if "checkpoint" not in name})
    return watch.calls


@contextmanager
def _told(disk: Disk) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        error.add_note(f"What had happened:\n{disk.history}")
        raise


def die(run: Callable[[Path], Awaitable[object]], root: Path, moment: int) -> bool:
    """Run a command in a process of its own that dies, by itself, at a moment.

    Args:
        run: the command, on an event loop of its own.
        root: the folder it works in, empty.
        moment: counted from 0.

    Returns:
        Whether it lived until then.
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
