"""`Intercom`: the library's door to one workspace, and the settings it checks."""

import asyncio
from types import TracebackType
from typing import Self

from anyio import CancelScope

from exporter.errors import ConfigError
from exporter.model import Position
from exporter.observe.events import Observer, null_observer
from exporter.options import ListExpansion
from exporter.source.argument_checks import checked_retry_policy, checked_token, is_within
from exporter.source.base_url import resolve_base_url
from exporter.source.client import Client
from exporter.source.contacts import Contacts
from exporter.source.custom_attributes import fetch_attributes
from exporter.source.envelope import is_sendable
from exporter.source.expansion import Expander
from exporter.source.loop_guard import LoopGuard
from exporter.source.pages import Pages, ResumePoint
from exporter.source.rate_limit import RateLimiter
from exporter.source.retry import RequestStats, RetryPolicy
from exporter.source.workspace import WorkspaceName, fetch_workspace
from exporter.tasks import cancel_and_wait
from exporter.validation import MAX_PER_PAGE, MAX_RESERVE_PERCENT, AsyncBlock, check_callable, check_kinds

API_VERSIONS = (
    *(f"1.{minor}" for minor in range(5)),
    *(f"2.{minor}" for minor in range(18)),
    *("Preview", "Unstable"),
)
_KINDS = {"api_version": str, "insecure_http": bool}


class Intercom(AsyncBlock):
    """One Intercom workspace, as an asynchronous context manager.

    It serves any number of listings and exports at once; they share its
    connections and its view of the API's rate limit. It reads the usual proxy
    variables of the environment and changes nothing outside itself.

    Args:
        token: an access token with the permission to read contacts.
        region: ``us`` (the default), ``eu`` or ``au``.
        base_url: another address instead of a region's, such as a sandbox's.
        api_version: ``1.0``-``1.4``, ``2.0``-``2.17``, ``Preview`` or ``Unstable``; sent with
            every request, since the app's own setting applies without it.
        per_page: contacts per page, 1 to 150, the API's maximum.
        reserve_percent: how much of each rate-limit window is left to the
            workspace's other integrations, 0 to 90.
        retry_policy: time-outs and retry budgets.
        insecure_http: allow plain http to hosts other than this machine; a proxy can then read the token.

    Attributes:
        base_url: the API's address.
        api_version: as given.
        per_page: as given.
        identity: the name that outputs record for this API: its address, or a fixed name
            for a sandbox, whose address differs each time.

    Raises:
        ConfigError: an argument is wrong. Nothing has been sent.
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
        if api_version not in API_VERSIONS:
            raise ConfigError(
                f"api_version must be one of 1.0-1.4, 2.0-2.17, Preview, Unstable, not {api_version!r}", "api_version"
            )
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
        self._client = Client(
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
        return self._client.is_open

    def check_open(self) -> None:
        """Refuse to work outside the block, or in another event loop than its own.

        Raises:
            ConfigError: the block is not entered there.
        """
        self._client.check_open()

    def track_task(self, task: asyncio.Task[None]) -> None:
        """Cancel a task at the end of the block, should it still run then."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def __aenter__(self) -> Self:
        await self._client.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with CancelScope(shield=True):
            await cancel_and_wait(*self._tasks)
            await self._client.close()

    def pages(
        self, start: str | None = None, *, observer: Observer = null_observer, allow_shortfall: bool = False
    ) -> Pages:
        """List the workspace's contacts, a page at a time: the exact road.

        Archived, deleted and merged contacts are not listed by the API. It
        promises no order and takes no snapshot: a contact that changes during
        the listing may come twice or not at all.

        Args:
            start: a page's ``next_cursor``, to resume behind that page; default: the beginning.
            observer: called with each `RequestFinished`, `RetryScheduled` and `RateLimited`.
            allow_shortfall: let the list end although the API counts many
                more contacts. Else its last page is asked for again, later,
                and then a `ContractError` is raised.

        Returns:
            An asynchronous iterator of `Page`: raw records in API order.
            Nothing is requested before its first step; it keeps one request
            in flight and holds nothing open between two steps.

        Raises:
            ConfigError: `start` is no cursor, or another argument has the wrong type.
            SourceError: from its steps; stepping again tries the same page.
        """
        check_callable("observer", observer)
        check_kinds({"allow_shortfall": allow_shortfall}, {"allow_shortfall": bool})
        point = ResumePoint(_checked_cursor(start))
        return Pages(self._client, self.per_page, point, observer, allow_shortfall=allow_shortfall)

    def resumed_pages(
        self, position: Position, guard: str, counted_first: int | None, observer: Observer, *, allow_shortfall: bool
    ) -> Pages:
        """List the contacts behind those that earlier runs of an export have written.

        Args:
            position: up to where everything is written.
            guard: what `Page.resume` of the latest page written dumped.
            counted_first: contacts that the API counted on the first page.
            observer: same as for `pages`.
            allow_shortfall: same as for `pages`.

        Raises:
            ValueError: this cannot be what an earlier run has left.
        """
        try:
            cursor = _checked_cursor(position.next_cursor)
        except ConfigError as exc:
            raise ValueError(str(exc)) from None
        point = ResumePoint(cursor, LoopGuard.load(guard), position.contacts, counted_first)
        return Pages(self._client, self.per_page, point, observer, allow_shortfall=allow_shortfall)

    def expander(self, expansion: ListExpansion, traffic: RequestStats) -> Expander:
        """Make what completes the lists of contacts.

        Args:
            expansion: which lists.
            traffic: counts what it costs.
        """
        return Expander(self._client, expansion, traffic)

    @property
    def rate_limit(self) -> RateLimiter:
        """The rate limit as far as the API has reported it, and how much of it these requests may use."""
        return self._client.rate_limiter

    async def workspace(self, traffic: RequestStats) -> WorkspaceName | None:
        """Ask what the workspace is called; None where the token may not.

        Args:
            traffic: counts what it costs.

        Raises:
            SourceError: it failed in a passing way for too long.
        """
        return await fetch_workspace(self._client, traffic)

    async def attributes(self, traffic: RequestStats) -> tuple[str, ...] | None:
        """Name the custom attributes that contacts can have; None where the API does not tell.

        Args:
            traffic: counts what it costs.

        Raises:
            SourceError: it failed in another way than by refusing.
        """
        if self.api_version.startswith("1."):
            return None
        return await fetch_attributes(self._client, traffic)

    def contacts(self, *, allow_shortfall: bool = False) -> Contacts:
        """List the workspace's contacts as dicts, in API order: the convenient road.

        A dict cannot keep everything: integers over 64 bits become floats,
        repeated keys collapse to the last, ``1.10`` becomes ``1.1``. Where bytes
        matter take `pages`.

        Args:
            allow_shortfall: same as for `pages`.

        Returns:
            An asynchronous iterator of dict; the next page is asked for when
            the one before is used up.

        Raises:
            ConfigError: an argument has the wrong type.
            SourceError: from its steps.
        """
        return Contacts(self.pages(allow_shortfall=allow_shortfall))


def check_open(intercom: Intercom) -> None:
    """Refuse to work with an Intercom outside its block.

    Raises:
        ConfigError: it has not been entered, or was left; or was entered in another event loop; or is none.
    """
    if not isinstance(intercom, Intercom):
        raise ConfigError("the first argument must be an exporter.Intercom, inside its 'async with' block")
    intercom.check_open()


def _checked_cursor(start: object) -> str | None:
    if start is None or (isinstance(start, str) and start and is_sendable(start)):
        return start
    raise ConfigError("start is no cursor: take a page's next_cursor")
