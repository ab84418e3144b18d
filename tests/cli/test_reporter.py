"""What is said about what is kept, whatever is known of it."""

from typing import Any

import pytest

from exporter.cli.reporter import Reporter
from exporter.cli.settings import ReportOptions
from exporter.model import Position
from exporter.observe.events import Committed, Resumed


def test_a_stop_before_anything_is_known_does_not_say_that_nothing_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    """While the committed bytes are still being checked, their number is not known; nobody is to start over."""
    Reporter(ReportOptions(), "contacts.ndjson").stopped("SIGINT", 130)
    said = capfd.readouterr().err
    assert "kept" not in said
    assert "run the same command again to resume" in said
    assert not any(map(str.isdigit, said))


def test_a_stop_says_what_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    """The contacts of the latest commit."""
    reporter = Reporter(ReportOptions(progress="none"), "contacts.ndjson")
    reporter(Resumed(Position(contacts=150, pages=1)))
    reporter(Committed(Position(contacts=150, pages=1)))
    reporter(Committed(Position(contacts=1_300, pages=9)))
    reporter.stopped("SIGTERM", 143)
    assert "1,300 contacts are kept" in capfd.readouterr().err


def test_a_stderr_that_nobody_reads_does_not_slow_an_export_down(command: Any) -> None:
    """What is said meanwhile is dropped: 600 pages do not wait half a second each."""
    arguments = ("--contacts=3000", "--per-page=5", "--progress=json", "--output=a.ndjson")
    assert command.run_unheard("demo", *arguments) == 0
    assert (command.folder / "a.ndjson").read_bytes().count(b"\n") == 3_000
