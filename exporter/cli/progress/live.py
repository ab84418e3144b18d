"""A live display: lines at the bottom of a terminal that change in place, and are gone at the end."""

import io
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from exporter.cli.stderr import route_lines, write_stderr

if TYPE_CHECKING:
    from rich.live import Live

_REFRESHES_PER_S = 4


class LiveDisplay:
    """Shows lines, drawn some times a second, from the first call of `start` until `stop`.

    Args:
        render: returns the lines for a width in columns.
    """

    def __init__(self, render: Callable[[int], list[str]]) -> None:
        self._render = render
        self._live: Live | None = None

    def start(self) -> None:
        """Show the lines; what is printed from now on appears above them."""
        if self._live is None:
            self._live = _create_live(self._render)
            self._live.start()
            route_lines(self._print_above)

    def stop(self) -> None:
        """Remove the lines from the terminal."""
        if self._live is not None:
            route_lines(None)
            self._live.stop()
            self._live = None

    def _print_above(self, line: str) -> None:
        """Print a line above the others, which are drawn again in the same step."""
        from rich.text import Text

        if self._live is not None:
            self._live.console.print(Text(line), soft_wrap=True)


def _create_live(render: Callable[[int], list[str]]) -> "Live":
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=_StderrStream(), force_terminal=True)

    def render_text() -> Text:
        # One column less: a full line makes some terminals break it.
        return Text("\n".join(render(max(console.width - 1, 1))), no_wrap=True, overflow="crop")

    return Live(get_renderable=render_text, console=console, refresh_per_second=_REFRESHES_PER_S, transient=True)


class _StderrStream(io.StringIO):
    """Stderr for a library that draws: it never raises, and never waits long."""

    def write(self, text: str) -> int:
        write_stderr(text, end="")
        return len(text)

    def fileno(self) -> int:
        return sys.stderr.fileno()
