"""A finished export as a workspace that the sandbox serves."""

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

_INDEX_STRIDE = 150  # contacts between two index entries of 24 bytes: most exports have pages of 150
_CACHED_CHUNKS = 2
_MAX_NAMES = 10_000


class Replay(NoBlock):
    """A replay of a finished export: the sandbox serves its contacts in their order, with identical bytes.

    ::

        async with exporter.Sandbox(replay=exporter.Replay("contacts.ndjson.gz")) as sandbox:
            ...  # another export from this sandbox has the same bytes

    Contacts are read from the files on demand. Memory holds two pages, or two
    row groups of Parquet (32 MB each), and 24 bytes per 150 contacts. The first
    request for a single contact, for tags or for attributes waits until the ids of
    all contacts are in a temporary database; requests for pages do not wait.

    Args:
        path: path of the file, of the folder of parts, or of the manifest.

    Raises:
        ConfigError: there is no finished export, or it is CSV, which does not
            keep the contacts as the API sent them.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        export = FinishedExport(path)
        if export.has_rows:
            raise ConfigError(f"{os.fspath(path)!r} is CSV and cannot be replayed: export to NDJSON or Parquet instead")
        self.name = export.path.name
        # A digest of the contents: the sandbox rejects a cursor from another export.
        self.id_code = sha256("".join(file.sha256 for _, file in export.files).encode()).hexdigest()[:8]
        self._count = export.summary.contacts
        self._files = [file for file, _ in export.files]
        self._signatures = list(map(_file_signature, self._files))
        self._positions, self._file_indexes, self._offsets = array("Q", [0]), array("Q", [0]), array("Q", [0])
        self._chunks: OrderedDict[Offset, tuple[list[bytes], Offset | None]] = OrderedDict()
        self._index: _Index | None = None
        self._lock, self._index_lock = Lock(), Lock()

    def __len__(self) -> int:
        return self._count

    def record(self, index: int) -> bytes:
        """Return the JSON bytes of one contact. Blocks.

        Raises:
            IndexError: the export has no contact with that index.
        """
        records = self.records(index, index + 1) if index >= 0 else []
        if not records:
            raise IndexError(f"index {index} is out of range: the export has {self._count} contacts")
        return records[0]

    def records(self, start: int, stop: int) -> list[bytes]:
        """Return the contacts from index ``start`` up to ``stop``, fewer at the end of the export. Blocks.

        Raises:
            SinkError: a file is damaged, or was modified since the replay started.
        """
        with self._lock:
            return self._records(max(start, 0), stop) if start < self._count else []

    def _records(self, start: int, stop: int) -> list[bytes]:
        nearest = bisect_right(self._positions, start) - 1
        position = self._positions[nearest]
        offset: Offset | None = Offset(self._file_indexes[nearest], self._offsets[nearest])
        records: list[bytes] = []
        while offset is not None and position < stop:
            self._add_index_entry(position, offset)
            lines, next_offset = self._read_cached(offset)
            records += lines[max(start - position, 0) : stop - position]
            position, offset = position + len(lines), next_offset
        if offset is None and position != self._count:
            raise SinkError(
                f"{self.name!r} has {position} contacts, its manifest says {self._count}: run verify for details"
            )
        return records

    def _add_index_entry(self, position: int, offset: Offset) -> None:
        if position >= self._positions[-1] + _INDEX_STRIDE:
            self._positions.append(position)
            self._file_indexes.append(offset.file)
            self._offsets.append(offset.offset)

    def _read_cached(self, offset: Offset) -> tuple[list[bytes], Offset | None]:
        """Return the chunk at an offset, from the cache if it was read recently."""
        chunk = self._chunks.pop(offset, None) or self._read(offset)
        self._chunks[offset] = chunk
        while len(self._chunks) > _CACHED_CHUNKS:
            self._chunks.popitem(last=False)
        return chunk

    def _read(self, offset: Offset) -> tuple[list[bytes], Offset | None]:
        if self._files and _file_signature(self._files[offset.file]) != self._signatures[offset.file]:
            raise SinkError(f"{self.name!r} was modified while being served")
        return read_chunk(self._files, offset)

    def id_of(self, index: int) -> str:
        """Return the id of one contact. Blocks."""
        return str(_decoded(self.record(index)).get("id"))

    def index_of(self, contact_id: str) -> int | None:
        """Return the index of the contact with an id, None if there is none. Blocks."""
        index = self._get_index()
        with self._index_lock, _indexing():
            return index.find(contact_id)

    def nested(self, index: int, name: str) -> list[bytes]:
        """Return the items of one of a contact's lists that the export contains: the bytes of each. Blocks.

        Args:
            index: the contact's index.
            name: tags, notes, companies, subscriptions or segments.
        """
        return _rows_of(self.record(index), name)

    def tags(self) -> list[bytes]:
        """Return all tags of the contacts whose names the export contains: the bytes of each. Blocks."""
        return list(self._get_index().tags.values())

    def attributes(self) -> Mapping[str, Any]:
        """Return all custom attributes of the contacts, each with a sample value of its type. Blocks."""
        return self._get_index().attributes

    def _get_index(self) -> "_Index":
        with self._index_lock, _indexing():
            if self._index is None:
                self._index = _Index(self._all_chunks())
            return self._index

    def _all_chunks(self) -> Iterator[list[bytes]]:
        offset: Offset | None = Offset(0, 0)
        while offset is not None:
            lines, offset = self._read(offset)
            yield lines


class _Index:
    """An index of all contacts: the index of each id, and all tags and custom attributes."""

    def __init__(self, batches: Iterator[list[bytes]]) -> None:
        self.tags: dict[str, bytes] = {}
        self.attributes: dict[str, Any] = {}
        # SQLite keeps an unnamed database in memory or in a temporary file, and removes it with the connection.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.execute("CREATE TABLE ids (id TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID")
        index = 0
        for batch in batches:
            contacts = list(map(_decoded, batch))
            rows = [(str(contact.get("id")), index + offset) for offset, contact in enumerate(contacts)]
            self._database.execute("BEGIN")
            self._database.executemany("INSERT OR IGNORE INTO ids VALUES (?, ?)", rows)
            self._database.execute("COMMIT")
            index += len(batch)
            for record, contact in zip(batch, contacts, strict=True):
                self._collect(record, contact)

    def __del__(self) -> None:
        self._database.close()

    def find(self, contact_id: str) -> int | None:
        """Return the index of the first contact with an id, None if there is none."""
        row = self._database.execute("SELECT number FROM ids WHERE id = ?", (contact_id,)).fetchone()
        return None if row is None else int(row[0])

    def _collect(self, record: bytes, contact: dict[str, Any]) -> None:
        custom = contact.get("custom_attributes")
        for name, value in custom.items() if isinstance(custom, dict) else ():
            if self.attributes.get(name) is None and len(self.attributes) < _MAX_NAMES:
                self.attributes[name] = None if value is None else type(value)()  # only the type matters
        if _has_names(contact) and len(self.tags) < _MAX_NAMES:
            for tag_id, name in filter(None, map(id_and_name, _rows_of(record, "tags"))):
                self.tags.setdefault(tag_id, b'{"type":"tag","id":%b,"name":%b}' % (orjson.dumps(tag_id), name))


def _has_names(contact: dict[str, Any]) -> bool:
    """Return whether a contact's tags have names."""
    tags = contact.get("tags")
    rows = tags.get("data") if isinstance(tags, dict) else None
    return bool(rows) and isinstance(rows, list) and isinstance(rows[0], dict) and "name" in rows[0]


def _rows_of(record: bytes, name: str) -> list[bytes]:
    """Return the items of one of a contact's lists: the bytes of each."""
    try:
        value = RawObject.parse(record).values(name)[-1]
        return items_of(RawObject.parse(value).values("data")[-1])
    except (IndexError, ValueError):  # the contact has no such list, or null
        return []


def _file_signature(file: Path) -> tuple[int, int, int]:
    """Return inode, size and modification time, which change when another program modifies the file."""
    try:
        status = file.stat()
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_size, status.st_mtime_ns


@contextmanager
def _indexing() -> Iterator[None]:
    """Translate an error of the temporary database into a `SinkError`."""
    try:
        yield
    except sqlite3.Error as exc:
        raise SinkError(
            f"cannot store the ids in a temporary database: {exc}; set TMPDIR to a folder with enough free space "
            "(about 50 bytes per contact)"
        ) from exc


def _decoded(record: bytes) -> dict[str, Any]:
    """Decode a contact; return an empty object for invalid JSON. The sandbox serves the bytes, not this object."""
    try:
        contact = orjson.loads(record)
    except orjson.JSONDecodeError:
        return {}
    return contact if isinstance(contact, dict) else {}
