"""What is shown of a run: the layout for any width, and a real terminal that shows it."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cli.log_handlers import Throttle
from exporter.cli.options import ConsoleOptions
from exporter.cli.progress.observer import ProgressReporter
from exporter.cli.progress.status import ExportStatus, progress_line
from exporter.model import Position
from exporter.observe.events import PageWritten, RateLimited, RetryScheduled
from exporter.text import count, duration, size

Serve = Callable[..., AbstractContextManager[Any]]
HALF_WAY = ExportStatus(
    *(0.0, 150_000, 50_000, 300_000, 395_000_000, 1_000),
    window=(1_203, 1_667),
    retries=3,
    saved_at_s=99.0,
)


def test_status_at_eighty_columns_is_complete() -> None:
    """Contacts of how many, rate, time left, bytes, retries, the latest checkpoint, page."""
    assert HALF_WAY.render_lines(100.0, 80) == [
        "████████████████████░░░░░░░░░░░░░░░░░░░░ 150,000/300,000 contacts 50%",
        "1,000/s · 2 min 30 s left · 395.0 MB · 3 retries · saved 1 s ago · page 1,000",
    ]
    assert HALF_WAY.render_lines(100.0, 120)[1].endswith("page 1,000 · 1,203/1,667 calls left")


def test_status_at_forty_columns_has_the_most_important_facts() -> None:
    """No line is broken or cut in the middle."""
    assert HALF_WAY.render_lines(100.0, 40) == [
        "█████▌░░░░░ 150,000/300,000 contacts 50%",
        "1,000/s · 2 min 30 s left · 395.0 MB",
    ]
    assert HALF_WAY.render_lines(100.0, 20) == ["150,000/300,000 cont", "1,000/s"]


def test_status_omits_unknown_facts() -> None:
    """No count, no rate limit, nothing saved yet."""
    started = ExportStatus(0.0, contacts=150, page=1, bytes=400_000)
    assert started.render_lines(1.0, 80) == ["150 contacts", "150/s · 400 kB · page 1"]
    assert started.render_log_line(1.0) == "150 contacts, 150/s"
    assert HALF_WAY.render_log_line(100.0) == "150,000 of 300,000 contacts, 1,000/s, 2 min 30 s left"


@given(
    st.integers(0, 10**9), st.none() | st.integers(0, 10**9), st.integers(1, 200), st.floats(0, 1e7, allow_nan=False)
)
def test_status_lines_are_never_wider_than_the_terminal(
    contacts: int, total: int | None, width: int, now_s: float
) -> None:
    """For any figures."""
    status = ExportStatus(0.0, contacts, 0, total, contacts * 2_500, contacts // 150, (5, 1_667), 2, now_s / 2)
    shown = status.render_lines(now_s, width)
    assert len(shown) == 2
    assert all(len(line) <= width for line in shown)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (61, "1 min 01 s"),
        (3_600, "1 h 00 min"),
        (90_000, "1 d 1 h"),
        (-1, "0 s"),
        (0.04, "0 s"),
        (0.6, "0.6 s"),
        (3, "3 s"),
        (9.94, "9.9 s"),
        (9.97, "10 s"),
        (26.1, "26 s"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, shown: str) -> None:
    """Rounded to seconds."""
    assert duration(seconds) == shown


def test_small_sizes_and_counts_are_formatted() -> None:
    """No 0.0 MB, no 1 contacts."""
    assert [size(number) for number in (0, 999, 1_000, 400_000, 999_999, 10**6, 15 * 10**8, 2 * 10**12)] == [
        *("0 B", "999 B", "1 kB", "400 kB", "1000 kB", "1.0 MB", "1.5 GB", "2.0 TB"),
    ]
    assert [count(number, "contact") for number in (0, 1, 2, 1_000)] == [
        *("0 contacts", "1 contact", "2 contacts", "1,000 contacts"),
    ]
    assert [count(number, "retry") for number in (1, 2)] == ["1 retry", "2 retries"]
    assert ExportStatus(0.0, contacts=1, page=1, total=1).render_lines(1.0, 80)[0].endswith("1/1 contact 100%")


def test_lines_about_one_contact_are_in_the_singular(command: Any) -> None:
    """For an export, for the same one again, and for its verification."""
    printed = [
        command.run("demo", "--contacts=1", "-o", "one.ndjson").stderr.decode(),
        command.run("demo", "--contacts=1", "-o", "one.ndjson").stderr.decode(),
        command.run("verify", "one.ndjson").stderr.decode(),
    ]
    assert all(
        re.search(r"\b1 contact\b", text) and not re.search(r"\b1 contacts\b(?!/s)", text) for text in printed
    ), printed
    assert all("0.0 MB" not in text for text in printed), printed
    assert all("'one.ndjson'" in text for text in printed)
    assert "1 contact in 1 page to 'one.ndjson', " in printed[0]


def test_progress_line_beyond_the_total_is_100_percent() -> None:
    """A workspace may grow while it is read."""
    assert progress_line("contacts", 12, 10, 60).endswith("12/10 contacts 100%")
    assert progress_line("contacts", 0, 0, 60) == "0 contacts"


def test_log_has_a_status_line_each_minute(capfd: pytest.CaptureFixture[str]) -> None:
    """None at all with `none` or `-q`."""
    now_s = 1_000.0

    def printed(options: ConsoleOptions, pages: int, seconds: float) -> list[str]:
        nonlocal now_s
        reporter = ProgressReporter(options, "a.ndjson", lambda: now_s)
        for page in range(1, pages + 1):
            now_s += seconds
            reporter(PageWritten(Position("c", page, 150 * page, 1, 1), 3_000))
        return capfd.readouterr().err.splitlines()

    assert printed(ConsoleOptions(), 5, 11) == []
    assert printed(ConsoleOptions(), 13, 10) == [
        "intercom-exporter: 900 of 3,000 contacts, 15/s, 2 min 20 s left",
        "intercom-exporter: 1,800 of 3,000 contacts, 15/s, 1 min 20 s left",
    ]
    assert printed(ConsoleOptions(progress="none"), 13, 10) == printed(ConsoleOptions(quiet=True), 13, 10) == []


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 40])
def test_terminal_shows_two_lines_that_change_in_place(serve: Serve, command: Any, columns: int) -> None:
    """At the end only the last lines are left."""
    screen = pyte.Screen(columns, 12)
    with serve("--contacts=3000", "--latency-ms=60", "--rate-limit=1000") as served:
        states = _shown_on(screen, command, served)
    seen = {tuple(shown) for shown in states}
    left = "".join(screen.display).rstrip()
    assert re.fullmatch(
        r"intercom-exporter: 3,000 contacts in 20 pages to 'a\.ndjson'.*contacts/s *intercom.*verify a\.ndjson", left
    )
    drawn = [shown for shown in seen if len(shown) == 2 and "/3,000 contacts" in shown[0]]
    assert len(drawn) > 2
    assert all(re.match(r"[\d,]+/s · ", shown[1]) for shown in drawn)
    assert any("saved" in shown[1] for shown in drawn) == (columns == 80)
    assert not screen.cursor.hidden


@pytest.mark.slow
def test_retries_are_printed_above_the_live_display(serve: Serve, command: Any) -> None:
    """The display counts down a wait; after the first lines retries are only counted."""
    screen = pyte.Screen(100, 30)
    with serve("--contacts=1500", "--latency-ms=20", "--fault=http_503=2") as served:
        seen = _shown_on(screen, command, served)
    started = next(place for place, shown in enumerate(seen) if any("(attempt 2)" in line for line in shown))
    during = [shown for shown in seen[started:] if not any("verify it" in line for line in shown)]
    with_bar = [shown for shown in during if any(re.search(r"[\d,]+/s", line) for line in shown)]
    assert len(with_bar) >= len(during) * 0.8  # a piece that is read may end between clearing and drawing
    assert any("(attempt 2)" in shown[0] and "next attempt in" in shown[-1] for shown in with_bar)
    assert sum("(attempt 2)" in line for line in seen[-1]) == 3
    assert any("retries: " in line and "http_503" in line for line in seen[-1])


def test_throttle_prints_first_lines_then_one_each_half_minute() -> None:
    """What it skips is counted by cause, and added to the next line."""
    now_s = 0.0
    throttle = Throttle(lambda: now_s)
    retry, wait = RetryScheduled("http_503", "", 1, 1.0), RateLimited(5.0, 1_667)
    assert [throttle.should_skip(retry) for _ in range(5)] == [False] * 3 + [True] * 2
    assert throttle.should_skip(wait)
    assert not throttle.should_skip(None)
    assert not throttle.should_skip(PageWritten(Position("c", 1, 150, 1, 1), 3_000))
    now_s = 29.0
    assert throttle.should_skip(retry)
    now_s = 31.0
    assert not throttle.should_skip(retry)
    assert throttle.take_skipped() == " (and 4 more delays: http_503 3, rate limit 1; -v shows each)"
    assert throttle.take_skipped() == ""
    assert throttle.should_skip(retry)


@pytest.mark.slow
@pytest.mark.parametrize("verbose", [False, True])
def test_log_of_many_retries_has_few_lines(serve: Serve, command: Any, verbose: bool) -> None:
    """Three lines, and the sum at the end; -v logs each."""
    with serve("--contacts=1050", "--fault=http_503=2") as served:
        done = command.run("contacts", "-o", "a.ndjson", *(["-v"] if verbose else []), served=served)
    lines = [line for line in done.stderr.decode().splitlines() if "(attempt 2)" in line]
    assert done.returncode == 0
    assert len(lines) >= 6 if verbose else len(lines) == 3
    assert re.search(rb"retries: \d+ of \d+ requests \(http_503 ", done.stderr)


def _shown_on(screen: pyte.Screen, command: Any, served: Any) -> list[list[str]]:
    """Export on a real terminal; return the lines that stood on it after each piece of output."""
    stream = pyte.ByteStream(screen)
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", screen.lines, screen.columns, 0, 0))
    run = subprocess.Popen(
        command.line("contacts", "-o", "a.ndjson"),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=command.environment(served, TERM="xterm"),
        cwd=command.folder,
    )
    os.close(follower)
    states: list[list[str]] = []
    while _feed(stream, leader):
        states.append([line.rstrip() for line in screen.display if line.strip()])
    os.close(leader)
    assert run.wait(60) == 0
    return states


def _feed(stream: Any, leader: int) -> bool:
    """Let the terminal take what has been written to it; False once nobody writes any more."""
    if not select.select([leader], [], [], 60)[0]:
        return False
    try:
        content = os.read(leader, 65_536)
    except OSError:  # Linux says so when the other end is closed
        return False
    stream.feed(content)
    return bool(content)
