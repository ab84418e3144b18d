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

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

import exporter
from tests.support.properties import load_profile
from tests.support.warm_interpreter import WarmInterpreter

pytest_plugins = ["tests.support.memory", "tests.support.outputs"]

load_profile()

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


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """Keep the settings of the person who runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        # Hundreds of processes are started: each would compile the package anew.
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        for name in list(os.environ):
            if name.startswith(("INTERCOM_", "TTY_")) or name.lower().endswith("_proxy") or name in DISPLAY:
                patch.delenv(name)
        yield


@dataclass(frozen=True)
class Served:
    """A sandbox in a process of its own."""

    base_url: str
    token: str
    pid: int


@pytest.fixture(scope="session")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmInterpreter]:
    """Return an interpreter that commands are forked from."""
    warm = WarmInterpreter(tmp_path_factory.mktemp("warm") / "s")
    yield warm
    warm.close()


@pytest.fixture(scope="session")
def serve(interpreter: WarmInterpreter) -> Callable[..., AbstractContextManager[Served]]:
    """Start the sandbox in a process of its own, hostile contacts included, for the length of a block."""

    @contextmanager
    def start(*options: str) -> Iterator[Served]:
        hostile = () if any(option.startswith(("--from", "--no-hostile")) for option in options) else ("--hostile",)
        assert interpreter.suits(os.environ)
        reading, writing = os.pipe()
        process = interpreter.start(("sandbox", *hostile, *options), Path.cwd(), os.environ, (0, writing, 2))
        os.close(writing)
        with os.fdopen(reading, "rb") as stdout:
            try:
                address = json.loads(stdout.readline())
                yield Served(address["base_url"], address["token"], process.pid)
            finally:
                os.kill(process.pid, signal.SIGTERM)
                assert process.wait(30) == 0

    return start


@dataclass(frozen=True)
class Command:
    """How to start the command as a user would, with an environment of its own."""

    folder: Path
    interpreter: WarmInterpreter
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
        """Run it to its end: a process of its own, forked from one that has imported the program."""
        environment = self.environment(served, **variables)
        if not self.interpreter.suits(environment):
            return self.run_cold(*arguments, served=served, stdin=stdin, **variables)
        return self.interpreter.run(arguments, self.folder, environment, stdin)

    def run_cold(
        self,
        *arguments: str,
        served: Served | None = None,
        stdin: bytes = b"",
        **variables: str,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it to its end: a new interpreter, where its start, its imports or its own memory are what is tested."""
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
def command(tmp_path: Path, interpreter: WarmInterpreter) -> Iterator[Command]:
    """Give the command, started in an empty folder."""
    command = Command(tmp_path, interpreter)
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
