"""An interpreter that has already imported the program: a command is a fork of it, and starts at once.

A command is an ordinary process with its own folder, environment, descriptors and exit code. Only the start of Python
and the imports are shared: tests of those start a process with ``Command.run_cold``.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

IMPORTED = (
    "exporter.__main__",
    "exporter.cli.app",
    "exporter.cli.export_run",
    "exporter.cli.progress.observer",
    *(f"exporter.cli.commands.{name}" for name in ("contacts", "demo", "check", "verify", "report", "sandbox")),
    "exporter.sandbox",
    "exporter.formats.parquet",
    "pyarrow.parquet",
    "pandas",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "jinja2",
    "anyio._backends._asyncio",
)
"""Modules that take long to import; a command imports any other module by itself."""
AT_START = ("PYTHON", "LD_", "LC_", "LANG", "TZ", "MALLOC", "MPL", "HOME", "XDG_", "TMPDIR", "SSL")
"""Prefixes of the variables that Python and the libraries read while they start."""
_LENGTH_BYTES = 4
_TIMEOUT_S = 100


def read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that take effect while a process starts."""
    return {name: value for name, value in environment.items() if name.startswith(AT_START)}


class WarmProcess:
    """A command that was forked."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.pid = int.from_bytes(_read(connection, _LENGTH_BYTES), "big")

    def wait(self, timeout_s: float) -> int:
        """Return the exit code, negative if a signal ended the process; kill a process that takes too long."""
        self._connection.settimeout(timeout_s)
        with self._connection:
            try:
                return int.from_bytes(_read(self._connection, _LENGTH_BYTES), "big", signed=True)
            except TimeoutError:
                os.kill(self.pid, signal.SIGKILL)
                raise


class WarmInterpreter:
    """The interpreter, which starts with the first command.

    Args:
        address: path of its socket.
        **variables: variables to add to its environment.
    """

    def __init__(self, address: Path, **variables: str) -> None:
        self._address = address
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = os.environ | variables  # that of all tests: a single test may change its own later
        self._starting = threading.Lock()  # several threads of a test may run the first command

    def suits(self, environment: Mapping[str, str]) -> bool:
        """Start the interpreter if necessary; return whether a command with these variables can be a fork."""
        with self._starting:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, __file__, self._address],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=self._environment,
                )
                assert self._process.stdout is not None
                assert self._process.stdout.read(1), "the interpreter does not start"
        return read_at_start(environment) == read_at_start(self._environment)

    def start(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], descriptors: Sequence[int]
    ) -> WarmProcess:
        """Start a command whose stdin, stdout and stderr are these descriptors."""
        request = json.dumps([list(arguments), os.fspath(folder), dict(environment)]).encode()
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(os.fspath(self._address))
        socket.send_fds(connection, [len(request).to_bytes(_LENGTH_BYTES, "big")], list(descriptors))
        connection.sendall(request)
        return WarmProcess(connection)

    def run(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], stdin: bytes
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end, with pipes on its stdin, stdout and stderr."""
        ours, theirs = [], []
        for is_input in (True, False, False):
            reading, writing = os.pipe()
            ours.append(writing if is_input else reading)
            theirs.append(reading if is_input else writing)
        try:
            process = self.start(arguments, folder, environment, theirs)
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        with ThreadPoolExecutor(3) as threads:
            threads.submit(_write, ours[0], stdin)
            output, errors = threads.map(_read_all, ours[1:])
        return subprocess.CompletedProcess([*arguments], process.wait(_TIMEOUT_S), output, errors)

    def command_line(self) -> str:
        """Return the shell command that runs like `python -m exporter`."""
        return f"{sys.executable} -IS {Path(__file__).with_name('warm_command.py')} {self._address}"

    def close(self) -> None:
        """End the interpreter."""
        if self._process is not None:
            self._process.communicate(timeout=30)


def _write(descriptor: int, content: bytes) -> None:
    with os.fdopen(descriptor, "wb", buffering=0) as file, suppress(BrokenPipeError):
        file.write(content)


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        return file.read()


def _read(connection: socket.socket, length: int) -> bytes:
    content = b""
    while len(content) < length:
        piece = connection.recv(length - len(content))
        assert piece, "the interpreter has ended"
        content += piece
    return content


def _serve(address: str) -> None:
    """Fork for each connection until stdin ends."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    with socket.create_server(address, family=socket.AF_UNIX) as listener:
        os.write(1, b"+")
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _address = listener.accept()
            if not os.fork():
                _watch(connection)
            connection.close()
            _reap(os.WNOHANG)
    _reap(0)


def _reap(options: int) -> None:
    """Wait for the processes that have ended, or for all of them."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, options)[0]:
            pass


def _watch(connection: socket.socket) -> NoReturn:
    """Fork once more into the command; report its process id and its exit code."""
    sizes, descriptors, _flags, _from = socket.recv_fds(connection, _LENGTH_BYTES, 3)
    request = json.loads(_read(connection, int.from_bytes(sizes, "big")))
    if not (pid := os.fork()):
        _become(descriptors, *request)
    for descriptor in descriptors:
        os.close(descriptor)
    connection.sendall(pid.to_bytes(_LENGTH_BYTES, "big"))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        connection.sendall(code.to_bytes(_LENGTH_BYTES, "big", signed=True))
    finally:
        os._exit(0)


def _become(descriptors: Sequence[int], arguments: Sequence[str], folder: str, environment: dict[str, str]) -> NoReturn:
    """Become the command."""
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
    os.closerange(3, 1024)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.path[0] = folder
    main = sys.modules["exporter.__main__"]
    sys.argv = [os.fspath(main.__file__ or ""), *arguments]
    main.main()
    os._exit(70)


if __name__ == "__main__":
    _serve(sys.argv[1])
