"""What many tests need: a loop that must not block, sandboxes in and out of process, the command, a raw server."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
import pytest
from blockbuster import BlockBuster, blockbuster_ctx

import exporter

pytest_plugins = ["tests.support.memory", "tests.support.outputs"]

# How long an example takes is no matter of tests: the machine may be busy.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

TOKEN = "dG9rOnRlc3Q="
DISPLAY = ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "LINES")
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


Tell = Callable[[str, str], None]


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Put a line below a heading at the end of the tests' output, whichever process a test runs in."""
    return lambda heading, line: request.node.user_properties.append((heading, line))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests told."""
    told: dict[str, list[str]] = {}
    for report in itertools.chain.from_iterable(terminalreporter.stats.values()):
        if getattr(report, "when", None) == "call":
            for heading, line in report.user_properties:
                told.setdefault(heading, []).append(line)
    for heading, lines in sorted(told.items()):
        title, *legend = heading.splitlines()
        terminalreporter.section(title)
        terminalreporter.write("\n".join([*legend, *sorted(lines), ""]))


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, which aiohttp is made for."""
    return "asyncio"


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """Fail a test whose event loop is blocked by the package."""
    with blockbuster_ctx("exporter") as detector:
        yield detector


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    # Hundreds of processes are started: each would compile the package anew.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    for name in list(os.environ):
        if name.startswith(("INTERCOM_", "TTY_")) or name.lower().endswith("_proxy") or name in DISPLAY:
            monkeypatch.delenv(name)


@dataclass(frozen=True)
class Served:
    """A sandbox in a process of its own."""

    base_url: str
    token: str
    pid: int


@pytest.fixture
def serve() -> Callable[..., AbstractContextManager[Served]]:
    """Start the sandbox in a process of its own, hostile contacts included, for the length of a block."""

    @contextmanager
    def start(*options: str) -> Iterator[Served]:
        hostile = () if any(option.startswith(("--from", "--no-hostile")) for option in options) else ("--hostile",)
        process = subprocess.Popen(
            [sys.executable, "-m", "exporter", "sandbox", *hostile, *options],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        try:
            assert process.stdout is not None
            address = json.loads(process.stdout.readline())
            yield Served(address["base_url"], address["token"], process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
        assert process.returncode == 0

    return start


@dataclass(frozen=True)
class Command:
    """How to start the command as a user would, with an environment of its own."""

    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def line(self, *arguments: str) -> list[str]:
        """Give the command line."""
        return [sys.executable, "-m", "exporter", *arguments]

    def environment(self, served: Served | None = None, **variables: str) -> dict[str, str]:
        """Give an environment that names a sandbox and its token."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("INTERCOM_")}
        if served:
            env |= {"INTERCOM_EXPORTER_BASE_URL": served.base_url, "INTERCOM_ACCESS_TOKEN": served.token}
        return env | variables

    def run(
        self,
        *arguments: str,
        served: Served | None = None,
        stdin: bytes = b"",
        **variables: str,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it to its end."""
        return subprocess.run(
            self.line(*arguments),
            input=stdin,
            capture_output=True,
            timeout=100,
            check=False,
            cwd=self.folder,
            env=self.environment(served, **variables),
        )

    def program(self, code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
        """Run some code of Python where the command would run."""
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            timeout=100,
            check=False,
            cwd=self.folder,
            env=self.environment(None, **variables),
        )

    def run_unheard(self, *arguments: str) -> int:
        """Run it with a stderr that is full and that nobody reads; give its exit code."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        with suppress(BlockingIOError):
            while os.write(writing, bytes(4096)):
                pass
        try:
            return subprocess.run(
                self.line(*arguments),
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=writing,
                timeout=90,
                check=False,
            ).returncode
        finally:
            os.close(reading)
            os.close(writing)

    def start(self, *arguments: str, served: Served | None = None, **variables: str) -> subprocess.Popen[bytes]:
        """Start it; it ends with the test at the latest."""
        process = subprocess.Popen(
            self.line(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=self.environment(served, **variables),
        )
        self.started.append(process)
        return process


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    """Give the command, started in an empty folder."""
    command = Command(tmp_path)
    yield command
    for process in command.started:
        process.kill()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        process.wait()


@pytest.fixture
def raw_server() -> Callable[[Answer], AbstractAsyncContextManager[str]]:
    """Serve whatever bytes a test writes, on a real socket, for the length of a block.

    The answer is called once a connection, after its first request has been read.
    """

    @asynccontextmanager
    async def start(answer: Answer) -> AsyncIterator[str]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.readuntil(b"\r\n\r\n")
                await answer(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()

    return start


@pytest.fixture
async def sandbox() -> AsyncIterator[exporter.Sandbox]:
    """Serve 1,000 contacts in this process, hostile ones included."""
    async with exporter.Sandbox(1_000, hostile=True) as served:
        yield served


@pytest.fixture
async def intercom(sandbox: exporter.Sandbox) -> AsyncIterator[exporter.Intercom]:
    """Give a client of that sandbox, quick to try again."""
    retry_policy = exporter.RetryPolicy(initial_backoff_s=0.001)
    async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, retry_policy=retry_policy) as client:
        yield client


def ndjson(records: list[bytes]) -> bytes:
    """Say what records must look like as lines, in the plainest way."""
    return b"".join(record.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n" for record in records)


@pytest.fixture
def lines_of() -> Callable[[list[bytes]], bytes]:
    """Give the expected NDJSON of records."""
    return ndjson
