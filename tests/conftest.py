"""What many tests need: a loop that must not block, an environment without settings, a sandbox and its client."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
)

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

import exporter
from tests.support import exports
from tests.support.properties import load_profile
from tests.support.server import RawServer, Script, read_head

pytest_plugins = ["tests.support.memory", "tests.support.outputs", "tests.support.processes"]

load_profile()

TOKEN = "dG9rOnRlc3Q="
DISPLAY = ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "LINES")


Tell = Callable[[str, str], None]


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Add a line below a heading at the end of the tests' output, whichever process a test runs in."""
    return lambda heading, line: request.node.user_properties.append((heading, line))


def pytest_xdist_auto_num_workers() -> int:
    """Use one worker more than there are processors: many tests wait for servers and other processes."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test that starts the program in a process as slow, except for the smoke tests."""
    for item in items:
        if "interpreter" in getattr(item, "fixturenames", ()) and item.get_closest_marker("smoke") is None:
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the lines that tests added."""
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
    """Keep the settings of the user who runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        # Hundreds of processes are started: each would compile the package again.
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        for name in list(os.environ):
            if name.startswith(("INTERCOM_", "TTY_")) or name.lower().endswith("_proxy") or name in DISPLAY:
                patch.delenv(name)
        yield


@pytest.fixture
def raw_server() -> Callable[[Script], AbstractAsyncContextManager[str]]:
    """Serve what a script sends once it has the first request of a connection; yield the address."""

    @asynccontextmanager
    async def start(script: Script) -> AsyncIterator[str]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_head(reader)
            await script(reader, writer)

        async with RawServer(serve) as server:
            yield server.base_url

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


@pytest.fixture
def lines_of() -> Callable[[list[bytes]], bytes]:
    """Give the expected NDJSON of records."""
    return exports.lines_of
