"""Rate-limit headers, back-off times and page sizes."""

from collections.abc import Callable
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.source.rate_limit import (
    MAX_WINDOW_S,
    PageSize,
    RateLimiter,
    RateLimitHeaders,
    backoff_s,
    halvings,
    parse_rate_limit,
    reduced_page_size,
    retry_after_s,
)

EPOCH = 1_800_000_000
LIMITS = {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "7", "X-RateLimit-Reset": str(EPOCH + 10)}


def at(seconds: float) -> Callable[[], float]:
    """Return a clock that always returns the same time."""
    return lambda: EPOCH + seconds


def test_rate_limit_reset_is_measured_on_the_servers_clock() -> None:
    """The end of the window is relative to the response's Date, not to the local clock."""
    headers = LIMITS | {"Date": formatdate(EPOCH + 6, usegmt=True)}
    assert parse_rate_limit(headers, at(5_000)) == RateLimitHeaders(100, 7, EPOCH + 10, 4.0)
    assert parse_rate_limit(LIMITS, at(3.5)) == RateLimitHeaders(100, 7, EPOCH + 10, 6.5)


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 2026 99:99:99 GMT", "0"])
def test_rate_limit_with_invalid_date_uses_the_local_clock(date: str) -> None:
    """A missing or malformed Date does not disable the rate limit."""
    assert parse_rate_limit(LIMITS | {"Date": date}, at(8)) == RateLimitHeaders(100, 7, EPOCH + 10, 2.0)


@pytest.mark.parametrize(("reset", "reset_in_s"), [("0", 0.0), (str(10**12), MAX_WINDOW_S), ("-5", 0.0)])
def test_rate_limit_reset_out_of_range_is_clamped(reset: str, reset_in_s: float) -> None:
    """No header makes the client wait longer than the maximum window, or for a negative time."""
    found = parse_rate_limit(LIMITS | {"X-RateLimit-Reset": reset}, at(0))
    assert found is not None
    assert found.reset_in_s == reset_in_s


@pytest.mark.parametrize("name", ["Limit", "Remaining", "Reset"])
@pytest.mark.parametrize("value", [None, "", "many", "1.5", "9" * 5_000])
def test_rate_limit_with_missing_or_invalid_header_is_none(name: str, value: str | None) -> None:
    """One missing or malformed header makes the others useless."""
    headers = {key: text for key, text in LIMITS.items() if not key.endswith(name)}
    assert parse_rate_limit(headers if value is None else headers | {f"X-RateLimit-{name}": value}, at(0)) is None


@pytest.mark.parametrize(("limit", "usable"), [("0", False), ("-1", False), ("1", True)])
def test_rate_limit_below_one_is_ignored(limit: str, usable: bool) -> None:
    """A limit below one request would stop the client permanently; a negative remainder counts as 0."""
    found = parse_rate_limit(LIMITS | {"X-RateLimit-Limit": limit, "X-RateLimit-Remaining": "-3"}, at(0))
    assert (found is not None) == usable
    assert found is None or found.remaining == 0


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": " 17 "}, 17.0),
        ({"Retry-After": formatdate(EPOCH + 30, usegmt=True)}, 30.0),
        ({"Retry-After": formatdate(EPOCH + 30, usegmt=True), "Date": formatdate(EPOCH + 25, usegmt=True)}, 5.0),
        ({"Retry-After": formatdate(EPOCH - 30, usegmt=True)}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "1.5"}, None),
        ({"Retry-After": "\u00b2"}, None),
        ({"Retry-After": "3"} | LIMITS | {"X-RateLimit-Remaining": "0"}, 3.0),
        (LIMITS, None),
        (LIMITS | {"X-RateLimit-Remaining": "0"}, 10.0),
        (LIMITS | {"X-RateLimit-Remaining": "0", "Retry-After": "soon"}, 10.0),
        (LIMITS | {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "5"}, None),
        (LIMITS | {"X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "0"}, None),
    ],
)
def test_retry_after_comes_before_the_end_of_an_empty_window(headers: dict[str, str], wait_s: float | None) -> None:
    """Retry-After in seconds or as a date comes first, then the end of an empty window."""
    assert retry_after_s(headers, at(0)) == wait_s


dates = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    *(st.sampled_from(["Sun", "", "x"]), st.integers(-1, 32), st.sampled_from(["Jan", "Feb", "Foo"])),
    *(st.integers(-1, 10_000), st.integers(-1, 25), st.integers(-1, 61), st.integers(-1, 61)),
    st.sampled_from(["GMT", "", "EST", "-0000", "+2359", "-9999", "+99999999999"]),
)


@given(
    st.dictionaries(
        st.sampled_from([*LIMITS, "Retry-After", "Date"]),
        st.text(max_size=30) | dates | st.integers().map(str),
    )
)
def test_retry_after_of_any_headers_is_finite_or_none(headers: dict[str, str]) -> None:
    """For any header values, the wait is a finite number or None."""
    wait_s = retry_after_s(headers, at(0))
    assert wait_s is None or 0 <= wait_s < 10**12


@pytest.mark.parametrize("name", LIMITS)
def test_rate_limit_header_of_400_digits_is_tolerated(name: str) -> None:
    """A limit, remainder or reset of hundreds of digits is treated like any other invalid value."""
    headers = LIMITS | {name: "9" * 400}
    window = RateLimiter(20)
    window.on_request()
    window.on_response(parse_rate_limit(headers, at(0)), 0.0)
    assert window.wait_s(0.0) <= MAX_WINDOW_S
    assert retry_after_s(headers, at(0)) is None


@given(attempt=st.integers(1, 100_000), first_s=st.floats(0.001, 60), random=st.floats(0, 1, exclude_max=True))
def test_backoff_is_between_half_and_all_of_the_doubled_time(attempt: int, first_s: float, random: float) -> None:
    """The doubled time is at most 30 s."""
    full_s = min(30.0, first_s * 2.0 ** min(attempt - 1, 16))
    assert full_s / 2 <= backoff_s(attempt, first_s, lambda: random) <= full_s


def test_backoff_doubles_up_to_30_seconds() -> None:
    """With the largest random number, the waits are the first one, its double, and so on up to 30 s."""
    assert [backoff_s(attempt, 0.5, lambda: 1.0) for attempt in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff_s(3, 0.5, lambda: 0.0) == 1.0


def test_page_size_halves_per_three_failures_and_quarters_per_timeout() -> None:
    """Two failures may be chance, three are a reason to request less; one contact is the minimum."""
    assert [reduced_page_size(150, halvings(0, errors)) for errors in range(8)] == [150, 150, 150, 75, 75, 75, 37, 37]
    assert [reduced_page_size(150, halvings(timeouts, 0)) for timeouts in range(5)] == [150, 37, 9, 2, 1]
    assert reduced_page_size(150, 10**6) == reduced_page_size(1, 1) == 1


def test_page_size_grows_back_less_often_after_each_failure() -> None:
    """If a server never sends more than 50 contacts, the client requests more less and less often."""
    size, failures, pages = PageSize(150), 0, 3_000
    for _ in range(pages):
        halved = 0
        while size.for_attempt(halved) > 50:
            failures, halved = failures + 1, halved + 1
        assert size.for_next() in (size.sent, size.sent * 2)
        size.succeeded()
    assert failures < 30


def test_page_size_after_one_failure_grows_back_quickly() -> None:
    """The failure of one page says nothing about the next pages."""
    size, sizes = PageSize(150), []
    for halved in (0, 2, 0, 0, 0, 1, 0, 0):
        sizes.append(size.for_attempt(halved))
        size.succeeded()
    assert sizes == [150, 37, 74, 148, 150, 75, 150, 150]
