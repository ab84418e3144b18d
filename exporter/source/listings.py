"""The listings of contacts that the API offers, and the requests for their pages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, cast

import orjson

from exporter.errors import ApiError, ConfigError
from exporter.layout.settings import LIST_ENDPOINT, SEARCH_ENDPOINT
from exporter.source.request import Request

SortOrder: TypeAlias = Literal["ascending", "descending"]
Sort: TypeAlias = tuple[str, SortOrder]
"""A field and its order."""

_BAD_REQUEST = 400
_GONE = (404, 410)


class Listing(Protocol):
    """A listing of contacts, page by page."""

    @property
    def path(self) -> str:
        """The path of its endpoint."""

    def request(self, cursor: str | None, per_page: int) -> Request:
        """Return the request for one page.

        Args:
            cursor: cursor of the page; None for the first page.
            per_page: number of contacts; the cursor does not hold it, and the API's default differs.
        """

    def refuses_cursor(self, refusal: ApiError) -> bool:
        """Return whether the API refused the cursor of a page, not the request as such."""


@dataclass(frozen=True, slots=True)
class ContactList:
    """The list of all contacts: ``GET /contacts``."""

    path: str = field(default=LIST_ENDPOINT, init=False)

    def request(self, cursor: str | None, per_page: int) -> Request:
        """Return the request for one page."""
        return Request(self.path, {"per_page": str(per_page)} | ({} if cursor is None else {"starting_after": cursor}))

    def refuses_cursor(self, refusal: ApiError) -> bool:
        """Return whether a refusal is about the cursor: 400 names the parameter; 404 and 410 were observed too."""
        return refusal.status in _GONE or (refusal.status == _BAD_REQUEST and "starting_after" in str(refusal))


@dataclass(frozen=True, slots=True)
class ContactSearch:
    """The contacts that match a query: ``POST /contacts/search``.

    Attributes:
        query: JSON of the query.
        sort: field and order. It is sent with every page: a page that has another order than the one before it was
            answered with 500, and without one the newest contacts come first.
    """

    query: bytes
    sort: Sort = ("created_at", "ascending")
    path: str = field(default=SEARCH_ENDPOINT, init=False)

    def request(self, cursor: str | None, per_page: int) -> Request:
        """Return the request for one page."""
        pagination = {"per_page": per_page} | ({} if cursor is None else {"starting_after": cursor})
        name, order = self.sort
        body = {"query": orjson.Fragment(self.query), "sort": {"field": name, "order": order}, "pagination": pagination}
        return Request(self.path, json=orjson.dumps(body))

    def refuses_cursor(self, refusal: ApiError) -> bool:
        """Return whether a refusal is about the cursor.

        The documentation names no code for that. The same query was accepted for the first page, so a later 400 can
        only be about the cursor; if it is not, the first page will be refused too.
        """
        return refusal.status in (_BAD_REQUEST, *_GONE)


def search_for(query: Mapping[str, Any], sort: Sort) -> ContactSearch:
    """Return the search for a query.

    Args:
        query: filters as the API defines them.
        sort: field and order.

    Raises:
        ConfigError: the query is not JSON, or the order does not exist.
    """
    if not isinstance(cast("object", query), Mapping):
        raise ConfigError(f"query must be a dict of a field, an operator and a value, not {query!r}", "query")
    match cast("object", sort):
        case (str() as name, ("ascending" | "descending") as order) if name:
            pass
        case _:
            raise ConfigError(f"sort must be a field and one of ascending, descending, not {sort!r}", "sort")
    try:
        return ContactSearch(orjson.dumps(dict(query)), (name, order))
    except orjson.JSONEncodeError as exc:
        raise ConfigError(f"query cannot be sent as JSON: {exc}", "query") from None
