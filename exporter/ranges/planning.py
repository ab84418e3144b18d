"""`plan`: how an export with several cursors would cut a workspace; and whether list and search agree."""

import json
import math
from dataclasses import dataclass
from typing import Any, Literal

from exporter.layout.plan import Plan
from exporter.model import Page
from exporter.observe.events import Event, Observer, null_observer
from exporter.observe.logging import logged
from exporter.options import AUTO_CURSORS, ExportOptions
from exporter.source.concurrency import AdaptiveConcurrency
from exporter.source.intercom import Intercom, check_open
from exporter.source.planning import Planning, disagreement
from exporter.source.retry import RequestStats
from exporter.validation import check_callable

_COMPARED = 15
_IDS = {"field": "id", "operator": "IN"}


async def plan(
    intercom: Intercom, cursors: int | Literal["auto"] = AUTO_CURSORS, *, observer: Observer = null_observer
) -> Plan:
    """Plan an export with several cursors; nothing is written.

    Args:
        intercom: the workspace, inside its block.
        cursors: most cursors at once, 1 to 128, or ``"auto"``. More cursors need smaller ranges.
        observer: called with each `RequestFinished`, `RetryScheduled` and `RateLimited`.

    Returns:
        The ranges, in order of time, with the number of contacts that each had when it was counted. An export
        makes a plan of its own.

    Raises:
        ConfigError: an argument is invalid, or the version is 1.x, which cannot search.
        ContractError: the search does not have all contacts of the list, or its counts are capped.
        SourceError: the API failed.

    Cancellation:
        Cancels the requests at once.
    """
    check_open(intercom)
    check_callable("observer", observer)
    intercom.check_can_search()
    return await _planning(intercom, ExportOptions(cursors=cursors).max_cursors, observer).plan(0)


def _planning(intercom: Intercom, cursors: int, observer: Observer) -> Planning:
    concurrency = AdaptiveConcurrency(cursors)
    notify = logged(observer)

    def observe(event: Event) -> None:
        concurrency.observe(event)
        notify(event)

    return Planning(intercom.client, cursors, intercom.per_page, RequestStats(observe), concurrency)


@dataclass(frozen=True, slots=True)
class RangesCheck:
    """What a preflight check finds out about an export with several cursors.

    Attributes:
        plan: its plan.
        differences: names of the fields in which contacts of the search differ from those of the list, and
            ``(missing)`` for contacts that the search does not have.
        problem: why the counts of list and search do not agree; None if they do.
    """

    plan: Plan
    differences: tuple[str, ...]
    problem: str | None

    @property
    def agrees(self) -> bool:
        """Whether list and search have the same contacts, as far as that was compared."""
        return self.problem is None and not self.differences

    def duration_s(self, cursors: int, per_page: int, latency_s: float, calls_per_s: float | None) -> float:
        """Return the estimated seconds of the export.

        Args:
            cursors: most cursors at once.
            per_page: contacts per page.
            latency_s: seconds of one page.
            calls_per_s: requests per second that may leave; None if the API reports no limit.
        """
        pages = [max(math.ceil(one.expected / per_page), 1) for one in self.plan.ranges]
        requests = sum(pages) + self.plan.requests
        at_once_s = max(requests / cursors, *pages) * latency_s
        return round(max(at_once_s, requests / calls_per_s if calls_per_s else 0), 1)


async def check_ranges(intercom: Intercom, cursors: int, page: Page) -> RangesCheck:
    """Plan an export, and compare some contacts of the list with the same ones of the search.

    Args:
        intercom: the workspace.
        cursors: most cursors at once.
        page: the first page of the list.

    Raises:
        ContractError: the counts of the search are capped.
        SourceError: the API failed.
    """
    planning = _planning(intercom, cursors, null_observer)
    found = await planning.plan(0, compare=False)
    counts = await planning.compare()
    differences = await _differences(intercom, page.records[:_COMPARED])
    return RangesCheck(found, differences, None if counts.agrees else disagreement(counts))


async def _differences(intercom: Intercom, listed: tuple[bytes, ...]) -> tuple[str, ...]:
    """Return in which fields contacts of the list differ from the same ones of the search."""
    wanted = {str(contact.get("id")): contact for contact in map(json.loads, listed)}
    if not wanted:
        return ()
    raw = dict(zip(wanted, listed, strict=False))
    found: dict[str, bytes] = {}
    async for page in intercom.search({**_IDS, "value": [*wanted]}, allow_shortfall=True):
        found |= {str(json.loads(record).get("id")): record for record in page.records}
    names: dict[str, None] = {}
    for contact_id, contact in wanted.items():
        if contact_id not in found:
            names["(missing)"] = None
        elif found[contact_id] != raw[contact_id]:
            names |= dict.fromkeys(_differing_fields(contact, json.loads(found[contact_id])))
    return tuple(names)


def _differing_fields(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Return the fields that differ; ``(spelling)`` if only order, white space or the spelling of values does."""
    nothing = object()
    fields = [*first, *(name for name in second if name not in first)]
    return [name for name in fields if first.get(name, nothing) != second.get(name, nothing)] or ["(spelling)"]
