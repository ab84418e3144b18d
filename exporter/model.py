"""The data of an export: frozen dataclasses, almost without behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NoReturn, Protocol

from exporter.errors import ConfigError


class ResumeToken(Protocol):
    """The state of a listing at one page, besides the cursor, for another run that resumes there. Immutable."""

    def dump(self) -> str:
        """Return it as text, for a checkpoint."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of contacts, as the API sent it.

    Attributes:
        number: position in the listing, from 1 where the listing began.
        records: raw JSON bytes of each contact, in API order, unchanged.
        next_cursor: opaque cursor of the next page, None on the last page.
        total_count: contacts that the API counted when it sent this page, None without a
            count. It changes while a listing runs: use it for progress, not as a proof
            of completeness.
        is_truncated: True when a limit removed contacts from its end: the page at
            `next_cursor` does not begin with them.
        plain: False when the fast parser refused the page, such as for a lone
            surrogate.
        keys: twelve bytes for each contact that has an id, to find duplicates;
            see `exporter.rawjson.contact_keys`.
        resume: state of the listing at this page, besides `next_cursor`, for another run that resumes there.
    """

    number: int
    records: tuple[bytes, ...] = field(repr=False)
    next_cursor: str | None
    total_count: int | None
    is_truncated: bool = False
    plain: bool = True
    keys: bytes = field(default=b"", repr=False, compare=False)
    resume: "ResumeToken | None" = field(default=None, repr=False, compare=False)

    if not TYPE_CHECKING:

        def __iter__(self) -> NoReturn:
            raise ConfigError("a Page cannot be iterated over: use page.records, the JSON bytes of each contact")


@dataclass(frozen=True, slots=True)
class Frame:
    """One encoded page. A file can be truncated after any frame and stays valid.

    Attributes:
        content: the bytes to write: lines of NDJSON or rows of CSV, or one gzip member of them.
        contacts: number of contacts in the content.
        uncompressed_bytes: length of the content before compression.
        matched_fields: the named fields that at least one contact of the page has.
        lists_expanded: number of lists that were completed.
        lists_missing: number of lists that could not be completed, by cause; they keep their embedded items.
        schema_checked: number of contacts that were compared with the schema.
        schema_drift: by path and kind, in how many of those a field had another type.
        corrections: number of corrections that normalized the contacts, by kind.
        irregular: number of checked contacts that strict JSON readers refuse or change.
    """

    content: bytes = field(repr=False)
    contacts: int
    uncompressed_bytes: int
    matched_fields: frozenset[str] = frozenset()
    lists_expanded: int = 0
    lists_missing: Mapping[str, int] = field(default_factory=dict)
    schema_checked: int = 0
    schema_drift: Mapping[tuple[str, str], int] = field(default_factory=dict)
    corrections: Mapping[str, int] = field(default_factory=dict)
    irregular: int = 0


def prepend_header(first: Frame, second: Frame) -> Frame:
    """Return the first frame of a file with the header of the file before it."""
    return replace(
        second,
        content=first.content + second.content,
        uncompressed_bytes=first.uncompressed_bytes + second.uncompressed_bytes,
    )


@dataclass(frozen=True, slots=True)
class Position:
    """A position in an output: everything before it is written.

    Attributes:
        next_cursor: cursor of the page after the last written page; None before
            the first page and after the last. If a limit truncated that page, the
            output lacks the contacts that were removed from its end.
        pages: pages written.
        contacts: contacts written.
        written_bytes: length of all files of the output together; for Parquet, of the journals of its files.
        uncompressed_bytes: its length before compression.
        reached_end: whether the last written page was the last of the list.
    """

    next_cursor: str | None = None
    pages: int = 0
    contacts: int = 0
    written_bytes: int = 0
    uncompressed_bytes: int = 0
    reached_end: bool = False


@dataclass(frozen=True, slots=True)
class Timeline:
    """The progress of an export over time, in slices of equal length. Time between its runs does not count.

    Attributes:
        slice_s: seconds of each slice.
        contacts: contacts written in each slice.
        retries: requests repeated in each slice.
        waited_s: seconds waited for the rate limit in each slice, counted with the next page.
        ran_s: seconds of all runs, each up to its last page.
    """

    slice_s: float = 1.0
    contacts: tuple[int, ...] = ()
    retries: tuple[int, ...] = ()
    waited_s: tuple[float, ...] = ()
    ran_s: float = 0.0

    @property
    def is_valid(self) -> bool:
        """Whether the values are plausible: the manifest may come from another program."""
        numbers = (*self.contacts, *self.retries, *self.waited_s)
        lengths = {len(self.contacts), len(self.retries), len(self.waited_s)}
        return (
            1 <= self.slice_s < _MAX_SLICE_S
            and 0 <= self.ran_s < _MAX_VALUE
            and len(lengths) == 1
            and len(numbers) <= _MAX_NUMBERS
            and all(0 <= number < _MAX_VALUE for number in numbers)
            and sum(numbers) < _MAX_VALUE
        )


_MAX_VALUE, _MAX_NUMBERS, _MAX_SLICE_S = 2**53, 3 * 1_000, 2**31
