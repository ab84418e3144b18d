"""The workspaces of a run and their servers: recorded when they are first asked for, then replayed until the end."""

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
        contacts: how many it has.
        gzip: whether answers are compressed.
        hostile: whether one contact in a thousand holds values that break careless parsers.
        latency_ms: milliseconds each answer waits.
        replayed: whether recorded answers are served, or the sandbox makes them meanwhile.
    """

    contacts: int
    gzip: bool = False
    hostile: bool = False
    latency_ms: float = 0.0
    replayed: bool = True


class Workspaces:
    """Servers in processes of their own, one for each workspace, as a context manager."""

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
        """Give the server of a workspace."""
        if workspace not in self._served:
            if workspace.replayed:
                server = replay(self.recording(workspace), latency_ms=workspace.latency_ms)
            else:
                server = serve(
                    workspace.contacts,
                    gzip=workspace.gzip,
                    hostile=workspace.hostile,
                    latency_ms=workspace.latency_ms,
                )
            self._served[workspace] = self._open.enter_context(server)
        return self._served[workspace]

    def recording(self, workspace: Workspace) -> Recording:
        """Give the answers of a workspace, which are the same at any latency."""
        workspace = replace(workspace, latency_ms=0.0)
        if workspace not in self._recordings:
            folder = self._open.enter_context(scratch(workspace.contacts * CONTACT_BYTES))
            with serve(workspace.contacts, gzip=workspace.gzip, hostile=workspace.hostile) as sandbox:
                self._recordings[workspace] = record(sandbox, folder)
        return self._recordings[workspace]
