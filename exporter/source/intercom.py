"""`Intercom`: one workspace, the entry point of the library."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from anyio import CancelScope

from exporter.errors import ConfigError
from exporter.model import Position
from exporter.observe.events import Observer, null_observer
from exporter.options import ListExpansion
from exporter.source.argument_checks import check_api_version, checked_retry_policy, checked_token, is_within
from exporter.source.base_url import resolve_base_url
from exporter.source.client import Client
from exporter.source.contacts import Contacts
from exporter.source.custom_attributes import fetch_attributes
from exporter.source.envelope import is_sendable
from exporter.source.expansion import Expander
from exporter.source.listings import Sort, search_for
from exporter.source.loop_guard import LoopGuard
from exporter.source.pages import Pages, ResumePoint
from exporter.source.rate_limit import RateLimiter
from exporter.source.retry import RequestStats, RetryPolicy
from exporter.source.workspace import WorkspaceName, fetch_workspace
from exporter.tasks import cancel_and_wait
from exporter.validation import MAX_PER_PAGE, MAX_RESERVE_PERCENT, AsyncBlock, check_callable, check_kinds

_KINDS = {"api_version": str, "insecure_http": bool}


class Intercom(AsyncBlock):
    """One Intercom workspace, as an asynchronous context manager.

    Any number of listings and exports can run at once; they share its connections
    and its rate limiter. It reads the proxy variables of the environment and changes
    nothing outside itself.

    Args:
        token: an access token with the permission to read contacts.
        region: ``us`` (the default), ``eu`` or ``au``.
        base_url: another address instead of a region's, such as a sandbox's.
        api_version: ``1.0``-``1.4``, ``2.0``-``2.17``, ``Preview`` or ``Unstable``; sent with
            every request. Without it the API would use the version set in the app.
        per_page: contacts per page, 1 to 150, the API's maximum.
        reserve_percent: percentage of each rate-limit window that is left to the
            workspace's other integrations, 0 to 90.
        retry_policy: time-outs and retry budgets.
        insecure_http: allow plain http to hosts other than this machine; a proxy can then read the token.

    Attributes:
        base_url: the API's address.
        api_version: as given.
        per_page: as given.
        client: what sends the requests of all listings.
        identity: the name of this API in checkpoints and manifests: its address, or a fixed
            name for a sandbox, whose address differs each time.

    Raises:
        ConfigError: an argument is invalid. Nothing was sent.
    """

    def __init__(  # noqa: PLR0913 - one keyword per setting reads better here than an object of settings
        self,
        token: str,
        *,
        region: str | None = None,
        base_url: str | None = None,
        api_version: str = "2.14",
        per_page: int = MAX_PER_PAGE,
        reserve_percent: float = 20,
        retry_policy: RetryPolicy | None = None,
        insecure_http: bool = False,
    ) -> None:
        check_kinds({"api_version": api_version, "insecure_http": insecure_http}, _KINDS)
        check_api_version(api_version)
        if type(per_page) is not int or not 1 <= per_page <= MAX_PER_PAGE:
            raise ConfigError(f"per_page must be a whole number from 1 to {MAX_PER_PAGE}, not {per_page!r}", "per_page")
        if not is_within(reserve_percent, 0, MAX_RESERVE_PERCENT):
            raise ConfigError(
                f"reserve_percent must be a number from 0 to {MAX_RESERVE_PERCENT}, not {reserve_percent!r}",
                "reserve_percent",
            )
        self.base_url = resolve_base_url(region, base_url, insecure_http=insecure_http)
        self.identity = self.base_url
        self.api_version = api_version
        self.per_page = per_page
        self.client = Client(
            self.base_url,
            checked_token(token),
            api_version,
            checked_retry_policy(retry_policy or RetryPolicy()),
            RateLimiter(reserve_percent),
        )
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Intercom {self.base_url} version {self.api_version}>"

    @property
    def is_open(self) -> bool:
        """Whether the block has been entered and not left."""
        return self.client.is_open

    def check_open(self) -> None:
        """Check that the block is entered, in the event loop that runs now.

        Raises:
            ConfigError: it is not.
        """
        self.client.check_open()

    def track_task(self, task: asyncio.Task[None]) -> None:
        """Cancel a task at the end of the block if it still runs then."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def __aenter__(self) -> Self:
        await self.client.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with CancelScope(shield=True):
            await cancel_and_wait(*self._tasks)
            await self.client.close()

    def pages(
        self, start: str | None = None, *, observer: Observer = null_observer, allow_shortfall: bool = False
    ) -> Pages:
        """List the workspace's contacts, one page at a time, as the exact bytes of the API.

        The API does not list archived, deleted and merged contacts. It promises
        no order and takes no snapshot: a contact that changes during the listing
        may be listed twice or not at all.

        Args:
            start: the ``next_cursor`` of a page, to resume after that page; None for the beginning.
            observer: called with each `RequestFinished`, `RetryScheduled` and `RateLimited`.
            allow_shortfall: accept the end of the list although the API counts many
                more contacts. Otherwise the last page is requested again, later,
                and then a `ContractError` is raised.

        Returns:
            An asynchronous iterator of `Page`: raw records in API order.
            It sends nothing before its first step, and one request at a time;
            between two steps it keeps nothing open that must be closed.

        Raises:
            ConfigError: `start` is no cursor, or another argument has the wrong type.
            SourceError: from its steps; the next step requests the same page again.
        """
        check_callable("observer", observer)
        check_kinds({"allow_shortfall": allow_shortfall}, {"allow_shortfall": bool})
        point = ResumePoint(_checked_cursor(start))
        return Pages(self.client, self.per_page, point, observer, allow_shortfall=allow_shortfall)

    def search(
        self,
        query: Mapping[str, Any],
        *,
        sort: Sort = ("created_at", "ascending"),
        observer: Observer = null_observer,
        allow_shortfall: bool = False,
    ) -> Pages:
        """List the contacts that match a query, one page at a time, as the exact bytes of the API.

        New and updated contacts appear in searches only minutes later. Up to version 2.16, dates match by
        whole days in the workspace's time zone.

        Args:
            query: filters as ``POST /contacts/search`` takes them, such as
                ``{"field": "role", "operator": "=", "value": "user"}``; at most two levels of
                ``AND`` and ``OR``, with 15 filters each.
            sort: a field, and ``"ascending"`` or ``"descending"``.
            observer: same as for `pages`.
            allow_shortfall: same as for `pages`; the API's count is that of the contacts that match.

        Returns:
            An asynchronous iterator of `Page`, as for `pages`; `Page.total_count` is the number of contacts
            that match.

        Raises:
            ConfigError: an argument is invalid, or the version is 1.x, which cannot search.
            SourceError: from its steps; the next step requests the same page again.
        """
        check_callable("observer", observer)
        check_kinds({"allow_shortfall": allow_shortfall}, {"allow_shortfall": bool})
        self.check_can_search()
        listing = search_for(query, sort)
        return Pages(self.client, self.per_page, observer=observer, listing=listing, allow_shortfall=allow_shortfall)

    def check_can_search(self) -> None:
        """Check that the API version can search contacts.

        Raises:
            ConfigError: it cannot.
        """
        if self.api_version.startswith("1."):
            raise ConfigError(f"API version {self.api_version} cannot search contacts: use 2.0 or later", "api_version")

    def resumed_pages(
        self, position: Position, guard: str, counted_first: int | None, observer: Observer, *, allow_shortfall: bool
    ) -> Pages:
        """List the contacts after those that earlier runs of an export have written.

        Args:
            position: everything before it is written.
            guard: the dump of `Page.resume` of the last page that was written.
            counted_first: the API's count of contacts on the first page.
            observer: same as for `pages`.
            allow_shortfall: same as for `pages`.

        Raises:
            ValueError: no earlier run can have recorded these.
        """
        try:
            cursor = _checked_cursor(position.next_cursor)
        except ConfigError as exc:
            raise ValueError(str(exc)) from None
        point = ResumePoint(cursor, LoopGuard.load(guard), position.contacts, counted_first)
        return Pages(self.client, self.per_page, point, observer, allow_shortfall=allow_shortfall)

    def expander(self, expansion: ListExpansion, traffic: RequestStats) -> Expander:
        """Return an `Expander`, which completes the lists of contacts.

        Args:
            expansion: which lists.
            traffic: counts requests, retries and waits.
        """
        return Expander(self.client, expansion, traffic)

    @property
    def rate_limit(self) -> RateLimiter:
        """The rate limit that the API has reported, and the share of it that these requests may use."""
        return self.client.rate_limiter

    async def workspace(self, traffic: RequestStats) -> WorkspaceName | None:
        """Fetch the workspace's name; None if the token has no permission to read it.

        Args:
            traffic: counts requests, retries and waits.

        Raises:
            SourceError: transient failures used up the retry budget.
        """
        return await fetch_workspace(self.client, traffic)

    async def attributes(self, traffic: RequestStats) -> tuple[str, ...] | None:
        """Fetch the names of the custom attributes that contacts can have; None if the API does not give them.

        Args:
            traffic: counts requests, retries and waits.

        Raises:
            SourceError: the request failed for another reason than a refusal.
        """
        if self.api_version.startswith("1."):
            return None
        return await fetch_attributes(self.client, traffic)

    def contacts(self, *, allow_shortfall: bool = False) -> Contacts:
        """List the workspace's contacts as dicts, in API order.

        A dict cannot keep everything: integers over 64 bits become floats, only the
        last of repeated keys stays, ``1.10`` becomes ``1.1``. Where bytes matter,
        use `pages`.

        Args:
            allow_shortfall: same as for `pages`.

        Returns:
            An asynchronous iterator of dict. It requests the next page when
            all contacts of the current page are taken.

        Raises:
            ConfigError: an argument has the wrong type.
            SourceError: from its steps.
        """
        return Contacts(self.pages(allow_shortfall=allow_shortfall))


def check_open(intercom: Intercom) -> None:
    """Check that an argument is an Intercom inside its block.

    Raises:
        ConfigError: it is not open, was opened in another event loop, or is not an `Intercom`.
    """
    if not isinstance(intercom, Intercom):
        raise ConfigError("the first argument must be an exporter.Intercom, inside its 'async with' block")
    intercom.check_open()


def _checked_cursor(start: object) -> str | None:
    if start is None or (isinstance(start, str) and start and is_sendable(start)):
        return start
    raise ConfigError("start is no cursor: take a page's next_cursor")
