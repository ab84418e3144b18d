"""The contract of all destinations: one test suite. Add a new destination to `KINDS`."""

import gzip
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import anyio.to_thread
import pytest

from exporter import Page, SinkError, Summary
from exporter.destination.async_writer import FileDestination
from exporter.destination.base import Destination
from exporter.destination.local import Output
from exporter.destination.stdout import StdoutDestination
from exporter.formats.encoder import Encoder
from exporter.formats.registry import CSV, NDJSON, NDJSON_GZIP, Format
from exporter.layout.checkpoint import JobProgress
from exporter.layout.paths import OutputPaths
from exporter.model import Frame
from exporter.observe.events import null_observer
from exporter.options import ExportOptions
from exporter.source.retry import RequestStats
from exporter.state import JobState
from tests.support.outputs import SETTINGS

DESCRIPTORS: list[int] = []


@dataclass
class Kind:
    """A kind of destination.

    Attributes:
        form: the format that it writes.
        make: opens one, with the same paths each time.
        content: returns everything that it has written, decompressed; None for one that keeps nothing.
        resumes: whether it keeps a checkpoint.
    """

    form: Format
    make: Callable[[Path], Destination]
    content: Callable[[Path], bytes] | None
    resumes: bool = True


def _file(form: Format, *, parts: bool = False) -> Kind:
    def paths(folder: Path) -> OutputPaths:
        return OutputPaths(folder / ("out" if parts else f"contacts{form.suffix}"), form.suffix, is_folder=parts)

    def make(folder: Path) -> Destination:
        settings = replace(SETTINGS, format=form.suffix.removeprefix("."), part_contacts=2 if parts else None)
        return FileDestination(Output(paths(folder), settings, ExportOptions()), null_observer)

    def content(folder: Path) -> bytes:
        path = paths(folder).path
        files = sorted(path.glob("contacts-*")) if parts else [path]
        joined = b"".join(file.read_bytes() for file in files)
        return gzip.decompress(joined) if form.compress and joined else joined

    return Kind(form, make, content)


def _stdout() -> Kind:
    def make(folder: Path) -> Destination:
        DESCRIPTORS.append(os.open(folder / "stdout", os.O_WRONLY | os.O_CREAT | os.O_APPEND))
        return StdoutDestination(SETTINGS, DESCRIPTORS[-1])

    return Kind(NDJSON, make, lambda folder: (folder / "stdout").read_bytes(), resumes=False)


KINDS = {
    "file": _file(NDJSON),
    "gzip file": _file(NDJSON_GZIP),
    "CSV file": _file(CSV),
    "folder": _file(NDJSON, parts=True),
    "gzip folder": _file(NDJSON_GZIP, parts=True),
    "stdout": _stdout(),
}
RESUMING = [name for name, kind in KINDS.items() if kind.resumes]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Return each kind of destination."""
    return KINDS[request.param]


@pytest.fixture(autouse=True)
def _close_descriptors() -> Iterator[None]:
    yield
    while DESCRIPTORS:
        os.close(DESCRIPTORS.pop())


def encoder_of(kind: Kind) -> Encoder:
    """Return the encoder of a kind."""
    return Encoder(output_format=kind.form, columns=("id",) if kind.form.has_rows else ())


async def content_of(kind: Kind, folder: Path) -> bytes | None:
    """Return everything that a destination has written; None for one that keeps nothing."""
    return await anyio.to_thread.run_sync(kind.content, folder) if kind.content else None


def pages(first: int, last: int) -> list[Page]:
    """Make pages of one contact each; the sixth page is the last."""
    return [
        Page(number - first + 1, (b'{"id":"%d"}' % number,), None if number == 6 else f"c{number}", 6)
        for number in range(first, last + 1)
    ]


class Session:
    """A session that writes to a destination as a job does."""

    def __init__(self, kind: Kind, destination: Destination, progress: JobProgress | None) -> None:
        self.destination, self.encoder = destination, encoder_of(kind)
        self.state = JobState(RequestStats(), progress)

    async def start(self) -> None:
        """Start the destination."""
        await self.destination.start(self.state)
        self.destination.use_encoder(self.encoder)

    async def write(self, first: int, last: int) -> list[Frame]:
        """Write contacts; return the frames as they were written."""
        written = []
        for page in pages(first, last):
            frame = await self.destination.append(self.encoder.encode(page))
            self.state.add(page, frame, 1.0)
            written.append(frame)
        return written


async def open_session(kind: Kind, destination: Destination) -> Session:
    """Open a destination that holds no finished export, and start it."""
    existing = await destination.open()
    assert not isinstance(existing, Summary)
    session = Session(kind, destination, existing)
    await session.start()
    return session


def expected_content(kind: Kind, parts: int = 1) -> bytes:
    """Return six contacts in a format; each file has its header."""
    if kind.form.has_rows:
        return b'"id"\n' * parts + b"".join(b'"%d"\n' % number for number in range(1, 7))
    return b"".join(b'{"id":"%d"}\n' % number for number in range(1, 7))


async def test_destination_writes_every_frame_once_in_order(kind: Kind, tmp_path: Path) -> None:
    """It returns each written frame, and its summary matches the state."""
    async with kind.make(tmp_path) as destination:
        session = await open_session(kind, destination)
        frames = await session.write(1, 6)
        summary = await destination.finish()
    content = await content_of(kind, tmp_path)
    assert content in (None, expected_content(kind))
    assert sum(frame.uncompressed_bytes for frame in frames) == len(expected_content(kind))
    assert (summary.contacts, summary.complete) == (6, True)


async def test_destination_writes_nothing_for_an_empty_frame(kind: Kind, tmp_path: Path) -> None:
    """It writes neither a header nor a file with only a header."""
    async with kind.make(tmp_path) as destination:
        session = await open_session(kind, destination)
        frame = await destination.append(Frame(b"", 0, 0))
        assert frame.content == b""
        await session.write(1, 6)
        await destination.finish()
    assert await content_of(kind, tmp_path) in (None, expected_content(kind))


async def test_destination_finish_before_start_raises_runtime_error(kind: Kind, tmp_path: Path) -> None:
    """Such a call is a mistake of the caller."""
    async with kind.make(tmp_path) as destination:
        await destination.open()
        with pytest.raises(RuntimeError, match="before writing to a destination"):
            await destination.finish()


@pytest.mark.parametrize("name", KINDS)
async def test_destination_capabilities_match_its_kind(name: str, tmp_path: Path) -> None:
    """A destination that resumes names its checkpoint."""
    destination, resumes = KINDS[name].make(tmp_path), name in RESUMING
    assert destination.capabilities.resumes == resumes
    assert (destination.checkpoint is not None) == resumes
    assert destination.capabilities.reads_back == (resumes and not KINDS[name].form.has_rows)


@pytest.mark.parametrize("name", RESUMING)
@pytest.mark.parametrize("stop", [0, 1, 3, 5])
@pytest.mark.parametrize("ending", ["failure", "silent death"])
async def test_destination_resumes_at_its_latest_commit(name: str, stop: int, ending: str, tmp_path: Path) -> None:
    """A failure commits the written frames; uncommitted bytes are truncated; the result is the same."""
    kind = KINDS[name]
    committed = 0

    async def first_run() -> None:
        nonlocal committed
        async with kind.make(tmp_path) as destination:
            session = await open_session(kind, destination)
            await session.write(1, stop)
            committed = stop
            if ending == "silent death":
                await destination.commit()
                await session.write(stop + 1, stop + 1)
                session.destination._failed = True  # type: ignore[attr-defined] # no commit on exit, as in a kill
            raise KeyError("the end of the run")

    with pytest.raises(KeyError):
        await first_run()
    async with kind.make(tmp_path) as destination:
        session = await open_session(kind, destination)
        assert session.state.position.contacts == committed
        await session.write(committed + 1, 6)
        assert (await destination.finish()).contacts == 6
    files = len([*tmp_path.glob("out/contacts-*")]) or 1
    assert await content_of(kind, tmp_path) == expected_content(kind, files)


@pytest.mark.parametrize("name", RESUMING)
async def test_destination_opened_after_finish_returns_summary(name: str, tmp_path: Path) -> None:
    """The summary includes the files."""
    kind = KINDS[name]
    async with kind.make(tmp_path) as destination:
        session = await open_session(kind, destination)
        await session.write(1, 6)
        summary = await destination.finish()
    async with kind.make(tmp_path) as destination:
        existing = await destination.open()
    assert existing == summary
    assert all(file.sha256 for file in summary.files)


@pytest.mark.parametrize("name", RESUMING)
async def test_destination_in_use_refuses_a_second_writer(name: str, tmp_path: Path) -> None:
    """The second writer is refused at once, and the first one continues."""
    kind = KINDS[name]
    async with kind.make(tmp_path) as destination:
        session = await open_session(kind, destination)
        async with kind.make(tmp_path) as other:
            with pytest.raises(SinkError):
                await other.open()
        await session.write(1, 6)
        assert (await destination.finish()).contacts == 6


@pytest.mark.parametrize("name", [name for name in RESUMING if not KINDS[name].form.has_rows])
async def test_destination_reads_back_all_contacts(name: str, tmp_path: Path) -> None:
    """This includes finished files and the current file."""
    kind = KINDS[name]
    async with kind.make(tmp_path) as destination:
        session = await open_session(kind, destination)
        await session.write(1, 5)
        await destination.commit()

        def read() -> list[bytes]:
            return [record for batch in destination.read_back() for record in batch if record]

        assert await anyio.to_thread.run_sync(read) == [b'{"id":"%d"}' % number for number in range(1, 6)]
