"""The settings of an export, in one object that validates them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, Self, TypeAlias, TypedDict, get_args

from exporter.errors import ConfigError
from exporter.formats.selection import EVERY_FIELD, FieldSelection
from exporter.formats.selection_checks import check_selection
from exporter.rawjson.normalization import RECORDS, Records
from exporter.validation import (
    MAX_BYTES,
    MAX_CONCURRENCY,
    MAX_CONSUMERS,
    MAX_CONTACTS,
    MAX_CURSORS,
    MAX_QUEUE_PAGES,
    MAX_SETTLE_S,
    Kinds,
    check_kinds,
    texts_of,
)

ListName: TypeAlias = Literal["tags", "notes", "companies", "subscriptions", "segments"]
LISTS: tuple[ListName, ...] = get_args(ListName)
"""The lists that can be expanded."""

Prove: TypeAlias = Literal["counts", "ids"]
"""How an export with several cursors proves that it is complete."""

AUTO_CURSORS = 32
"""Most cursors of ``"auto"``."""

_MAX_S = 10**8


@dataclass(frozen=True, slots=True)
class ListExpansion:
    """The lists of a contact that an export fetches in full.

    Attributes:
        lists: names of the lists. Tags, notes and companies are fetched only
            for truncated lists; subscriptions and segments for every contact,
            with one request per list.
        tag_names: whether tags get their names, with one request in total.
        concurrency: maximum concurrent requests for lists, from 1 to 100.

    Raises:
        ConfigError: a list does not exist, or the concurrency is out of range.
    """

    lists: tuple[ListName, ...] = ()
    tag_names: bool = False
    concurrency: int = 30

    def __post_init__(self) -> None:
        object.__setattr__(self, "lists", texts_of("lists", self.lists))
        check_kinds({"tag_names": self.tag_names}, {"tag_names": bool})
        if unknown := [name for name in self.lists if name not in LISTS]:
            raise ConfigError(f"lists must be any of {', '.join(LISTS)}, not {', '.join(unknown)}", "lists")
        if type(self.concurrency) is not int or not 1 <= self.concurrency <= MAX_CONCURRENCY:
            raise ConfigError(
                f"concurrency must be a whole number from 1 to {MAX_CONCURRENCY}, not {self.concurrency!r}",
                "concurrency",
            )

    @property
    def expanded_lists(self) -> tuple[str, ...]:
        """The lists whose items have more fields than without the expansion."""
        named_tags = ("tags",) if self.tag_names and "tags" not in self.lists else ()
        return (*self.lists, *named_tags)

    def __bool__(self) -> bool:
        """Return whether any list is expanded or tags get their names."""
        return bool(self.lists or self.tag_names)


NO_EXPANSION = ListExpansion()
_KINDS: dict[str, Kinds] = {
    "overwrite": bool,
    "restart": bool,
    "compression": (str, NoneType),
    "file_format": (str, NoneType),
    "selection": FieldSelection,
    "expansion": ListExpansion,
    "csv_raw": bool,
    "csv_bom": bool,
    "allow_shortfall": bool,
}
_MAXIMUMS: dict[str, int] = {
    "consumers": MAX_CONSUMERS,
    "queue_pages": MAX_QUEUE_PAGES,
    "max_contacts": MAX_CONTACTS,
    "part_contacts": MAX_CONTACTS,
    "part_bytes": MAX_BYTES,
}
"""The maximum of each integer option; the minimum is 1."""

_UNLIMITED = ("max_contacts", "part_contacts", "part_bytes")
"""Options that can be None."""


class StreamKeywords(TypedDict, total=False):
    """The keywords of `stream`: those fields of `ExportOptions` that matter without files."""

    compression: str | None
    file_format: str | None
    consumers: int
    queue_pages: int
    selection: FieldSelection
    expansion: ListExpansion
    csv_raw: bool
    csv_bom: bool
    records: Records
    allow_shortfall: bool
    cursors: int | Literal["auto"]
    prove: Prove
    settle_s: float


class ExportKeywords(StreamKeywords, total=False):
    """The keywords of `export`: every field of `ExportOptions`. `check` takes the same."""

    max_contacts: int | None
    overwrite: bool
    restart: bool
    part_contacts: int | None
    part_bytes: int | None
    checkpoint_every_s: float
    min_free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """The settings of an export. `export`, `stream` and `check` accept each of them as a keyword.

    Attributes:
        consumers: tasks that encode and write; the output does not depend on it.
        queue_pages: pages that wait between fetching and encoding.
        max_contacts: export this many contacts, then finish the output; None for all.
        overwrite: replace a finished export, an export with other settings, or a
            foreign file of that name; a file stays until the new one is
            complete, parts are removed at once. An unfinished export with the same
            settings is still resumed.
        restart: discard an unfinished export and start over.
        compression: ``"gzip"``, ``"zstd"`` (of NDJSON) or None, for streams and standard output only:
            one member or frame per page. The suffix of a file picks its compression.
        file_format: the suffix of the parts in a folder, without its first dot; for streams and
            standard output ``"ndjson"`` or ``"csv"``. None for the default, ``ndjson.gz`` or ``ndjson``.
        part_contacts: maximum contacts in a part, None without that limit. A part holds
            complete pages, at least one.
        part_bytes: maximum bytes in a part, None for 1 GB. A part holds complete pages, at least one.
        selection: which fields are written, and how; by default each contact exactly as sent.
        expansion: which lists of contacts are fetched in full before they are written. Each
            consumer expands one page at a time: more consumers hide the latency.
        csv_raw: leave CSV cells unescaped that a spreadsheet would run as formulas.
        csv_bom: begin each CSV file with a UTF-8 byte-order mark, for Excel.
        records: ``"exact"``: a contact's bytes are the API's. ``"normalized"``: what strict JSON
            readers refuse or change silently is corrected, and counted in the manifest.
        allow_shortfall: finish although the list ends far before the API's count of contacts,
            where that count is known to be wrong. By default the last page is requested again,
            later, and then a `ContractError` is raised.
        checkpoint_every_s: seconds between two checkpoints, 0 for one per page; one is also
            written every 64 MB.
        min_free_bytes: free space on the disk that no write may use, 0 for no check.
        cursors: how many ranges of creation dates are read at once, 1 to 128; ``"auto"`` for up to 32. 1 reads the
            list, in its order. More need a folder of parts, which is in order of creation, or stdout or a stream,
            in no order.
        prove: how an export with several cursors proves that nothing is missing: ``"counts"`` compares what list
            and search count with what was written; ``"ids"`` also reads the list, which takes as long as without
            cursors, and adds what no range had.
        settle_s: seconds that such a proof waits at most, each time, for contacts that were just created.

    Raises:
        ConfigError: a setting has a wrong type or is out of range.
    """

    consumers: int = 2
    queue_pages: int = 4
    max_contacts: int | None = None
    overwrite: bool = False
    restart: bool = False
    compression: str | None = None
    file_format: str | None = None
    part_contacts: int | None = None
    part_bytes: int | None = None
    selection: FieldSelection = EVERY_FIELD
    expansion: ListExpansion = NO_EXPANSION
    csv_raw: bool = False
    csv_bom: bool = False
    records: Records = "exact"
    allow_shortfall: bool = False
    checkpoint_every_s: float = 1.0
    min_free_bytes: int = 0
    cursors: int | Literal["auto"] = 1
    prove: Prove = "counts"
    settle_s: float = 300.0

    def __post_init__(self) -> None:
        check_kinds({name: getattr(self, name) for name in _KINDS}, _KINDS)
        for name, maximum in _MAXIMUMS.items():
            value = getattr(self, name)
            is_unlimited = value is None and name in _UNLIMITED
            if not is_unlimited and (type(value) is not int or not 1 <= value <= maximum):
                raise ConfigError(f"{name} must be a whole number from 1 to {maximum:,}, not {value!r}", name)
        if type(self.min_free_bytes) is not int or not 0 <= self.min_free_bytes <= MAX_BYTES:
            raise ConfigError(
                f"min_free_bytes must be a whole number from 0 to {MAX_BYTES:,}, not {self.min_free_bytes!r}",
                "min_free_bytes",
            )
        if type(self.checkpoint_every_s) not in (int, float) or not 0 <= self.checkpoint_every_s <= _MAX_S:
            raise ConfigError(
                f"checkpoint_every_s must be a number from 0 to {_MAX_S:,}, not {self.checkpoint_every_s!r}",
                "checkpoint_every_s",
            )
        self._check_cursors()
        if self.records not in RECORDS:
            raise ConfigError(f"records must be 'exact' or 'normalized', not {self.records!r}", "records")
        check_selection(self.selection)

    @classmethod
    def of(cls, function: str, allowed: type, keywords: Mapping[str, Any]) -> Self:
        """Return the options that a caller gave as keywords.

        Args:
            function: name of the function that was called.
            allowed: typed dictionary of its keywords.
            keywords: the keywords as given.

        Raises:
            TypeError: the function has no such keyword.
            ConfigError: an option has a wrong type or is out of range.
        """
        if unknown := sorted(keywords.keys() - allowed.__annotations__.keys()):
            raise TypeError(f"{function}() got an unexpected keyword argument {unknown[0]!r}")
        return cls(**keywords)

    def _check_cursors(self) -> None:
        is_number = type(self.cursors) is int and 1 <= self.cursors <= MAX_CURSORS
        if not is_number and self.cursors != "auto":
            raise ConfigError(
                f"cursors must be a whole number from 1 to {MAX_CURSORS}, or 'auto', not {self.cursors!r}", "cursors"
            )
        if self.prove not in get_args(Prove):
            raise ConfigError(f"prove must be 'counts' or 'ids', not {self.prove!r}", "prove")
        if type(self.settle_s) not in (int, float) or not 0 <= self.settle_s <= MAX_SETTLE_S:
            raise ConfigError(
                f"settle_s must be a number from 0 to {MAX_SETTLE_S:,}, not {self.settle_s!r}", "settle_s"
            )
        if self.cursors != 1 and self.max_contacts is not None:
            raise ConfigError("max_contacts and cursors are mutually exclusive", "max_contacts", "cursors")

    @property
    def max_cursors(self) -> int:
        """The maximum number of cursors at once."""
        return AUTO_CURSORS if self.cursors == "auto" else self.cursors

    @property
    def has_parts(self) -> bool:
        """Whether `part_contacts` or `part_bytes` is set."""
        return self.part_contacts is not None or self.part_bytes is not None
