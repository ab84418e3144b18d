"""Exports in tests: interrupted, verified, and read back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.to_thread

import exporter


@contextmanager
def interrupted_after(pages: int) -> Iterator[exporter.Observer]:
    """Cancel the export of a block after it has written this many pages, and check that this ended it.

    Yields:
        The observer for that export.
    """
    with anyio.CancelScope() as scope:

        def observe(event: exporter.Event) -> None:
            if isinstance(event, exporter.PageWritten) and event.position.pages == pages:
                scope.cancel()

        yield observe
    assert scope.cancelled_caught


async def verified(path: Path) -> exporter.VerifyResult:
    """Verify an export, in a thread."""
    return await anyio.to_thread.run_sync(exporter.verify, path)


def files_in(folder: Path) -> dict[str, bytes]:
    """Read every file below a folder, by its relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lines_of(records: list[bytes]) -> bytes:
    """Return the lines that an export writes for records, in the simplest way."""
    return b"".join(record.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n" for record in records)
