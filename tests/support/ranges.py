"""Exports with several cursors in tests: small ranges, and a workspace whose clock tests set."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import exporter
from exporter.observe.events import Event
from exporter.sandbox import SearchSettings
from tests.support.clients import QUICK

NOW = 1_800_000_000.0


class Clock:
    """A clock that tests set.

    Attributes:
        now_s: the time, in UNIX seconds.
    """

    def __init__(self, now_s: float = NOW) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


def sandbox_of(contacts: int, precision: Any = None, **settings: Any) -> exporter.Sandbox:
    """Return a sandbox whose contacts are created over three years; some settings are those of its search."""
    names = ("lag_s", "cap", "missing", "has_id_suffix", "unsettled")
    search = {name: settings.pop(name) for name in names if name in settings}
    return exporter.Sandbox(contacts, years=3, search=SearchSettings(precision=precision, **search), **settings)


def client_of(sandbox: exporter.Sandbox, **settings: Any) -> exporter.Intercom:
    """Return a client of a sandbox, with pages of 50."""
    settings = {"per_page": 50, "retry_policy": QUICK, **settings}
    intercom = exporter.Intercom(sandbox.token, base_url=sandbox.base_url, **settings)
    intercom.identity = "a sandbox"  # whose address differs each time
    return intercom


async def records_of(intercom: exporter.Intercom) -> list[bytes]:
    """Return all contacts of the list."""
    return [record async for page in intercom.pages() for record in page.records]


def lines_in(folder: Path) -> list[bytes]:
    """Return all lines of the data files of a folder, in the order of their names."""
    contents = [path.read_bytes() for path in sorted(folder.glob("contacts-*"))]
    return b"".join(gzip.decompress(one) if one[:2] == b"\x1f\x8b" else one for one in contents).splitlines()


def data_files(folder: Path) -> dict[str, bytes]:
    """Return the content of the data files of a folder."""
    return {path.name: path.read_bytes() for path in folder.glob("contacts-*")}


def at_event(kind: type, number: int, act: Callable[[], object]) -> Callable[[Event], None]:
    """Return an observer that acts once, at an event of a kind with this number, from 1."""
    seen = 0

    def observe(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, kind)
        if isinstance(event, kind) and seen == number:
            act()

    return observe
