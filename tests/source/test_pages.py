"""The page loop, and the guard that ends it when the API's cursors form a loop."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

import exporter
from exporter.observe.events import null_observer
from exporter.source.loop_guard import LoopGuard
from tests.support.api import Api, Request
from tests.support.clients import QUICK, client_of
from tests.support.properties import examples

PATIENT = replace(QUICK, max_attempts=15)


class SmallGuard(LoopGuard):
    """A guard that remembers few cursors, so that small loops exceed its memory."""

    RECENT = 8


def sizes(server: Api) -> list[int]:
    """List the page sizes of the requests."""
    return [int(request.query["per_page"]) for request in server.requests]


def looping_cursors(tail: int, period: int) -> Iterator[str]:
    """Yield the cursors of a listing that enters a loop."""
    yield from (f"tail {number}" for number in range(tail))
    while True:
        yield from (f"circle {number}" for number in range(period))


def steps_until_detected(guard: LoopGuard, tail: int, period: int) -> int:
    """Count the cursors that the guard accepts before it raises."""
    for step, cursor in enumerate(looping_cursors(tail, period)):
        assert step < 10 * (tail + period + 1)
        try:
            guard.record_cursor(cursor, step + 1)
        except exporter.ContractError:
            return step
    raise AssertionError("the cursors have no end")


@examples(percent=40)
@given(tail=st.integers(0, 6_000), period=st.integers(1, LoopGuard.RECENT))
def test_guard_raises_at_first_repeated_cursor(tail: int, period: int) -> None:
    """The guard raises at the first repeated cursor that it remembers."""
    assert steps_until_detected(LoopGuard("start"), tail, period) == tail + period


@given(tail=st.integers(0, 500), period=st.integers(1, 500))
def test_guard_detects_loops_of_any_size(tail: int, period: int) -> None:
    """The guard detects a loop that exceeds its memory within a few times the loop's size."""
    assert steps_until_detected(SmallGuard(None), tail, period) <= 2 * max(tail + 2, period) + period


def test_guard_detects_a_loop_of_thousands_of_pages() -> None:
    """Same as above for a guard of normal size."""
    assert steps_until_detected(LoopGuard(None), 3_000, 5_000) <= 2 * 5_000 + 5_000


def test_guard_detects_a_loop_to_the_start_cursor() -> None:
    """The cursor that a listing starts from counts as seen."""
    guard = LoopGuard("start")
    guard.record_cursor("next", 1)
    with pytest.raises(exporter.ContractError, match="page 2 leads back"):
        guard.record_cursor("start", 2)


def test_guard_of_distinct_cursors_never_raises_and_stays_small() -> None:
    """The guard does not grow with the listing."""
    guard = SmallGuard(None)
    for number in range(20_000):
        guard.record_cursor(f"{number}", number + 1)
        assert len(guard._known) <= SmallGuard.RECENT
        assert len(guard.dump()) < 1_000
    guard.record_cursor(None, 20_001)


@given(
    tail=st.integers(0, 40),
    period=st.integers(1, 40),
    stops=st.lists(st.integers(0, 200), max_size=4),
    kind=st.sampled_from([LoopGuard, SmallGuard]),
)
def test_guard_saved_and_loaded_detects_the_loop_at_the_same_page(
    tail: int, period: int, stops: list[int], kind: type[LoopGuard]
) -> None:
    """However often a listing is resumed in another process, the guard detects a loop at the same page."""
    guard, expected = kind(None), steps_until_detected(kind(None), tail, period)
    cursors = looping_cursors(tail, period)
    for step in range(expected):
        if step in stops:
            guard = kind.load(guard.dump())
        guard.record_cursor(next(cursors), step + 1)
    guard = kind.load(guard.dump())
    with pytest.raises(exporter.ContractError, match=f"page {expected + 1} leads back"):
        guard.record_cursor(next(cursors), expected + 1)


def test_guard_dump_stays_short_and_loses_nothing() -> None:
    """It fits into a checkpoint that is written each second, for a listing of any length; loading loses nothing."""
    guard = LoopGuard("start")
    for number in range(5_000):
        guard.record_cursor(f"{number}", number + 1)
    text = guard.dump()
    assert len(text) < 40_000
    assert text.isascii()
    assert text.isprintable()
    assert LoopGuard.load(text).dump() == text


@pytest.mark.parametrize(
    "text", ["", "x", "1:2:3", "1:2:3:4:5", "a:1::", "1:b::", "1:1:zz:", "1:1::zz", "1:1::0", ":1::", "1.5:1::"]
)
def test_guard_load_of_damaged_text_is_a_value_error(text: str) -> None:
    """Malformed text raises ValueError."""
    with pytest.raises(ValueError, match=r".*"):
        LoopGuard.load(text)


async def test_pages_are_numbered_in_order_with_all_contacts(
    sandbox: exporter.Sandbox, intercom: exporter.Intercom
) -> None:
    """A listing yields every contact's bytes, in API order, on numbered pages."""
    pages = [page async for page in intercom.pages()]
    assert [record for page in pages for record in page.records] == sandbox.workspace.records(0, 1_000)
    assert [page.number for page in pages] == [1, 2, 3, 4, 5, 6, 7]
    assert [page.total_count for page in pages] == [1_000] * 7
    assert [page.next_cursor is None for page in pages] == [False] * 6 + [True]
    assert sandbox.requests == 7


async def test_listing_from_a_cursor_yields_the_remaining_contacts(
    sandbox: exporter.Sandbox, intercom: exporter.Intercom
) -> None:
    """A listing that starts at the cursor of a page yields the contacts after that page."""
    first = await anext(intercom.pages())
    rest = [record async for page in intercom.pages(first.next_cursor) for record in page.records]
    assert rest == sandbox.workspace.records(150, 1_000)


async def test_listing_requests_nothing_before_first_and_after_last_step() -> None:
    """A listing that has ended or is closed yields no pages and sends no requests."""
    async with Api(lambda request: request.page()) as server, client_of(server.base_url) as intercom:
        pages, closed = intercom.pages(), intercom.pages()
        assert server.connections == 0
        assert len([page async for page in pages]) == 1
        assert len([page async for page in pages]) == 0
        await closed.aclose()
        assert len([page async for page in closed]) == 0
        assert len(server.requests) == 1


@pytest.mark.parametrize("cursors", [["A", "A"], ["A", "B", "A"], ["A", "B", "C", "B"]])
async def test_listing_with_cursor_loop_raises_before_a_page_repeats(cursors: list[str]) -> None:
    """The listing yields the pages before the loop, then raises; another step requests the same page again."""
    async with (
        Api(lambda r: r.page(cursors[min(r.number, len(cursors)) - 1])) as server,
        client_of(server.base_url) as intercom,
    ):
        pages = intercom.pages()
        for number in range(1, len(cursors)):
            assert (await anext(pages)).number == number
        for _ in range(2):
            with pytest.raises(exporter.ContractError, match="circle"):
                await anext(pages)
    assert [request.query.get("starting_after") for request in server.requests] == [
        None,
        *cursors[:-1],
        cursors[-2],
    ]


async def test_resumed_listing_keeps_its_guard() -> None:
    """A loop that closes after an interruption is detected as it is without the interruption."""
    cursors = {None: "A", "A": "B", "B": "C", "C": "A"}

    def respond(request: Request) -> bytes:
        return request.page(cursors[request.query.get("starting_after")])

    async with Api(respond) as server, client_of(server.base_url) as intercom:
        first = intercom.pages()
        read = [await anext(first) for _ in range(2)]
        assert [page.next_cursor for page in read] == ["A", "B"]
        assert read[-1].resume is not None
        position, guard = exporter.Position("B", 2, 2), read[-1].resume.dump()
        rest = intercom.resumed_pages(position, guard, None, null_observer, allow_shortfall=False)
        assert (await anext(rest)).next_cursor == "C"
        with pytest.raises(exporter.ContractError, match="circle"):
            await anext(rest)


@pytest.mark.parametrize("status", [400, 404, 410])
async def test_refused_cursor_is_a_cursor_error(status: int) -> None:
    """A refusal of the cursor raises CursorError with the API's message, and the next step requests the same page."""
    message = "Invalid starting_after param" if status == 400 else "Gone"

    def respond(request: Request) -> bytes:
        return request.page("c1") if request.number == 1 else request.error(status, "client_error", message)

    async with Api(respond) as server, client_of(server.base_url) as intercom:
        pages = intercom.pages()
        await anext(pages)
        for _ in range(2):
            with pytest.raises(exporter.CursorError, match=message) as caught:
                await anext(pages)
        assert (caught.value.status, caught.value.code, caught.value.request_id) == (status, "client_error", "req-1")
        assert [request.query.get("starting_after") for request in server.requests] == [None, "c1", "c1"]


@pytest.mark.parametrize(
    ("start", "status", "message"),
    [(None, 404, "Gone"), (None, 410, "Gone"), (None, 400, "Invalid starting_after param"), ("c", 400, "Bad per_page")],
)
async def test_refusal_not_about_the_cursor_is_no_cursor_error(start: str | None, status: int, message: str) -> None:
    """Starting over does not help if no cursor was sent, or if the refusal is about something else."""
    async with (
        Api(lambda r: r.error(status, "client_error", message)) as server,
        client_of(server.base_url) as intercom,
    ):
        with pytest.raises(exporter.ApiError, match=message) as caught:
            await anext(intercom.pages(start))
    assert not isinstance(caught.value, exporter.CursorError)


async def test_step_after_an_error_requests_the_same_page() -> None:
    """After a refusal or a cancellation, the next step requests the same page, with the same number."""
    never = asyncio.Event()

    async def respond(request: Request) -> bytes:
        if request.number == 3:
            await never.wait()
        failing = request.number == 2
        return request.error(404, "not_found") if failing else request.page(f"c{request.number}")

    async with Api(respond) as server, client_of(server.base_url) as intercom:
        pages = intercom.pages()
        await anext(pages)
        with pytest.raises(exporter.ApiError):
            await anext(pages)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anext, pages)
            while len(server.requests) < 3:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert (await anext(pages)).number == 2
    assert [request.query.get("starting_after") for request in server.requests] == [None, "c1", "c1", "c1"]


async def test_page_size_halves_after_server_errors_and_grows_back() -> None:
    """Three 5xx for one cursor halve the page size; each page that succeeds doubles it, up to the requested size."""
    fails = {2, 3, 4, 5, 6, 7}

    def respond(request: Request) -> bytes:
        return request.reply(504) if request.number in fails else request.page(f"c{request.number}")

    async with Api(respond) as server, client_of(server.base_url, PATIENT) as intercom:
        pages = intercom.pages()
        for _ in range(5):
            await anext(pages)
    assert sizes(server) == [150, 150, 150, 150, 75, 75, 75, 37, 74, 148, 150]


@pytest.mark.parametrize("status", [429, 408])
async def test_page_size_after_other_failures_is_unchanged(status: int) -> None:
    """Only 5xx responses mean that a page is too large for the server."""
    async with (
        Api(lambda r: r.page() if r.number == 9 else r.reply(status)) as server,
        client_of(server.base_url, PATIENT) as intercom,
    ):
        await anext(intercom.pages())
    assert sizes(server) == [150] * 9


def numbered_page(request: Request, base_url: str, last: int) -> bytes:
    """Respond as API versions 1.x do, with page numbers."""
    page = int(request.query.get("page", "1"))
    following = f"{base_url}/contacts?per_page=5&page={page + 1}" if page < last else None
    body = {"contacts": [{"page": page}], "pages": {"type": "pages", "next": following}, "total_count": last}
    return request.reply(200, json.dumps(body))


async def test_page_size_of_numbered_pages_never_changes() -> None:
    """A page number is a position only for one page size: another size would skip contacts."""
    fails = {3, 4, 5, 6}
    async with (
        Api(
            lambda request: (
                request.reply(500) if request.number in fails else numbered_page(request, server.base_url, 3)
            )
        ) as server,
        client_of(server.base_url, PATIENT, per_page=80, api_version="1.4") as intercom,
    ):
        records = [record async for page in intercom.pages() for record in page.records]
    assert records == [b'{"page": 1}', b'{"page": 2}', b'{"page": 3}']
    assert sizes(server) == [80] * 7
    assert [r.query.get("page") for r in server.requests] == [None, "2", *["3"] * 5]


async def test_page_size_reduced_before_numbered_pages_stays_reduced() -> None:
    """Page numbers count in the size of the first numbered page."""
    async with (
        Api(
            lambda request: request.reply(502) if request.number <= 3 else numbered_page(request, server.base_url, 3)
        ) as server,
        client_of(server.base_url, per_page=80) as intercom,
    ):
        assert len([page async for page in intercom.pages()]) == 3
    assert sizes(server) == [80, 80, 80, 40, 40, 40]


def page_of_contacts(request: Request, base_url: str, contacts: int) -> bytes:
    """Respond as API versions 1.x do, with the contacts of this page number and this page size."""
    page, size = int(request.query.get("page", "1")), int(request.query["per_page"])
    following = f"{base_url}/contacts?per_page={size}&page={page + 1}" if page * size < contacts else None
    listed = [{"n": number} for number in range(contacts)][(page - 1) * size : page * size]
    return request.reply(200, json.dumps({"contacts": listed, "pages": {"next": following}}))


@pytest.mark.parametrize("shrunk", [False, True])
@pytest.mark.parametrize("stop", [1, 2, 3])
async def test_listing_by_number_resumes_at_the_right_contact(shrunk: bool, stop: int) -> None:
    """A page number is a position only together with its page size, so the cursor contains both."""
    fails = {1, 2, 3} if shrunk else set()
    async with (
        Api(
            lambda request: (
                request.reply(502) if request.number in fails else page_of_contacts(request, server.base_url, 100)
            )
        ) as server,
        client_of(server.base_url, per_page=20, api_version="1.4") as intercom,
    ):
        first = intercom.pages()
        before = [await anext(first) for _ in range(stop)]
        after = [page async for page in intercom.pages(before[-1].next_cursor)]
    assert before[-1].next_cursor == f"{server.base_url}/contacts?page={stop + 1}&per_page={10 if shrunk else 20}"
    records = [json.loads(record)["n"] for page in (*before, *after) for record in page.records]
    assert records == list(range(100))
    assert sizes(server)[-1] == (10 if shrunk else 20)


@pytest.mark.parametrize("stop", [1, 4])
async def test_export_by_number_resumes_at_the_right_contact(tmp_path: Path, stop: int) -> None:
    """An export that was interrupted after its page size was reduced resumes in that size and misses no contact."""
    refused = {4 + stop}

    def respond(request: Request) -> bytes:
        if request.number <= 3:
            return request.reply(502)
        return request.error(401, "x") if request.number in refused else page_of_contacts(request, server.base_url, 100)

    async with Api(respond) as server, client_of(server.base_url, per_page=20, api_version="1.4") as intercom:
        with pytest.raises(exporter.CredentialsError):
            await exporter.export(intercom, tmp_path / "contacts.ndjson")
        summary = await exporter.export(intercom, tmp_path / "contacts.ndjson")
    lines = (tmp_path / "contacts.ndjson").read_bytes().splitlines()
    assert [json.loads(line)["n"] for line in lines] == list(range(100))
    assert sizes(server) == [20] * 3 + [10] * 11
    assert (summary.pages, summary.source.per_page, summary.retries) == (10, 20, {"http_502": 3})


@pytest.mark.parametrize("size", ["", "&per_page=", "&per_page=x", "&per_page=-5"])
async def test_cursor_with_page_number_only_uses_the_requested_page_size(size: str) -> None:
    """A cursor that contains only a page number is read as one of this listing."""
    async with (
        Api(lambda request: page_of_contacts(request, server.base_url, 50)) as server,
        client_of(server.base_url, per_page=20) as intercom,
    ):
        pages = [page async for page in intercom.pages(f"{server.base_url}/contacts?page=2{size}")]
    assert [json.loads(record)["n"] for page in pages for record in page.records] == list(range(20, 50))


async def test_listing_from_a_cursor_may_end_with_an_empty_page() -> None:
    """Contacts before the cursor are not listed: an empty last page does not mean that contacts are missing."""
    async with exporter.Sandbox(20) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, per_page=10) as intercom:
            cursor = (await anext(intercom.pages())).next_cursor
            for last in range(19, 9, -1):
                sandbox.change("delete", last)
            pages = [page async for page in intercom.pages(start=cursor)]
    assert [(page.records, page.total_count) for page in pages] == [((), 10)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("contacts", "message"),
    [(0, "page 1001, like the 1,000 pages before it, is empty"), (50, "lists contacts that were already listed")],
)
async def test_endless_list_of_contacts_without_ids_raises(contacts: int, message: str) -> None:
    """The API sends new cursors forever, to pages without new contacts."""

    def respond(request: Request) -> bytes:
        beginning = request.number % 10 * contacts if request.number > 1 else 1_000
        data = [{"name": f"contact {beginning + at}"} for at in range(contacts)]
        pages = {"next": {"starting_after": f"c{request.number}"}}
        return request.reply(200, json.dumps({"data": data, "pages": pages}))

    async with Api(respond) as server, client_of(server.base_url) as intercom:
        with pytest.raises(exporter.ContractError, match=message):
            async for _page in intercom.pages():
                assert len(server.requests) < 1_100
