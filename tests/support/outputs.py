"""Outputs in tests: opened for a block, and written one page at a time."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from exporter import FileSummary, Observer, Position, SourceSummary, Summary
from exporter.destination.async_writer import FileDestination
from exporter.destination.local import Output
from exporter.layout.checkpoint import Checkpoint, JobProgress, load_checkpoint
from exporter.layout.paths import OutputPaths
from exporter.layout.settings import OutputSettings
from exporter.model import Frame
from exporter.observe.events import null_observer
from exporter.options import ExportOptions

SETTINGS = OutputSettings(
    base_url="https://api.intercom.io", endpoint="/contacts", api_version="2.14", per_page=150, format="ndjson"
)


def committed_pages(paths: OutputPaths) -> int:
    """Return how many pages of an unfinished export are committed."""
    pages: int = json.loads(paths.checkpoint.read_bytes())["figures"]["position"]["pages"]
    return pages


class Export:
    """An open output and its figures.

    Attributes:
        output: the output itself.
        figures: its progress, including the latest page.
    """

    def __init__(self, output: Output) -> None:
        self.output = output
        self.figures = JobProgress()
        self.resume()

    def resume(self) -> None:
        """Use the figures of the export that is resumed, if there is one."""
        if self.output.resumed:
            self.figures = self.output.resumed.figures

    def append(self, *contents: bytes, contacts: int = 1) -> None:
        """Write pages."""
        for content in contents:
            frame = Frame(content, contacts, 2 * len(content))
            if not self.output.has_room(frame):
                list(self.output.rotate(self.figures))
            self.output._current_part().write(content)
            self.output._current_part().count(frame)
            self.count(frame)

    def count(self, frame: Frame) -> None:
        """Count a frame that was written."""
        before = self.figures.position
        position = Position(
            f"c{before.pages + 1}",
            before.pages + 1,
            before.contacts + frame.contacts,
            before.written_bytes + len(frame.content),
            before.uncompressed_bytes + frame.uncompressed_bytes,
        )
        self.figures = replace(self.figures, position=position)

    def commit(self) -> Checkpoint | None:
        """Commit the written pages; return the checkpoint."""
        self.output.commit(self.figures)
        return load_checkpoint(self.output.paths.checkpoint)

    def end(self) -> None:
        """Record that the API has no more pages."""
        before = self.figures.position
        position = replace(before, next_cursor=None, pages=max(before.pages, 1), reached_end=True)
        self.figures = replace(self.figures, position=position)

    def finish(self) -> Summary:
        """Finish the export."""
        self.end()
        return self.output.finish(self.figures, self.summarise)

    def summarise(self, files: tuple[FileSummary, ...]) -> Summary:
        """Return the summary of an export with these files."""
        asked = self.output.settings
        return Summary(
            tool="a test",
            complete=True,
            limited_to_contacts=asked.max_contacts,
            source=SourceSummary(asked.base_url, asked.endpoint, asked.api_version, None, asked.per_page),
            started_at="",
            finished_at="",
            runs=self.figures.runs,
            pages=self.figures.position.pages,
            contacts=self.figures.position.contacts,
            total_count_first=None,
            total_count_last=None,
            requests=1,
            retries={},
            rate_limit_wait_s=0.0,
            part_contacts=asked.part_contacts,
            part_bytes=asked.part_bytes,
            files=files,
        )


@pytest.fixture
def plain() -> OutputSettings:
    """Return settings without any limit."""
    return SETTINGS


@pytest.fixture
def opened() -> Callable[..., AbstractContextManager[Export]]:
    """Open an output for the length of a block; by default, parts have two contacts each."""

    @contextmanager
    def start(paths: OutputPaths, asked: OutputSettings | None = None, **options: Any) -> Iterator[Export]:
        asked = asked or replace(SETTINGS, part_contacts=2 if paths.is_folder else None)
        output = Output(paths, asked, ExportOptions(**options))
        try:
            for _ in output.open():
                pass
            yield Export(output)
        finally:
            output.close()

    return start


class ExportState:
    """The part of a job's state that a destination uses."""

    def __init__(self, export: Export) -> None:
        self._export = export

    def progress(self) -> JobProgress:
        """Return how far the export has got."""
        return self._export.figures

    def summary(self, _settings: OutputSettings, files: tuple[FileSummary, ...] = ()) -> Summary:
        """Return the summary of the export."""
        return self._export.summarise(files)


class Sinking:
    """An open destination.

    Attributes:
        sink: the destination itself.
        export: its output and its figures.
    """

    def __init__(self, sink: FileDestination, export: Export) -> None:
        self.sink = sink
        self.export = export

    async def append(self, *contents: bytes, contacts: int = 1) -> None:
        """Write pages."""
        for content in contents:
            frame = Frame(content, contacts, 2 * len(content))
            await self.sink.append(frame)
            self.export.count(frame)

    async def finish(self) -> Summary:
        """Finish the export."""
        self.export.end()
        return await self.sink.finish()


@pytest.fixture
def sinking() -> Callable[..., AbstractAsyncContextManager[Sinking]]:
    """Open a destination for the length of a block; by default, parts have two contacts each."""

    @asynccontextmanager
    async def start(
        paths: OutputPaths,
        observer: Observer = null_observer,
        clock: Callable[[], float] = anyio.current_time,
        **options: Any,
    ) -> AsyncIterator[Sinking]:
        asked = replace(SETTINGS, part_contacts=2 if paths.is_folder else None)
        export = Export(Output(paths, asked, ExportOptions(**options)))
        async with FileDestination(export.output, observer, clock) as sink:
            found = await sink.open()
            export.resume()
            if not isinstance(found, Summary):
                await sink.start(ExportState(export))
            yield Sinking(sink, export)

    return start


@pytest.fixture
def file(tmp_path: Path) -> OutputPaths:
    """Return the paths of an output that is one file."""
    return OutputPaths(tmp_path / "contacts.ndjson", ".ndjson")


@pytest.fixture
def parts(tmp_path: Path) -> OutputPaths:
    """Return the paths of an output in parts."""
    return OutputPaths(tmp_path / "out", ".ndjson", is_folder=True)


@pytest.fixture(params=["file", "parts"])
def paths(request: pytest.FixtureRequest) -> OutputPaths:
    """Return the paths of an output of either kind."""
    found: OutputPaths = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def content_of() -> Callable[[OutputPaths], bytes]:
    """Return a function that reads the finished data files of an output, concatenated."""

    def read(paths: OutputPaths) -> bytes:
        files = sorted(paths.path.glob("contacts-*.ndjson")) if paths.is_folder else [paths.path]
        return b"".join(path.read_bytes() for path in files)

    return read
