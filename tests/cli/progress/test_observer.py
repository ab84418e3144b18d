"""What is said about what is kept, whatever is known of it."""

from typing import Any

import pytest

from exporter.cli.options import ConsoleOptions
from exporter.cli.progress.observer import ProgressReporter
from exporter.model import Position
from exporter.observe.events import Committed, Resumed


def test_interrupt_before_the_first_commit_does_not_name_saved_contacts(capfd: pytest.CaptureFixture[str]) -> None:
    """While committed bytes are still being checked, their number is unknown; users must not start over."""
    ProgressReporter(ConsoleOptions(), "contacts.ndjson").on_interrupt("SIGINT", 130)
    stderr = capfd.readouterr().err
    assert "contacts saved" not in stderr
    assert "run the same command again to resume" in stderr
    assert not any(map(str.isdigit, stderr))


def test_interrupt_names_the_saved_contacts(capfd: pytest.CaptureFixture[str]) -> None:
    """Those of the latest commit."""
    reporter = ProgressReporter(ConsoleOptions(progress="none"), "contacts.ndjson")
    reporter(Resumed(Position(contacts=150, pages=1)))
    reporter(Committed(Position(contacts=150, pages=1)))
    reporter(Committed(Position(contacts=1_300, pages=9)))
    reporter.on_interrupt("SIGTERM", 143)
    assert "1,300 contacts saved" in capfd.readouterr().err


def test_unread_stderr_does_not_slow_an_export(command: Any) -> None:
    """Lines are dropped: 600 pages do not wait half a second each."""
    arguments = ("--contacts=3000", "--per-page=5", "--progress=json", "--output=a.ndjson")
    assert command.run_unheard("demo", *arguments) == 0
    assert (command.folder / "a.ndjson").read_bytes().count(b"\n") == 3_000
