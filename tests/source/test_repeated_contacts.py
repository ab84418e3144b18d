"""The client ends a list that repeats the same contacts forever, but not a list with some duplicates."""

import asyncio
import itertools
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import exporter
from exporter.rawjson.contact_keys import page_keys
from exporter.source.loop_guard import LoopGuard
from exporter.source.repeated_contacts import Repeats
from tests.support.api import Api, Request
from tests.support.properties import examples

KINDS = ["usual", "alike", "numbers", "short", "spaced"]


def record(number: int, version: int = 0, kind: str = "usual") -> bytes:
    """Return a contact whose content depends on its version."""
    digits = f"{number * 0x9E3779B97F4A7C15 % 2**64:024x}"
    match kind:
        case "alike":  # all ids end with the same digits
            digits = f"{number * 256 + 1:024x}"
        case "numbers":
            return b'{"id":%d,"updated_at":%d}' % (number, version)
        case "short":
            return b'{"id":"c-%d","type":"contact","updated_at":%d}' % (number, version)
        case "spaced":
            return b'{"updated_at": %d, "id": "%b"}' % (version, digits.encode())
    return b'{"type":"contact","id":"%b","updated_at":%d}' % (digits.encode(), version)


def pages_of(numbers: Iterator[int], per_page: int, kind: str = "usual") -> Iterator[list[bytes]]:
    """Yield pages of contacts, each time in another version."""
    version = itertools.count()
    while page := [record(number, next(version), kind) for number in itertools.islice(numbers, per_page)]:
        yield page


def listed_until_detected(repeats: Repeats, pages: Iterator[list[bytes]], max_contacts: int) -> int | None:
    """Count the contacts before `Repeats` raises; return None if it does not."""
    listed = 0
    for number, page in enumerate(pages, 1):
        if listed > max_contacts:
            return None
        try:
            repeats.record(repeats.sample_of(page_keys(page)), number)
        except exporter.ContractError:
            return listed
        listed += len(page)
    return None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("contacts", "per_page"), [(1, 1), (3, 2), (400, 150), (5_000, 150), (40_000, 149)])
def test_repeats_detect_an_endless_list(contacts: int, per_page: int, kind: str) -> None:
    """For a workspace of any size, the client lists the same contacts at most four times."""
    pages = pages_of(itertools.cycle(range(contacts)), per_page, kind)
    listed = listed_until_detected(Repeats(), pages, 10 * contacts + 1_000)
    assert listed is not None
    assert contacts * 2 <= listed <= 4 * contacts + 150


@examples(percent=30)
@given(
    st.integers(1, 20_000),
    st.sampled_from([1, 7, 50, 150]),
    st.floats(0, 0.5),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_repeats_tolerate_duplicates_of_a_changing_workspace(
    contacts: int, per_page: int, share: float, all_twice: bool, seed: int
) -> None:
    """Up to half of the listed contacts may be duplicates, and a mass update may list all contacts a second time."""
    dice, kind = random.Random(seed), KINDS[seed % len(KINDS)]

    def numbers() -> Iterator[int]:
        for number in range(contacts):
            yield number
            while dice.random() < share:
                yield dice.randrange(number + 1)
        if all_twice:
            yield from range(contacts)

    assert listed_until_detected(Repeats(), pages_of(numbers(), per_page, kind), 10**9) is None


def test_repeats_stay_small_for_a_long_list() -> None:
    """Neither the sample nor its saved form grows with the list."""
    repeats = Repeats()
    for number, page in enumerate(pages_of(iter(range(300_000)), 150), 1):
        repeats.record(repeats.sample_of(page_keys(page)), number)
        assert len(repeats.marks) <= 1024
    assert len(repeats.marks) > 200
    assert len(repeats.dump()) < 9_000
    assert repeats.score == 0


@pytest.mark.parametrize("stop_every", [1, 7])
def test_repeats_saved_and_loaded_end_the_list_at_the_same_page(stop_every: int) -> None:
    """A list that is resumed in another process ends at the same page."""
    pages = list(itertools.islice(pages_of(itertools.cycle(range(900)), 50), 100))
    expected = listed_until_detected(Repeats(), iter(pages), 10**9)
    guard, listed = LoopGuard(None), 0
    with pytest.raises(exporter.ContractError, match="does not end"):
        for number, page in enumerate(pages, 1):
            if number % stop_every == 0:
                guard = LoopGuard.load(guard.dump())
            guard.repeats.record(guard.repeats.sample_of(page_keys(page)), number)
            listed += len(page)
    assert listed == expected


def test_guard_loads_the_format_of_an_earlier_version() -> None:
    """Saved text without a sample is that of a list of which no contact is known yet."""
    guard = LoopGuard("start")
    earlier = guard.dump().rpartition(":")[0]
    assert LoopGuard.load(earlier).dump() == guard.dump()


@pytest.mark.parametrize(
    "text", ["", "1.2", "x.0.", "0.x.", "0.-1.", "-1.0.", "33.0.", "0.0.123", "4.0.00000001", f"0.0.{'0' * 8 * 1025}"]
)
def test_repeats_load_of_malformed_text_is_a_value_error(text: str) -> None:
    """Malformed text is refused."""
    with pytest.raises(ValueError, match=r".*"):
        Repeats.load(text)


def endless_list(contacts: int, per_page: int = 50) -> Callable[[Request], bytes]:
    """Respond with new cursors forever, and with the same contacts in another version each time."""

    def respond(request: Request) -> bytes:
        at = int(request.query.get("starting_after", "0"))
        page = b",".join(record(number % contacts, at + 1) for number in range(at, at + per_page))
        body = b'{"type":"list","data":[%b],"total_count":%d,"pages":{"next":{"starting_after":"%d"}}}'
        return request.reply(200, (body % (page, contacts, at + per_page)).decode())

    return respond


async def test_export_of_endless_list_raises_also_when_resumed(tmp_path: Path) -> None:
    """The export raises one clear error; when it is resumed, it raises again at once and keeps the written contacts."""
    path = tmp_path / "a.ndjson"
    async with Api(endless_list(400)) as server:
        async with exporter.Intercom("dG9rOnRlc3Q=", base_url=server.base_url, per_page=50) as intercom:
            for _ in range(3):
                with pytest.raises(exporter.ContractError, match="the API's list does not end"):
                    await asyncio.wait_for(exporter.export(intercom, path), 60)
            requests = len(server.requests)
            with pytest.raises(exporter.ContractError, match="the API's list does not end"):
                await asyncio.wait_for(exporter.export(intercom, path), 60)
            assert len(server.requests) <= requests + 2
    position = json.loads((tmp_path / "a.ndjson.checkpoint.json").read_bytes())["figures"]["position"]
    assert 800 <= position["contacts"] <= 1_600


async def test_contacts_of_endless_list_raise() -> None:
    """Iterating over the contacts raises the same error."""
    async with Api(endless_list(30)) as server:
        async with exporter.Intercom("dG9rOnRlc3Q=", base_url=server.base_url, per_page=50) as intercom:
            yielded = 0
            with pytest.raises(exporter.ContractError, match="the API's list does not end"):
                async for _contact in intercom.contacts():
                    yielded += 1
    assert yielded < 400
