"""``POST /contacts/search``: from the body of a request to the body of its response."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from exporter.errors import ConfigError
from exporter.sandbox.lagged_index import Searchable
from exporter.sandbox.protocol import SINCE_2_17, page_body
from exporter.sandbox.search import ContactSearch, Place, read_cursor, write_cursor
from exporter.sandbox.search_match import DateRules
from exporter.sandbox.search_query import Precision, Rules, Search, parse_search


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone with an IANA name. The first call for a name reads a file.

    Raises:
        ConfigError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"timezone {name!r} is not the name of a time zone, such as Europe/Dublin") from None


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How a sandbox searches.

    Attributes:
        precision: whether dates match by day or by second; None for what the API version does.
        lag_s: seconds until an inserted or updated contact appears.
        cap: maximum of the reported count; None for the exact count.
        missing: number of contacts that never appear, evenly distributed over the list.
        unsettled: number of further contacts, evenly distributed, that are counted twice: each search that finds one
            reports one contact more than it returns. Searches with one contact per page count correctly.
        has_id_suffix: whether the operator ``$`` is accepted for ``id``.

    Raises:
        ConfigError: a value is out of range.
    """

    precision: Precision | None = None
    lag_s: float = 0
    cap: int | None = None
    missing: int = 0
    unsettled: int = 0
    has_id_suffix: bool = True

    def __post_init__(self) -> None:
        if self.precision not in (None, "day", "second"):
            raise ConfigError(f"search must be day or second, not {self.precision!r}", "search")
        if not self.lag_s >= 0:
            raise ConfigError(f"search_lag_s {self.lag_s} is not a number of seconds from 0", "search_lag_s")
        if self.cap is not None and self.cap < 1:
            raise ConfigError(f"search_cap {self.cap} is not a number from 1", "search_cap")
        for name, count in (("missing", self.missing), ("unsettled", self.unsettled)):
            if count < 0:
                raise ConfigError(f"search_{name} {count} is not a number from 0", f"search_{name}")


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a page of a search.

    Attributes:
        search: filter, order and page size.
        after: the place after which the page begins; None for the first page.
    """

    search: Search
    after: Place | None

    @property
    def page(self) -> int:
        """Number of the page, from 1."""
        return self.after.page if self.after else 1


class SearchEndpoint:
    """The endpoint of one sandbox.

    Args:
        source: the contacts.
        settings: how it searches.
        timezone: IANA name of the workspace's time zone.
        clock: function that returns UNIX time in seconds.

    Attributes:
        search: the search itself.
        timezone: as given; it can be changed.
    """

    def __init__(self, source: Searchable, settings: SearchSettings, timezone: str, clock: Callable[[], float]) -> None:
        self._settings = settings
        self.search = ContactSearch(
            source, clock, lag_s=settings.lag_s, missing=settings.missing, unsettled=settings.unsettled
        )
        self.timezone = timezone

    def parse(self, body: bytes, version: str) -> Request:
        """Parse the body of a request.

        Raises:
            Refusal: 400, it is invalid.
        """
        search = parse_search(body, Rules(self._precision(version), self._settings.has_id_suffix))
        return Request(search, None if search.starting_after is None else read_cursor(search.starting_after))

    def body(self, request: Request, version: str, *, loop: bool = False) -> bytes:
        """Return the body of a page.

        Args:
            request: the request.
            version: version of the API.
            loop: return the cursor of this page as the next one.
        """
        rules = DateRules(zone_of(self.timezone), self._precision(version))
        page = self.search.page(request.search, request.after, rules, version)
        per_page, total = request.search.per_page, page.total_count
        pages: dict[str, Any] = {"type": "pages", "page": request.page}
        following = request.after or page.following if loop else page.following
        if following is not None:
            pages["next"] = {"page": request.page + 1, "starting_after": write_cursor(following)}
        pages |= {"per_page": per_page, "total_pages": -(-total // per_page)}
        return page_body(page.records, total if self._settings.cap is None else min(total, self._settings.cap), pages)

    def _precision(self, version: str) -> Precision:
        return self._settings.precision or ("second" if version in SINCE_2_17 else "day")
