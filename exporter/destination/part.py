"""One data file while an export writes it: counted, hashed, and verified before it is resumed."""

import hashlib
import io
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

from exporter.destination.free_space import FreeSpace
from exporter.errors import CheckpointError, SinkError
from exporter.layout.atomic import sync, write_all
from exporter.layout.summary import FileSummary
from exporter.model import Frame

_READ_BYTES = 1 << 20
_STEP_BYTES = 1 << 24


class Part(io.FileIO):
    """An unbuffered file whose `write` writes all bytes of a call and hashes them in the same thread. Blocks.

    Args:
        descriptor: descriptor of the file, open for reading and writing. The file
            is empty, or the caller calls `resume`. Closing this object closes it.
        path: the temporary name of the file.
        free_space: checked before each write; None for no check.
    """

    def __init__(self, descriptor: int, path: Path, free_space: FreeSpace | None = None) -> None:
        super().__init__(descriptor, "rb+")
        self.path = path
        self._free_space = free_space
        self._sha256 = hashlib.sha256()
        self._contacts = self._bytes = self._uncompressed_bytes = 0

    def make_empty(self) -> None:
        """Truncate the file to zero bytes."""
        os.ftruncate(self.fileno(), 0)

    def resume(self, committed: FileSummary) -> Generator[None]:
        """Verify the committed bytes and truncate the file to their length. Each step verifies a piece of them.

        Args:
            committed: the committed length and its SHA-256, from the checkpoint.

        Raises:
            CheckpointError: the file is shorter, or its bytes have a different SHA-256.
        """
        size = os.fstat(self.fileno()).st_size
        if size < committed.bytes:
            raise self._cannot_resume(f"has {size:,} bytes instead of {committed.bytes:,}")
        for start in range(0, committed.bytes, _READ_BYTES):
            self._sha256.update(os.pread(self.fileno(), min(_READ_BYTES, committed.bytes - start), start))
            if (start + _READ_BYTES) % _STEP_BYTES == 0:
                yield
        if self._sha256.hexdigest() != committed.sha256:
            raise self._cannot_resume("was changed since it was written")
        if size > committed.bytes:
            os.ftruncate(self.fileno(), committed.bytes)
        self._contacts, self._bytes = committed.contacts, committed.bytes
        self._uncompressed_bytes = committed.uncompressed_bytes

    def write(self, content: Any) -> int:
        """Write all of the content at the end, and return its length in bytes."""
        if self._free_space:
            self._free_space.check(len(content))
        write_all(self.fileno(), content)
        self._sha256.update(content)
        return len(content)

    def count(self, frame: Frame) -> None:
        """Add a written frame to the counts of contacts and bytes."""
        self._contacts += frame.contacts
        self._bytes += len(frame.content)
        self._uncompressed_bytes += frame.uncompressed_bytes

    @property
    def is_empty(self) -> bool:
        """Whether the file has no bytes yet."""
        return not self._bytes

    def has_room(self, frame: Frame, max_contacts: int | None, max_bytes: int | None) -> bool:
        """Return whether a frame fits within the limits; the first frame always fits."""
        return not self._bytes or (
            (max_contacts is None or self._contacts + frame.contacts <= max_contacts)
            and (max_bytes is None or self._bytes + len(frame.content) <= max_bytes)
        )

    def summary(self, name: str) -> FileSummary:
        """Return the file's counts and SHA-256, under the final name `name`."""
        sha256 = self._sha256.hexdigest()
        return FileSummary(name, self._bytes, sha256, self._contacts, self._uncompressed_bytes)

    @property
    def is_still_linked(self) -> bool:
        """Whether the path still leads to this file: no other program has removed or replaced it."""
        try:
            return os.path.samestat(os.fstat(self.fileno()), self.path.lstat())
        except FileNotFoundError:
            return False

    def sync_and_check(self) -> None:
        """Sync the file to disk, then check that no other program has modified it.

        Raises:
            SinkError: another program has removed, replaced, extended or truncated the file.
        """
        sync(self.fileno())
        if not self.is_still_linked or os.fstat(self.fileno()).st_size != self._bytes:
            raise SinkError(f"{str(self.path)!r} was modified by another program during the export", path=self.path)

    def _cannot_resume(self, reason: str) -> CheckpointError:
        return CheckpointError(
            f"{str(self.path)!r} {reason}, and cannot be resumed: use --restart to start over", path=self.path
        )


def check_length(path: Path, length: int) -> None:
    """Check that a finished file exists with its length. The command `verify` checks the content.

    Raises:
        CheckpointError: the file is missing or has another length.
    """
    try:
        changed = path.stat().st_size != length
    except FileNotFoundError:
        raise cannot_resume(path, "is missing") from None
    if changed:
        raise cannot_resume(path, "was changed since it was written")


def cannot_resume(path: Path, reason: str) -> CheckpointError:
    """Return the error for a file that is not as the checkpoint describes it."""
    return CheckpointError(
        f"{str(path)!r} {reason}, so the export cannot be resumed: use --restart to start over", path=path
    )
