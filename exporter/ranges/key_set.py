"""The keys of written contacts as a set on disk, for exports of any size."""

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from exporter.errors import SinkError
from exporter.rawjson.contact_keys import KEY_BYTES

if TYPE_CHECKING:
    import sqlite3

_BATCH = 20_000
_CACHE_KB = 4_096


class KeySet:
    """A set of keys in a temporary database, which disappears with the block. Every method blocks."""

    def __init__(self) -> None:
        self._database: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._database is not None:
            self._database.close()

    def add(self, blocks: Iterable[bytes]) -> None:
        """Add the keys in blocks, each of any number of keys.

        Raises:
            SinkError: the temporary file cannot be written.
        """
        keys: list[bytes] = []
        for block in blocks:
            keys += split_keys(block)
            if len(keys) >= _BATCH:
                self._insert(keys)
                keys = []
        self._insert(keys)

    def add_new(self, keys: bytes) -> set[bytes]:
        """Add keys; return those that were not in the set."""
        wanted = dict.fromkeys(split_keys(keys))
        new = {key for key in wanted if not self._execute("SELECT 1 FROM written WHERE key = ?", (key,)).fetchone()}
        self._insert([*new])
        return new

    def _insert(self, keys: list[bytes]) -> None:
        self._execute("BEGIN")
        try:
            for key in sorted(keys):  # in order: much faster than at random
                self._execute("INSERT OR IGNORE INTO written VALUES (?)", (key,))
        finally:
            self._execute("COMMIT")

    def _execute(self, statement: str, values: tuple[bytes, ...] = ()) -> "sqlite3.Cursor":
        import sqlite3  # noqa: PLC0415 - only exports with several cursors need it

        try:
            if self._database is None:
                self._database = _open_temporary()
            return self._database.execute(statement, values)
        except sqlite3.Error as exc:
            raise SinkError(
                f"cannot store the keys of contacts in a temporary file: {exc}; free disk space there (about 30 bytes "
                "per contact), or set TMPDIR to another folder"
            ) from exc


def _open_temporary() -> "sqlite3.Connection":
    """Open a database in a temporary file, for use in any thread, one at a time."""
    import sqlite3  # noqa: PLC0415 - only exports with several cursors need it

    database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    database.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    database.execute("CREATE TABLE written (key BLOB PRIMARY KEY) WITHOUT ROWID")
    return database


def split_keys(keys: bytes) -> list[bytes]:
    """Return each key of a sequence of keys."""
    return [keys[at : at + KEY_BYTES] for at in range(0, len(keys), KEY_BYTES)]
