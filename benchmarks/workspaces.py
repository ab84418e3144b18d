"""The workspaces of a run and their servers: recorded at the first use, then replayed until the end."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from benchmarks.measuring import CONTACT_BYTES, scratch
from benchmarks.recording import Recording, record
from benchmarks.served import Served, replay, serve


@dataclass(frozen=True)
class Workspace:
    """A workspace, and how it is served.

    Attributes:
        contacts: number of its contacts.
        gzip: whether responses are compressed.
        hostile: whether one contact in a thousand has values that break careless parsers.
        latency_ms: milliseconds before each response.
        replayed: whether recorded responses are served; otherwise the sandbox generates them.
        rate_limit: for a sandbox, calls in ten seconds; None for no limit.
        years: for a sandbox, years over which the creation of the contacts is spread.
    """

    contacts: int
    gzip: bool = False
    hostile: bool = False
    latency_ms: float = 0.0
    replayed: bool = True
    rate_limit: int | None = None
    years: int | None = None


class Workspaces:
    """The servers of workspaces, each in its own process, as a context manager."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._served: dict[Workspace, Served] = {}
        self._recordings: dict[Workspace, Recording] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def served(self, workspace: Workspace) -> Served:
        """Return the server of a workspace."""
        if workspace not in self._served:
            if workspace.replayed:
                server = replay(self.recording(workspace), latency_ms=workspace.latency_ms)
            else:
                server = serve(
                    workspace.contacts,
                    gzip=workspace.gzip,
                    hostile=workspace.hostile,
                    latency_ms=workspace.latency_ms,
                    rate_limit=workspace.rate_limit,
                    years=workspace.years,
                )
            self._served[workspace] = self._open.enter_context(server)
        return self._served[workspace]

    def recording(self, workspace: Workspace) -> Recording:
        """Return the recording of a workspace, which is the same at any latency."""
        workspace = replace(workspace, latency_ms=0.0)
        if workspace not in self._recordings:
            folder = self._open.enter_context(scratch(workspace.contacts * CONTACT_BYTES))
            with serve(workspace.contacts, gzip=workspace.gzip, hostile=workspace.hostile) as sandbox:
                self._recordings[workspace] = record(sandbox, folder)
        return self._recordings[workspace]
