"""The command and the sandbox, each in its own process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.warm_interpreter import WarmInterpreter


@dataclass(frozen=True)
class Served:
    """A sandbox in its own process."""

    base_url: str
    token: str
    pid: int


@pytest.fixture(scope="session")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmInterpreter]:
    """Return an interpreter from which commands are forked."""
    warm = WarmInterpreter(tmp_path_factory.mktemp("warm") / "s")
    yield warm
    warm.close()


@pytest.fixture(scope="session")
def serve(interpreter: WarmInterpreter) -> Callable[..., AbstractContextManager[Served]]:
    """Start the sandbox in its own process, with hostile contacts, for the length of a block."""

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
    """Starts the command as a user does, with its own environment."""

    folder: Path
    interpreter: WarmInterpreter
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def line(self, *arguments: str) -> list[str]:
        """Return the command line."""
        return [sys.executable, "-m", "exporter", *arguments]

    def environment(self, served: Served | None = None, **variables: str) -> dict[str, str]:
        """Return an environment with the address of a sandbox and its token."""
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
        """Run the command to its end, in a process that is forked from one that has imported the program."""
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
        """Run the command to its end in a new interpreter, to test its start, its imports or its memory."""
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
        """Run Python code in the folder and the environment of the command."""
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            timeout=100,
            check=False,
            cwd=self.folder,
            env=self.environment(None, **variables),
        )

    def run_unheard(self, *arguments: str) -> int:
        """Run the command with a stderr that is full and that no process reads; return its exit code."""
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

    def run_with_file_limit(
        self, blocks: int, *arguments: str, served: Served | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the command while no file can have more than so many blocks of 512 bytes."""
        return subprocess.run(
            ["/bin/sh", "-c", f'ulimit -f {blocks}; exec "$@"', "sh", *self.line(*arguments)],
            cwd=self.folder,
            env=self.environment(served),
            capture_output=True,
            check=False,
        )

    def start(self, *arguments: str, served: Served | None = None, **variables: str) -> subprocess.Popen[bytes]:
        """Start the command; it ends with the test at the latest."""
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
    """Return the command, which starts in an empty folder."""
    command = Command(tmp_path, interpreter)
    yield command
    for process in command.started:
        process.kill()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        process.wait()
