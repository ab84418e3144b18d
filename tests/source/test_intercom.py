"""`Intercom`: the arguments that it refuses, and what `pages` and `contacts` yield."""

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any

import pytest

import exporter
from tests.support.api import Api, Request

TOKEN = "dG9rOnNlY3JldA=="
RETRY_POLICY_FIELDS = ("request_timeout_s", "page_budget_s", "run_budget_s", "max_attempts", "initial_backoff_s")


def new_client(**settings: object) -> exporter.Intercom:
    """Return a client with settings that may be invalid."""
    return exporter.Intercom(**({"token": TOKEN} | settings))  # type: ignore[arg-type]


def retry_policy(name: str, value: Any) -> exporter.RetryPolicy:
    """Return a retry policy with one field set."""
    return exporter.RetryPolicy(**{name: value})


def one_page_of(records: list[str]) -> Callable[[Request], bytes]:
    """Respond with one page of records, byte for byte."""
    body = '{"data":[' + ",".join(records) + '],"pages":null}'
    return lambda request: request.reply(200, body)


@pytest.mark.parametrize(
    "settings",
    [
        *({"token": token} for token in ("", "  \n", None, 7, b"bytes")),
        *({"token": f"{TOKEN}{bad}x"} for bad in (" ", "\n", "\t", "\x00", "\x7f", "é", "\u2028", "\ud800")),
        *(
            {"api_version": version}
            for version in ("", "2.18", "2", "1.5", "unstable", "preview", None, 2.14, "2.14\r\nX: y")
        ),
        *({"per_page": number} for number in (0, -1, 151, 10**9, 150.0, "150", None, True)),
        *({"reserve_percent": number} for number in (-0.1, 90.1, math.nan, math.inf, "20", None, True)),
        *(
            {"retry_policy": retry_policy(name, value)}
            for name in RETRY_POLICY_FIELDS
            for value in (-1, math.nan, "5", None, True)
        ),
        {"retry_policy": exporter.RetryPolicy(request_timeout_s=0)},
        {"retry_policy": exporter.RetryPolicy(initial_backoff_s=0)},
        {"retry_policy": exporter.RetryPolicy(max_attempts=0)},
    ],
    ids=repr,
)
def test_client_with_invalid_argument_is_refused(settings: dict[str, object]) -> None:
    """Each raises ConfigError with one sentence, which does not contain the token."""
    with pytest.raises(exporter.ConfigError) as caught:
        new_client(**settings)
    message = str(caught.value)
    assert message.isprintable()
    assert TOKEN not in message
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "settings",
    [
        {"token": f" {TOKEN}\r\n"},
        *({"api_version": version} for version in ("1.0", "1.4", "2.0", "2.14", "2.17", "Preview", "Unstable")),
        *({"per_page": number} for number in (1, 150)),
        *({"reserve_percent": number} for number in (0, 12.5, 90)),
        {
            "retry_policy": exporter.RetryPolicy(
                page_budget_s=0, run_budget_s=math.inf, max_attempts=1, request_timeout_s=10**8
            )
        },
    ],
    ids=repr,
)
def test_client_accepts_the_limits_of_each_range(settings: dict[str, object]) -> None:
    """All documented limits are accepted."""
    assert TOKEN not in repr(new_client(**settings))


async def test_client_strips_white_space_around_the_token() -> None:
    """A token from a file may end with a newline: the client sends it without."""
    async with Api(lambda request: request.page()) as server:
        async with new_client(token=f" {TOKEN}\r\n", base_url=server.base_url) as intercom:
            await anext(intercom.pages())
    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.slow
async def test_contacts_are_decoded_in_api_order(sandbox: exporter.Sandbox, intercom: exporter.Intercom) -> None:
    """The iterator yields every contact once, in API order, as a dict."""
    contacts = [contact async for contact in intercom.contacts()]
    expected = [json.loads(record) for record in sandbox.workspace.records(0, 1_000)]
    assert [contact["id"] for contact in contacts] == [contact["id"] for contact in expected]
    contacts.pop(7), expected.pop(7)  # the hostile one: orjson cannot decode its large integers exactly
    assert contacts == expected


@pytest.mark.parametrize(
    "record",
    [
        r'{"name":"\ud800 cut","x":"\udfff"}',
        '{"a":1,"a":2,"price":1.10,"big":18446744073709551615}',
        '{"deep":' + "[" * 500 + "]" * 500 + "}",
        '{"name":"\u2028é🙂","nul":"\\u0000"}',
        "{}",
        '{"huge":1e999}',
    ],
    ids=lambda record: record[:20],
)
async def test_contacts_that_the_fast_parser_refuses_are_decoded(record: str) -> None:
    """The standard JSON parser decodes what the faster one refuses, for example lone surrogates."""
    async with Api(one_page_of([record])) as server, new_client(base_url=server.base_url) as intercom:
        assert [contact async for contact in intercom.contacts()] == [json.loads(record)]


async def test_contacts_with_long_numbers_are_decoded() -> None:
    """A number of 5,000 digits does not end the iteration with an error of the JSON library."""
    async with (
        Api(one_page_of(['{"n":' + "9" * 5_000 + "}", "{}"])) as server,
        new_client(base_url=server.base_url) as intercom,
    ):
        assert len([contact async for contact in intercom.contacts()]) == 2


async def test_contacts_skip_empty_pages() -> None:
    """An empty page in the middle is skipped; an empty last page ends the iteration."""
    async with Api(
        lambda r: r.page("c" if r.number == 2 else f"c{r.number}" if r.number < 5 else None, r.number % 2)
    ) as s:
        async with new_client(base_url=s.base_url) as intercom:
            assert [contact["id"] async for contact in intercom.contacts()] == ["1-0", "3-0", "5-0"]


async def test_contacts_after_aclose_yield_nothing() -> None:
    """aclose() ends the iteration, even if contacts of a received page remain."""
    async with Api(lambda request: request.page("c2", 3)) as server:
        async with new_client(base_url=server.base_url) as intercom:
            contacts = intercom.contacts()
            await anext(contacts)
            await contacts.aclose()
            assert [contact async for contact in contacts] == []
    assert len(server.requests) == 1


async def test_iteration_left_early_leaves_no_task() -> None:
    """No task runs between two steps: a loop that breaks needs no closing."""
    async with Api(lambda request: request.page(f"c{request.number}")) as server:
        async with new_client(base_url=server.base_url) as intercom:
            async for _page in intercom.pages():
                break
            before = asyncio.all_tasks()
            async for _page in intercom.pages():
                break
            async for _contact in intercom.contacts():
                break
            assert asyncio.all_tasks() <= before
        assert len(server.requests) == 3


async def test_client_with_several_listings_keeps_them_independent(
    sandbox: exporter.Sandbox, intercom: exporter.Intercom
) -> None:
    """Each listing has its own position and its own statistics."""
    slow, quick = intercom.pages(), intercom.pages()
    first = await anext(slow)
    assert len([page async for page in quick]) == 7
    assert (await anext(slow)).number == 2
    assert first.records == tuple(sandbox.workspace.records(0, 150))
    assert (slow.traffic.requests, quick.traffic.requests) == (2, 7)
    assert slow.traffic.version_echoed == "2.14"


@pytest.mark.parametrize("start", ["\ud800", 7])
def test_listing_from_a_malformed_cursor_is_refused(start: Any) -> None:
    """A cursor that cannot be sent is an invalid argument, reported before any request."""
    with pytest.raises(exporter.ConfigError):
        new_client().pages(start)
