"""Retries and their budgets, on a simulated clock."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import ContractError, Event, RetriesExhausted, RetryPolicy, RetryScheduled
from exporter.source.retry import RequestStats, RetryState, Transient, is_transient


class Attempts:
    """Attempts whose duration a test chooses."""

    def __init__(self, retry_policy: RetryPolicy, traffic: RequestStats | None = None) -> None:
        self.now = 1_000.0
        self.traffic = traffic or RequestStats()
        self.state = RetryState(retry_policy, self.traffic, lambda: self.now, lambda: 1.0)

    def fail(self, failure: Exception, seconds: float = 0.0) -> bool | float:
        """Let an attempt fail after some seconds, and wait as long as the retry policy says."""
        self.state.start_attempt()
        self.now += seconds
        wait_s = self.state.back_off(failure)
        self.now += wait_s
        return wait_s


def http(status: int, wait_s: float | None = None) -> Transient:
    """Return the failure for a status."""
    return Transient(f"http_{status}", f"the API answered {status}", status=status, request_id="id-1", wait_s=wait_s)


def test_only_transient_failures_are_retried() -> None:
    """Any other exception ends the attempts, and uses nothing of the retry budget."""
    attempts = Attempts(RetryPolicy())
    assert attempts.fail(ValueError()) is False
    assert attempts.fail(ContractError("x")) is False
    assert attempts.traffic == RequestStats()


def test_back_off_doubles_from_the_initial_wait() -> None:
    """The waits grow if the server requests none."""
    attempts = Attempts(RetryPolicy(initial_backoff_s=0.5))
    assert [attempts.fail(http(503)) for _ in range(7)] == [0.5, 1, 2, 4, 8, 16, 30]


def test_back_off_prefers_the_servers_wait() -> None:
    """The client waits as long as the server requests; it ignores a requested wait of 0 and uses its own."""
    attempts = Attempts(RetryPolicy(initial_backoff_s=0.25))
    assert attempts.fail(http(429, 3.5)) == 3.5
    assert Attempts(RetryPolicy(initial_backoff_s=0.25)).fail(http(429, 0.0)) == 0.25


def test_retries_end_after_max_attempts() -> None:
    """With 3 attempts allowed, the third failure is the last, and does not count as retried."""
    attempts = Attempts(RetryPolicy(max_attempts=3, initial_backoff_s=0.001))
    assert [bool(attempts.fail(http(500))) for _ in range(3)] == [True, True, False]
    assert attempts.traffic.retries == {"http_500": 2}
    error = attempts.state.final_error(http(500))
    assert isinstance(error, RetriesExhausted)
    assert (error.attempts, error.status, error.request_id) == (3, 500, "id-1")
    assert error.waited_s == pytest.approx(0.003)


def test_retry_policy_of_one_attempt_does_not_retry() -> None:
    """The message uses the singular."""
    attempts = Attempts(RetryPolicy(max_attempts=1))
    assert attempts.fail(http(500), 2.0) is False
    assert "gave up after 1 attempt in 2 s" in str(attempts.state.final_error(http(500)))


def test_page_budget_limits_failed_attempts_and_waits() -> None:
    """Failed attempts and waits together never exceed the page's budget, to the second."""
    attempts = Attempts(RetryPolicy(page_budget_s=10, initial_backoff_s=1))
    assert attempts.fail(http(504), 3.0) == 1
    assert attempts.fail(http(504), 4.0) == 2
    assert attempts.fail(http(504, 0.5), 0.0) is False
    fitting = Attempts(RetryPolicy(page_budget_s=10))
    assert fitting.fail(http(504, 6.0), 4.0) == 6


def test_wait_longer_than_the_budget_is_not_started() -> None:
    """The error reports the wait that the server requested."""
    attempts = Attempts(RetryPolicy(page_budget_s=90))
    assert attempts.fail(http(429, 91.0)) is False
    error = attempts.state.final_error(http(429, 91.0))
    assert "it asks to wait 91 s; gave up after 1 attempt in 0 s: try again later" in str(error)
    assert isinstance(error, RetriesExhausted)
    assert error.waited_s == 0


def test_run_budget_limits_all_pages_together() -> None:
    """The pages of a listing share its budget."""
    retry_policy, traffic = RetryPolicy(page_budget_s=10, run_budget_s=25), RequestStats()
    assert [Attempts(retry_policy, traffic).fail(http(503, 8.0)) for _ in range(4)] == [8, 8, 8, False]
    assert traffic.retry_time_s == 24


def test_only_waits_after_429_count_as_rate_limit_waits() -> None:
    """Waits after other failures do not count."""
    attempts = Attempts(RetryPolicy())
    for failure in (http(429, 2.0), http(503, 3.0), Transient("network", "gone", wait_s=5.0)):
        attempts.fail(failure)
    assert attempts.traffic.rate_limit_wait_s == 2.0
    assert attempts.traffic.retries == {"http_429": 1, "http_503": 1, "network": 1}


def test_failures_of_heavy_pages_reduce_the_page_size() -> None:
    """A failure that a too large page can cause makes the page smaller; refusals and shortfalls do not."""
    attempts = Attempts(RetryPolicy(initial_backoff_s=0.001))
    for cause in ("http_429", "http_408", "shortfall", "shortfall", "shortfall", "network", "broken_body"):
        attempts.fail(Transient(cause, "x"))
    assert attempts.state.halved == 0
    attempts.fail(Transient("http_500", "x"))
    assert (attempts.state.halved, attempts.state.limit_s) == (1, 60)
    attempts.fail(Transient("timeout", "x"))
    assert attempts.state.halved == 3


@pytest.mark.parametrize(("timeout_s", "sizes"), [(60, [150, 37, 9, 2, 1]), (30, [150, 37, 9, 2])])
def test_timeouts_reduce_the_page_size_within_the_retry_budget(timeout_s: float, sizes: list[int]) -> None:
    """With the default budget, several page sizes are tried, and all attempts together stay within it."""
    attempts, tried, took_s = Attempts(RetryPolicy()), list[int](), 0.0
    while True:
        tried.append(max(1, 150 >> attempts.state.halved))
        attempt_s = min(timeout_s, attempts.state.limit_s)
        took_s += attempt_s
        wait_s = attempts.fail(Transient("timeout", "x"), attempt_s)
        if wait_s is False:
            break
        took_s += wait_s
    assert tried[: len(sizes) - 1] == sizes[: len(sizes) - 1]
    assert took_s <= 100


def test_observer_is_notified_of_each_retry() -> None:
    """It gets cause, message, number and wait before the wait; the last failure is an error instead."""
    events: list[Event] = []
    attempts = Attempts(RetryPolicy(max_attempts=3, initial_backoff_s=2), RequestStats(observer=events.append))
    for failure in (http(502), Transient("timeout", "silence"), http(502)):
        attempts.fail(failure)
    assert events == [
        RetryScheduled("http_502", "the API answered 502", 1, 2.0),
        RetryScheduled("timeout", "silence", 2, 4.0),
    ]


@pytest.mark.parametrize(
    ("cause", "kind"),
    [("broken_body", ContractError), *((cause, RetriesExhausted) for cause in ("network", "timeout", "http_503"))],
)
def test_final_error_type_depends_on_the_last_cause(cause: str, kind: type[Any]) -> None:
    """A body that stays malformed raises ContractError, other causes raise RetriesExhausted."""
    state = Attempts(RetryPolicy()).state
    assert type(state.final_error(Transient(cause, "x", status=200, request_id="r"))) is kind


@given(
    st.lists(st.tuples(st.floats(0, 100), st.none() | st.floats(0, 1e9)), min_size=30, max_size=30),
    st.floats(0, 100),
    st.integers(1, 20),
)
def test_retries_of_any_failures_stay_within_the_budget(
    failures: list[tuple[float, float | None]], retry_time_s: float, max_attempts: int
) -> None:
    """For any failures, waits and attempts stay within the budget, and the statistics are consistent."""
    attempts = Attempts(RetryPolicy(page_budget_s=retry_time_s, max_attempts=max_attempts))
    began = attempts.now
    made = 0
    for seconds, wait_s in failures:
        made += 1
        if attempts.fail(http(503, wait_s), seconds) is False:
            break
        assert attempts.now - began <= retry_time_s + 1e-6
    assert made <= max_attempts
    assert attempts.traffic.retries.total() == made - 1
    assert attempts.traffic.retry_time_s <= retry_time_s


@pytest.mark.parametrize(
    ("status", "passes"),
    [(400, False), (403, False), (408, True), (409, False), (429, True), (499, False), (500, True)],
)
def test_is_transient_accepts_timeouts_rate_limits_and_server_errors(status: int, *, passes: bool) -> None:
    """Other refusals are permanent."""
    assert is_transient(status) is passes


def test_request_stats_add_sums_all_counters() -> None:
    """Requests, waits and retries by cause are added."""
    traffic = RequestStats(requests=1, rate_limit_wait_s=1.0, retry_time_s=2.0)
    traffic.retries["network"] = 1
    other = RequestStats(requests=2, rate_limit_wait_s=0.5, retry_time_s=0.25)
    other.retries.update({"network": 2, "timeout": 1})
    traffic.add(other)
    assert (traffic.requests, traffic.rate_limit_wait_s, traffic.retry_time_s) == (3, 1.5, 2.25)
    assert traffic.retries == {"network": 3, "timeout": 1}
