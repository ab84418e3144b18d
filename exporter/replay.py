"""A finished export as a workspace, for the sandbox to serve."""

import sqlite3
import tempfile
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

import orjson

from exporter.errors import ConfigError, SinkError
from exporter.sandbox.attributes import described
from exporter.sink.finished import Finished
from exporter.sink.units import Place, unit_at

_APART = 1_000  # contacts between two places that are remembered: some 24 bytes each
_UNITS = 4
_MOST_NAMES = 10_000


class Replay:
    """Serves the contacts of a finished export, in its order, each with its very bytes.

    ::

        async with exporter.Sandbox(replay=exporter.Replay("contacts.ndjson.gz")) as sandbox:
            ...  # exporting it again gives the same bytes

    Contacts are read from the files as they are asked for; memory holds a
    place for each thousand. Who asks for a single contact, or for tags and
    attributes of the workspace, waits until all ids have once been written
    into a temporary file.

    Args:
        path: the file, or the folder of its parts, or the manifest.

    Raises:
        ConfigError: there is no finished export, or it is CSV, whose contacts
            are not as the API sent them any more.
    """

    def __init__(self, path: str) -> None:
        export = Finished(path)
        if export.has_rows:
            raise ConfigError(f"{path!r} is CSV, which has no contacts as the API sent them: export NDJSON or Parquet")
        self.name = export.path.name
        self.seed = 0
        self.id_code = sha256(self.name.encode()).hexdigest()[:8]
        self._count = export.summary.contacts
        self._files = [file for file, _ in export.files]
        self._positions, self._places = [0], [Place(0, 0)]
        self._units: OrderedDict[Place, tuple[list[bytes], Place | None]] = OrderedDict()
        self._index: _Index | None = None
        self._lock = Lock()

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
        place: Place | None = self._places[nearest]
        found: list[bytes] = []
        while place is not None and position < stop:
            self._remember(position, place)
            lines, following = self._unit(place)
            found += lines[max(start - position, 0) : stop - position]
            position, place = position + len(lines), following
        if place is None and position != self._count:
            raise SinkError(f"{self.name!r} has {position} contacts, its manifest says {self._count}: verify says more")
        return found

    def _remember(self, position: int, place: Place) -> None:
        if position >= self._positions[-1] + _APART:
            self._positions.append(position)
            self._places.append(place)

    def _unit(self, place: Place) -> tuple[list[bytes], Place | None]:
        """Read what is at a place, unless it was just read."""
        unit = self._units.pop(place, None) or unit_at(self._files, place)
        self._units[place] = unit
        while len(self._units) > _UNITS:
            self._units.popitem(last=False)
        return unit

    def id_of(self, index: int) -> str:
        """Return the id of one contact. Blocks."""
        return str(_decoded(self.record(index)).get("id"))

    def index_of(self, contact_id: str) -> int | None:
        """Return the number of the contact with an id, None when there is none. Blocks."""
        return self._indexed().number_of(contact_id)

    def nested(self, index: int, name: str) -> list[dict[str, Any]]:
        """Return one of a contact's nested lists, as far as the export has it. Blocks.

        Args:
            index: the contact's number.
            name: tags, notes, companies, subscriptions or segments.
        """
        embedded = _decoded(self.record(index)).get(name)
        rows = embedded.get("data") if isinstance(embedded, dict) else None
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    def tags(self) -> list[dict[str, Any]]:
        """Return the tags that some contact has. Blocks."""
        return list(self._indexed().tags.values())

    def attributes(self) -> list[dict[str, Any]]:
        """Return the definitions of the custom attributes that some contact has. Blocks."""
        return [
            described(name, value, number) for number, (name, value) in enumerate(self._indexed().attributes.items())
        ]

    def _indexed(self) -> "_Index":
        with self._lock:
            if self._index is None:
                self._index = _Index(self._all())
            return self._index

    def _all(self) -> Iterator[list[bytes]]:
        place: Place | None = Place(0, 0)
        while place is not None:
            lines, place = unit_at(self._files, place)
            yield lines


class _Index:
    """What can only be known of all contacts together: which number an id has, which tags and attributes there are."""

    def __init__(self, batches: Iterator[list[bytes]]) -> None:
        self.tags: dict[str, dict[str, Any]] = {}
        self.attributes: dict[str, Any] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="intercom-exporter-", ignore_cleanup_errors=True)
        self._numbers = sqlite3.connect(Path(self._folder.name) / "ids", check_same_thread=False, isolation_level=None)
        self._numbers.execute("PRAGMA journal_mode = OFF")
        self._numbers.execute("PRAGMA synchronous = OFF")
        self._numbers.execute("CREATE TABLE ids (id TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID")
        number = 0
        for batch in batches:
            contacts = list(map(_decoded, batch))
            rows = [(str(contact.get("id")), number + place) for place, contact in enumerate(contacts)]
            self._numbers.execute("BEGIN")
            self._numbers.executemany("INSERT OR IGNORE INTO ids VALUES (?, ?)", rows)
            self._numbers.execute("COMMIT")
            number += len(batch)
            for contact in contacts:
                self._note(contact)

    def number_of(self, contact_id: str) -> int | None:
        """Return the number of the first contact with an id."""
        row = self._numbers.execute("SELECT number FROM ids WHERE id = ?", (contact_id,)).fetchone()
        return None if row is None else int(row[0])

    def _note(self, contact: dict[str, Any]) -> None:
        custom, tags = contact.get("custom_attributes"), contact.get("tags")
        for name, value in custom.items() if isinstance(custom, dict) else ():
            if self.attributes.get(name) is None and len(self.attributes) < _MOST_NAMES:
                self.attributes[name] = None if value is None else type(value)()  # its type is all that counts
        for tag in (tags.get("data") or ()) if isinstance(tags, dict) else ():
            if isinstance(tag, dict) and len(self.tags) < _MOST_NAMES:
                own = {"type": "tag", "id": str(tag.get("id")), "name": tag.get("name") or ""}
                self.tags.setdefault(own["id"], own)


def _decoded(record: bytes) -> dict[str, Any]:
    """Read a contact as far as it can be read; what is served are its bytes."""
    try:
        contact = orjson.loads(record)
    except orjson.JSONDecodeError:
        return {}
    return contact if isinstance(contact, dict) else {}
