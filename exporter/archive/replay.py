"""A finished export as a workspace, for the sandbox to serve."""

import os
import sqlite3
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

import orjson

from exporter.archive.finished import FinishedExport
from exporter.archive.random_access import Offset, read_chunk
from exporter.errors import ConfigError, SinkError
from exporter.rawjson.objects import RawObject, id_and_name, items_of
from exporter.validation import NoBlock

_INDEX_STRIDE = 150  # contacts between two places that are remembered, of 24 bytes each: a page of most exports
_CACHED_CHUNKS = 2
_MAX_NAMES = 10_000


class Replay(NoBlock):
    """Serves the contacts of a finished export, in its order, each with its very bytes.

    ::

        async with exporter.Sandbox(replay=exporter.Replay("contacts.ndjson.gz")) as sandbox:
            ...  # exporting it again gives the same bytes

    Contacts are read from the files as they are asked for; memory holds two
    pages, or two row groups of Parquet (32 MB each), and 24 bytes for each 150
    contacts. Who asks for a single contact, or for tags and attributes of the
    workspace, waits until all ids have once been written into a temporary
    database; pages of contacts do not wait for that.

    Args:
        path: the file, or the folder of its parts, or the manifest.

    Raises:
        ConfigError: there is no finished export, or it is CSV, whose contacts
            are not as the API sent them any more.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        export = FinishedExport(path)
        if export.has_rows:
            raise ConfigError(
                f"{os.fspath(path)!r} is CSV, which has no contacts as the API sent them: export NDJSON or Parquet"
            )
        self.name = export.path.name
        # By its contents: a cursor of another export's is refused.
        self.id_code = sha256("".join(file.sha256 for _, file in export.files).encode()).hexdigest()[:8]
        self._count = export.summary.contacts
        self._files = [file for file, _ in export.files]
        self._signatures = list(map(_file_signature, self._files))
        self._positions, self._numbers, self._offsets = array("Q", [0]), array("Q", [0]), array("Q", [0])
        self._chunks: OrderedDict[Offset, tuple[list[bytes], Offset | None]] = OrderedDict()
        self._index: _Index | None = None
        self._lock, self._index_lock = Lock(), Lock()

    def __len__(self) -> int:
        return self._count

    def record(self, index: int) -> bytes:
        """Return the JSON bytes of one contact. Blocks.

        Raises:
            IndexError: there is no contact of that number.
        """
        found = self.records(index, index + 1) if index >= 0 else []
        if not found:
            raise IndexError(f"no contact number {index} in an export of {self._count}")
        return found[0]

    def records(self, start: int, stop: int) -> list[bytes]:
        """Return the contacts from ``start`` up to ``stop``, fewer where the export ends. Blocks.

        Raises:
            SinkError: a file is not what was written.
        """
        with self._lock:
            return self._records(max(start, 0), stop) if start < self._count else []

    def _records(self, start: int, stop: int) -> list[bytes]:
        nearest = bisect_right(self._positions, start) - 1
        position = self._positions[nearest]
        offset: Offset | None = Offset(self._numbers[nearest], self._offsets[nearest])
        found: list[bytes] = []
        while offset is not None and position < stop:
            self._add_index_entry(position, offset)
            lines, following = self._read_cached(offset)
            found += lines[max(start - position, 0) : stop - position]
            position, offset = position + len(lines), following
        if offset is None and position != self._count:
            raise SinkError(f"{self.name!r} has {position} contacts, its manifest says {self._count}: verify says more")
        return found

    def _add_index_entry(self, position: int, offset: Offset) -> None:
        if position >= self._positions[-1] + _INDEX_STRIDE:
            self._positions.append(position)
            self._numbers.append(offset.file)
            self._offsets.append(offset.offset)

    def _read_cached(self, offset: Offset) -> tuple[list[bytes], Offset | None]:
        """Read what is at a place, unless it was just read."""
        unit = self._chunks.pop(offset, None) or self._read(offset)
        self._chunks[offset] = unit
        while len(self._chunks) > _CACHED_CHUNKS:
            self._chunks.popitem(last=False)
        return unit

    def _read(self, offset: Offset) -> tuple[list[bytes], Offset | None]:
        if self._files and _file_signature(self._files[offset.file]) != self._signatures[offset.file]:
            raise SinkError(f"{self.name!r} was changed while it is served")
        return read_chunk(self._files, offset)

    def id_of(self, index: int) -> str:
        """Return the id of one contact. Blocks."""
        return str(_decoded(self.record(index)).get("id"))

    def index_of(self, contact_id: str) -> int | None:
        """Return the number of the contact with an id, None when there is none. Blocks."""
        index = self._indexed()
        with self._index_lock, _indexing():
            return index.number_of(contact_id)

    def nested(self, index: int, name: str) -> list[bytes]:
        """Return one of a contact's nested lists, as far as the export has it: the bytes of each row. Blocks.

        Args:
            index: the contact's number.
            name: tags, notes, companies, subscriptions or segments.
        """
        return _rows_of(self.record(index), name)

    def tags(self) -> list[bytes]:
        """Return the tags that some contact has, as far as their names are known: the bytes of each. Blocks."""
        return list(self._indexed().tags.values())

    def attributes(self) -> Mapping[str, Any]:
        """Return the custom attributes that some contact has, each with one of its values. Blocks."""
        return self._indexed().attributes

    def _indexed(self) -> "_Index":
        with self._index_lock, _indexing():
            if self._index is None:
                self._index = _Index(self._all())
            return self._index

    def _all(self) -> Iterator[list[bytes]]:
        offset: Offset | None = Offset(0, 0)
        while offset is not None:
            lines, offset = self._read(offset)
            yield lines


class _Index:
    """What can only be known of all contacts together: which number an id has, which tags and attributes there are."""

    def __init__(self, batches: Iterator[list[bytes]]) -> None:
        self.tags: dict[str, bytes] = {}
        self.attributes: dict[str, Any] = {}
        # Without a name it is on the disk as far as memory does not hold it, and gone with its connection.
        self._numbers = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._numbers.execute("CREATE TABLE ids (id TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID")
        number = 0
        for batch in batches:
            contacts = list(map(_decoded, batch))
            rows = [(str(contact.get("id")), number + offset) for offset, contact in enumerate(contacts)]
            self._numbers.execute("BEGIN")
            self._numbers.executemany("INSERT OR IGNORE INTO ids VALUES (?, ?)", rows)
            self._numbers.execute("COMMIT")
            number += len(batch)
            for record, contact in zip(batch, contacts, strict=True):
                self._collect(record, contact)

    def __del__(self) -> None:
        self._numbers.close()

    def number_of(self, contact_id: str) -> int | None:
        """Return the number of the first contact with an id."""
        row = self._numbers.execute("SELECT number FROM ids WHERE id = ?", (contact_id,)).fetchone()
        return None if row is None else int(row[0])

    def _collect(self, record: bytes, contact: dict[str, Any]) -> None:
        custom = contact.get("custom_attributes")
        for name, value in custom.items() if isinstance(custom, dict) else ():
            if self.attributes.get(name) is None and len(self.attributes) < _MAX_NAMES:
                self.attributes[name] = None if value is None else type(value)()  # its type is all that counts
        if _has_names(contact) and len(self.tags) < _MAX_NAMES:
            for tag_id, name in filter(None, map(id_and_name, _rows_of(record, "tags"))):
                self.tags.setdefault(tag_id, b'{"type":"tag","id":%b,"name":%b}' % (orjson.dumps(tag_id), name))


def _has_names(contact: dict[str, Any]) -> bool:
    """Whether a contact's tags have their names."""
    tags = contact.get("tags")
    rows = tags.get("data") if isinstance(tags, dict) else None
    return bool(rows) and isinstance(rows, list) and isinstance(rows[0], dict) and "name" in rows[0]


def _rows_of(record: bytes, name: str) -> list[bytes]:
    """Cut the rows of a list out of a contact."""
    try:
        value = RawObject.parse(record).values(name)[-1]
        return items_of(RawObject.parse(value).values("data")[-1])
    except (IndexError, ValueError):  # it has none, or null
        return []


def _file_signature(file: Path) -> tuple[int, int, int]:
    """Tell a file from what it was before somebody changed it."""
    try:
        status = file.stat()
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_size, status.st_mtime_ns


@contextmanager
def _indexing() -> Iterator[None]:
    """Turn a failure of the temporary database into one of the disk's."""
    try:
        yield
    except sqlite3.Error as exc:
        raise SinkError(
            f"cannot keep the ids in a temporary database: {exc}; name a folder in TMPDIR that has free space, "
            "some 50 bytes a contact"
        ) from exc


def _decoded(record: bytes) -> dict[str, Any]:
    """Read a contact as far as it can be read; what is served are its bytes."""
    try:
        contact = orjson.loads(record)
    except orjson.JSONDecodeError:
        return {}
    return contact if isinstance(contact, dict) else {}
