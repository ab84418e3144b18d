"""Every fault of the sandbox: the exact bytes all the same, or the documented end."""

from pathlib import Path

import pytest

import exporter
from tests.support.exports import lines_of

PASSING = ("http_500", "http_502", "http_503", "http_408", "http_429", "reset", "truncate", "empty_200", "html_200")
CAUSES = {
    "reset": {"network"},
    "truncate": {"network", "broken_body"},
    "empty_200": {"broken_body"},
    "html_200": {"broken_body"},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "name"),
    [*((fault, "contacts.ndjson") for fault in PASSING), ("truncate", "contacts.ndjson.gz")],
)
async def test_transient_faults_leave_the_output_unchanged(fault: str, name: str, tmp_path: Path) -> None:
    """A fault on the first, a middle and the last page, twice each: the file is what it would have been without."""
    faults = [f"{fault}@{page}x2" for page in (1, 4, 7)]
    retry_policy = exporter.RetryPolicy(initial_backoff_s=0.001)
    async with (
        exporter.Sandbox(1_000, faults=faults) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url, retry_policy=retry_policy) as intercom,
    ):
        summary = await exporter.export(intercom, tmp_path / name)
        await exporter.export(intercom, tmp_path / f"calm-{name}")
        expected = lines_of(sandbox.workspace.records(0, 1_000))
    content = (tmp_path / name).read_bytes()
    assert content == (tmp_path / f"calm-{name}").read_bytes()
    if name.endswith(".ndjson"):
        assert content == expected
    assert set(summary.retries) <= CAUSES.get(fault, {fault})
    assert sum(summary.retries.values()) == 6
    assert summary.requests == 7 + 6


@pytest.mark.slow
async def test_export_from_a_server_that_often_fails_is_complete(tmp_path: Path) -> None:
    """Every third request resets, every fourth is cut: the export is whole."""
    retry_policy = exporter.RetryPolicy(initial_backoff_s=0.001)
    async with (
        exporter.Sandbox(3_000, faults={"reset": 3, "truncate": 4, "empty_200": 5}) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url, retry_policy=retry_policy) as intercom,
    ):
        await exporter.export(intercom, tmp_path / "contacts.ndjson")
        expected = lines_of(sandbox.workspace.records(0, 3_000))
    assert (tmp_path / "contacts.ndjson").read_bytes() == expected


async def test_smaller_pages_hold_the_same_contacts(tmp_path: Path) -> None:
    """Seven 503 on one page make smaller pages for a while, and the same lines."""
    retry_policy = exporter.RetryPolicy(initial_backoff_s=0.001)
    async with (
        exporter.Sandbox(1_000, faults=["http_503@3x7"]) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url, retry_policy=retry_policy) as intercom,
    ):
        summary = await exporter.export(intercom, tmp_path / "contacts.ndjson")
        expected = lines_of(sandbox.workspace.records(0, 1_000))
    assert (tmp_path / "contacts.ndjson").read_bytes() == expected
    assert summary.pages > 7
    assert summary.source.per_page == 150


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("http_401@4", exporter.CredentialsError),
        ("http_403@4", exporter.CredentialsError),
        ("http_404@1", exporter.ApiError),
        ("http_404@4", exporter.CheckpointError),
        ("http_422@1", exporter.ApiError),
        ("cursor_loop@4", exporter.ContractError),
        ("cursor_loop@1", exporter.ContractError),
        ("html_200@4x99", exporter.ContractError),
        ("empty_200@7x99", exporter.ContractError),
        ("http_500=1", exporter.RetriesExhausted),
        ("reset@4x99", exporter.RetriesExhausted),
    ],
)
async def test_lasting_faults_end_as_documented(
    fault: str, error: type[exporter.ExporterError], tmp_path: Path
) -> None:
    """A failure that does not pass ends with its error, and no finished file appears."""
    retry_policy = exporter.RetryPolicy(
        initial_backoff_s=0.001, max_attempts=3
    )  # one more would ask for a smaller page
    async with (
        exporter.Sandbox(1_000, faults=[fault]) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url, retry_policy=retry_policy) as intercom,
    ):
        with pytest.raises(error) as failure:
            await exporter.export(intercom, tmp_path / "contacts.ndjson")
    assert type(failure.value) is error
    assert not (tmp_path / "contacts.ndjson").exists()


@pytest.mark.slow
async def test_requests_of_an_export_never_exceed_the_rate_limit(tmp_path: Path) -> None:
    """A workspace allowed ten calls a window is exported without one refusal, and two calls a window stay free.

    Seventeen calls at eight a window need a third one, whenever in a window they begin.
    """
    waits: list[exporter.RateLimited] = []

    def observer(event: exporter.Event) -> None:
        if isinstance(event, exporter.RateLimited):
            waits.append(event)

    async with (
        exporter.Sandbox(170, rate_limit=10) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url, per_page=10) as intercom,
    ):
        summary = await exporter.export(intercom, tmp_path / "contacts.ndjson", observer=observer)
        refusals = sandbox.rate_limited_requests
    assert (summary.contacts, summary.requests, refusals) == (170, 17, 0)
    assert waits
    assert summary.rate_limit_wait_s == pytest.approx(sum(wait.wait_s for wait in waits), abs=0.01)
