"""The lists of a contact, whole: a page of contacts has at most ten members of each, and some not at all.

Facts about the API: each list has an endpoint of its own. Notes are paged there
by cursors or by URLs, companies by URLs, under ``companies`` or under ``data``;
the others are not paged. A 404 means that the contact was merged or deleted
meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args
from urllib.parse import parse_qsl

import anyio

from exporter.errors import ApiError, ConfigError, ContractError
from exporter.model import Page
from exporter.source.body import LARGEST_BODY_BYTES
from exporter.source.client import Client, Resource
from exporter.source.envelope import Envelope, parse
from exporter.source.guard import LoopGuard
from exporter.source.lists import EMBEDDED, completed, id_of, name_of, says_more, with_tag_names
from exporter.source.trial import Traffic

ListName: TypeAlias = Literal["tags", "notes", "companies", "subscriptions", "segments"]
LISTS: tuple[ListName, ...] = get_args(ListName)
"""The lists that can be expanded."""

_PER_PAGE = {"notes": "150", "companies": "50"}
_NOT_FOUND = 404
_MOST_CONCURRENT = 100


@dataclass(frozen=True, slots=True)
class Expansion:
    """Which lists are completed.

    Attributes:
        lists: their names. Of tags, notes and companies only those are asked
            for that say that there is more; subscriptions and segments of every
            contact, which is one request each.
        tag_names: whether tags get their names, by one request in all.
        concurrency: requests under way at once, besides the listing's own; 1 to 100.

    Raises:
        ConfigError: there is no such list, or the concurrency is out of range.
    """

    lists: tuple[ListName, ...] = ()
    tag_names: bool = False
    concurrency: int = 30

    def __post_init__(self) -> None:
        if unknown := [name for name in self.lists if name not in LISTS]:
            raise ConfigError(f"there is no list {', '.join(unknown)} to expand: there are {', '.join(LISTS)}")
        if type(self.concurrency) is not int or not 1 <= self.concurrency <= _MOST_CONCURRENT:
            raise ConfigError(f"the concurrency of expanding must be a whole number from 1 to {_MOST_CONCURRENT}")

    @property
    def tables(self) -> tuple[str, ...]:
        """The lists whose items tell more than they would else."""
        named = ("tags",) if self.tag_names and "tags" not in self.lists else ()
        return (*self.lists, *named)

    def wanted(self, record: bytes) -> list[ListName]:
        """Say which lists of a contact are to be fetched."""
        more = says_more(record)
        return [name for name in self.lists if name not in EMBEDDED or name in more]

    def __bool__(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.lists or self.tag_names)


NO_EXPANSION = Expansion()


@dataclass(slots=True)
class Expanded:
    """What was done to a page.

    Attributes:
        records: the contacts.
        lists: how many lists were completed.
        missing: how many could not be, since their contact is gone: what was embedded stays.
    """

    records: list[bytes]
    lists: int = 0
    missing: int = 0


class Expander:
    """Completes the lists of contacts.

    Args:
        client: how they are fetched.
        expansion: which.
        traffic: counts what that costs.
    """

    def __init__(self, client: Client, expansion: Expansion, traffic: Traffic) -> None:
        self._client = client
        self._expansion = expansion
        self._traffic = traffic
        self._room = anyio.Semaphore(expansion.concurrency)
        self._naming = anyio.Lock()
        self._tag_names: dict[str, bytes] | None = None

    async def expand(self, page: Page) -> Expanded:
        """Complete the lists of a page's contacts; all else in them keeps its bytes.

        Raises:
            SourceError: one could not be fetched, and not because its contact is gone.
        """
        try:
            return await self._expand(page)
        except (ValueError, RecursionError):  # raised by nothing but what takes contacts apart
            raise ContractError(
                "a contact is nested too deeply to be taken apart: without completed lists it can be exported"
            ) from None

    async def _expand(self, page: Page) -> Expanded:
        expanded = Expanded(list(page.records))
        wanted = [self._expansion.wanted(record) for record in page.records]
        found: list[tuple[int, ListName, Sequence[bytes] | None]] = []

        async def complete(place: int, name: ListName) -> None:
            async with self._room:
                found.append((place, name, await self._fetch(id_of(page.records[place]), name)))

        async with anyio.create_task_group() as tasks:
            for place, names in enumerate(wanted):
                for name in names:
                    tasks.start_soon(complete, place, name)
        for place, name, members in sorted(found, key=lambda one: (one[0], self._expansion.lists.index(one[1]))):
            if members is None:
                expanded.missing += 1
            else:
                expanded.records[place] = completed(expanded.records[place], name, members)
                expanded.lists += 1
        if self._expansion.tag_names:
            tag_names = await self._names()
            expanded.records = [with_tag_names(record, tag_names) for record in expanded.records]
        return expanded

    async def _fetch(self, contact_id: str, name: ListName) -> Sequence[bytes] | None:
        """Fetch a whole list; None if its contact is gone, or has no id that a path could hold."""
        if not contact_id:
            return None
        path = f"/contacts/{contact_id}/{name}"
        url = self._client.base_url + path
        items: list[bytes] = []
        guard, cursor = LoopGuard(None), None
        page = size = 0
        while page == 0 or cursor is not None:
            try:
                envelope = await self._client.fetch(_resource(path, url, name, cursor), self._traffic)
            except ApiError as refusal:
                if refusal.status == _NOT_FOUND:
                    return None
                raise
            items += envelope.records
            size += sum(map(len, envelope.records))
            if size > LARGEST_BODY_BYTES:
                raise ContractError(f"the API sent a list of {name} of more than {LARGEST_BODY_BYTES >> 20} MiB")
            page, cursor = page + 1, envelope.next_cursor
            guard.pass_by(cursor, page)
        return items

    async def _names(self) -> dict[str, bytes]:
        """Give the names of all tags, as JSON, by id; fetched once."""
        async with self._naming:
            if self._tag_names is None:
                url = f"{self._client.base_url}/tags"
                envelope = await self._client.fetch(_resource("/tags", url, "tags", None), self._traffic)
                self._tag_names = dict(filter(None, map(name_of, envelope.records)))
        return self._tag_names


def _resource(path: str, url: str, name: str, cursor: str | None) -> Resource[Envelope]:
    query = {"per_page": _PER_PAGE[name]} if name in _PER_PAGE else {}
    if cursor is not None and cursor.startswith(f"{url}?"):  # paged by number
        query |= dict(parse_qsl(cursor.removeprefix(f"{url}?")))
    elif cursor is not None:
        query["starting_after"] = cursor

    async def read(body: bytes) -> Envelope:
        return parse(body, url, ("data", name))

    return Resource(path, lambda _server_errors: query, read)
