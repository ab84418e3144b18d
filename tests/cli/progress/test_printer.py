"""The printer of each combination of options, on a terminal and elsewhere."""

import io
import json
import sys

import pytest

from exporter.cli.options import ConsoleOptions
from exporter.cli.progress.printer import (
    JsonPrinter,
    LogPrinter,
    Printer,
    QuietPrinter,
    TerminalPrinter,
    make_printer,
)
from exporter.cli.progress.status import ExportStatus, ReadStatus
from exporter.observe.events import RequestFinished

REQUESTED = RequestFinished("GET", "/contacts", 200, None, 0.5, 1_000, None)
STATUS = ExportStatus(0.0, contacts=150, total=300, page=1)


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


@pytest.mark.parametrize(
    ("options", "elsewhere", "on_terminal"),
    [
        (ConsoleOptions(), LogPrinter, TerminalPrinter),
        (ConsoleOptions(verbose=True), LogPrinter, LogPrinter),
        (ConsoleOptions(progress="bar"), TerminalPrinter, TerminalPrinter),
        (ConsoleOptions(progress="bar", verbose=True), TerminalPrinter, TerminalPrinter),
        (ConsoleOptions(progress="none"), Printer, Printer),
        (ConsoleOptions(progress="json"), JsonPrinter, JsonPrinter),
        (ConsoleOptions(progress="json", quiet=True), QuietPrinter, QuietPrinter),
        (ConsoleOptions(progress="bar", quiet=True), QuietPrinter, QuietPrinter),
        (ConsoleOptions(quiet=True), QuietPrinter, QuietPrinter),
    ],
    ids=repr,
)
def test_make_printer_chooses_by_options_and_terminal(
    monkeypatch: pytest.MonkeyPatch, options: ConsoleOptions, elsewhere: type[Printer], on_terminal: type[Printer]
) -> None:
    """Quiet before JSON, JSON before a live display, a live display before a log."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert type(make_printer(options, STATUS)) is elsewhere
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert type(make_printer(options, STATUS)) is on_terminal


def test_make_printer_without_stderr_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed stderr is no terminal, even for --progress bar."""
    monkeypatch.setattr(sys, "stderr", None)
    assert type(make_printer(ConsoleOptions(progress="bar"), STATUS)) is Printer


def test_quiet_printer_prints_only_errors(capfd: pytest.CaptureFixture[str]) -> None:
    """A difference that verify finds is one."""
    printer = make_printer(ConsoleOptions(quiet=True), STATUS)
    for level in ("info", "warning", "error"):
        printer.print_line(f"an {level}", level)
    assert capfd.readouterr().err == "intercom-exporter: an error\n"


def test_log_printer_of_a_command_that_reads_logs_no_progress(capfd: pytest.CaptureFixture[str]) -> None:
    """After an hour neither."""
    now_s = 0.0
    printer = make_printer(ConsoleOptions(), ReadStatus("MB read"), lambda: now_s)
    now_s = 3_600.0
    printer.update()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("verbose", [False, True])
def test_json_printer_writes_events_and_no_lines(capfd: pytest.CaptureFixture[str], verbose: bool) -> None:
    """Requests only when verbose."""
    printer = make_printer(ConsoleOptions(progress="json", verbose=verbose), STATUS)
    printer.print_line("the export is complete")
    printer.write_event("report", path="a.html")
    printer.on_event(REQUESTED)
    names = [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()]
    assert names == (["report", "request"] if verbose else ["report"])
