"""A page's way from the socket to the disk: a handful of modules, always downwards."""

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import exporter
from tests.test_layers import LAYERS, PACKAGE, layer_of, room_of

WAY = (
    "pipeline",
    "source.pages",
    "source.client",
    "source.session",
    "source.body",
    "source.envelope",
    "formats.encoder",
    "formats.ndjson",
    "destination.async_writer",
    "destination.disk_thread",
    "destination.local",
    "destination.part",
)
"""The modules that hand a page on, in the order in which it passes them; docs/architecture.md says what each does."""
MOMENTS = {("source.body", "read_body"), ("source.envelope", "parse"), ("formats.ndjson", "lines")}
MOMENTS |= {("destination.disk_thread", "run"), ("destination.part", "write")}
"""Functions that read a page, take it apart, encode it, and write it in a thread."""
LIBRARY = {room for layer in LAYERS[:3] for room in layer} - {"formats"}
"""Packages without a part in an export: they work on what they are given, and call nothing above them."""


def module_of(frame: FrameType | None) -> str | None:
    """Return the dotted name of a frame's module below `exporter`; None for a frame of another package."""
    if frame is None or not frame.f_code.co_filename.startswith(f"{PACKAGE}/"):
        return None
    return ".".join(Path(frame.f_code.co_filename).relative_to(PACKAGE).with_suffix("").parts)


def callers_of(frame: FrameType) -> Iterator[str]:
    """Yield the modules of the package on the stack below a frame, the nearest one first."""
    caller = frame.f_back
    while caller is not None:
        if (name := module_of(caller)) is not None:
            yield name
        caller = caller.f_back


class Recorder:
    """Records calls within the package while pages pass.

    Attributes:
        way: modules on the stack at one of the moments.
        calls: pairs of modules, where a function of the first calls one of the second.
    """

    def __init__(self) -> None:
        self.way: set[str] = set()
        self.calls: set[tuple[str, str]] = set()
        self._is_on = False

    def observe(self, event: exporter.Event) -> None:
        """Record from the third page to the eighth: neither opening nor finishing belongs to a page's way."""
        if isinstance(event, exporter.PageWritten):
            self._is_on = 3 <= event.position.pages < 8

    def _profile(self, frame: FrameType, kind: str, _argument: Any) -> None:
        if kind != "call" or not self._is_on or (name := module_of(frame)) is None:
            return
        callers = list(callers_of(frame))
        if callers and callers[0] != name:
            self.calls.add((callers[0], name))
        if (name, frame.f_code.co_name) in MOMENTS:
            self.way |= {name, *callers}

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record in this thread, and in those that begin within the block."""
        gc.collect()
        gc.disable()  # what it finalizes would look as if the function that it interrupts had called it
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
            gc.enable()


async def recorded(serve: Callable[..., AbstractContextManager[Any]], path: Path) -> Recorder:
    """Export ten pages, compressed in threads, with a checkpoint after each, and record the calls."""
    recorder = Recorder()
    with serve("--contacts=1500") as served, recorder.recording():  # before any thread begins
        async with exporter.Intercom(served.token, base_url=served.base_url) as intercom:
            await exporter.export(intercom, path, observer=recorder.observe, checkpoint_every_s=0)
    return recorder


async def test_page_passes_at_most_twelve_modules(
    serve: Callable[..., AbstractContextManager[Any]], tmp_path: Path
) -> None:
    """From the request to the write; modules that only compute something of what they are given are not counted."""
    recorder = await recorded(serve, tmp_path / "contacts.ndjson.gz")
    assert {name for name in recorder.way if room_of(name) not in LIBRARY} == set(WAY)
    assert len(WAY) <= 12


async def test_calls_go_down_only(serve: Callable[..., AbstractContextManager[Any]], tmp_path: Path) -> None:
    """No function calls one of a higher layer, and on a page's way none calls one that the page has passed."""
    recorder = await recorded(serve, tmp_path / "contacts.ndjson.gz")
    assert recorder.calls
    climbs = {(a, b) for a, b in recorder.calls if layer_of(room_of(a)) < layer_of(room_of(b))}
    on_the_way = {(a, b) for a, b in recorder.calls if a in WAY and b in WAY}
    assert climbs | {(a, b) for a, b in on_the_way if WAY.index(a) > WAY.index(b)} == set()


def test_architecture_page_lists_the_path_of_a_page() -> None:
    """docs/architecture.md names each of them, in this order."""
    text = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    files = [f"`exporter/{name.replace('.', '/')}.py`" for name in WAY]
    assert [file for file in files if file not in text] == []
    places = [text.index(file) for file in files]
    assert places == sorted(places)
