"""What is said about what is kept, whatever is known of it."""

import pytest

from exporter.cli.reporter import Reporter
from exporter.cli.settings import ReportOptions
from exporter.model import Committed, Position, Resumed


def test_a_stop_before_anything_is_known_does_not_say_that_nothing_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    """While the committed bytes are still being checked, their number is not known; nobody is to begin anew."""
    Reporter(ReportOptions(), "contacts.ndjson").stopped("SIGINT")
    said = capfd.readouterr().err
    assert "is kept" in said
    assert "goes on" in said
    assert not any(map(str.isdigit, said))


def test_a_stop_says_what_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    """The contacts of the latest commit."""
    reporter = Reporter(ReportOptions(progress="none"), "contacts.ndjson")
    reporter(Resumed(Position(contacts=150, pages=1)))
    reporter(Committed(Position(contacts=150, pages=1)))
    reporter(Committed(Position(contacts=1_300, pages=9)))
    reporter.stopped("SIGTERM")
    assert "1,300 contacts are kept" in capfd.readouterr().err
