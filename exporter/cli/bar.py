"""Lines at the bottom of a terminal that change in place, and are gone at the end; other lines go above them."""

import io
import sys
from typing import TYPE_CHECKING

from exporter.cli.exits import lines_through, say
from exporter.cli.settings import ReportOptions
from exporter.cli.status import Draw

if TYPE_CHECKING:
    from rich.live import Live

_A_SECOND = 4


def wants_bar(options: ReportOptions) -> bool:
    """Whether progress is to be drawn."""
    if options.quiet or options.progress in ("json", "none") or sys.stderr is None:
        return False
    # Where each request is a line, lines are the progress.
    return options.progress == "bar" or (sys.stderr.isatty() and not options.verbose)


class Bar:
    """Shows lines, drawn anew some times a second, from the first call of `show` until `hide`.

    Args:
        draw: gives them.
    """

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._live: Live | None = None

    def show(self) -> None:
        """Begin to show them; what is printed from now on goes above them."""
        if self._live is None:
            self._live = _live(self._draw)
            self._live.start()
            lines_through(self._print_above)

    def hide(self) -> None:
        """Take them off the terminal."""
        if self._live is not None:
            lines_through(None)
            self._live.stop()
            self._live = None

    def _print_above(self, line: str) -> None:
        """Print a line above the others, which are drawn again in the same step."""
        from rich.text import Text

        if self._live is not None:
            self._live.console.print(Text(line), soft_wrap=True)


def _live(draw: Draw) -> "Live":
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=_Terminal(), force_terminal=True)

    def lines() -> Text:
        # One column less: a full line makes some terminals break it.
        return Text("\n".join(draw(max(console.width - 1, 1))), no_wrap=True, overflow="crop")

    return Live(get_renderable=lines, console=console, refresh_per_second=_A_SECOND, transient=True)


class _Terminal(io.StringIO):
    """Stderr for a library that draws: it never raises, and never waits long."""

    def write(self, text: str) -> int:
        say(text, end="")
        return len(text)

    def fileno(self) -> int:
        return sys.stderr.fileno()
