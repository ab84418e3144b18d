"""What the command imports before it does its work: a start that takes long is felt every time."""

import contextlib
import json
import socket
import subprocess
import sys
from typing import Any

HEAVY = {
    "aiohttp",
    "msgspec",
    "orjson",
    "stamina",
    "anyio",
    "isal",
    "exporter.exports",
    "exporter.sandbox",
}


def imported_by(code: str) -> set[str]:
    """Give the modules a piece of code has imported."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules, file=sys.stderr)"],
        capture_output=True,
        check=True,
    )
    return set(done.stderr.decode().split())


def test_help_imports_no_http_client() -> None:
    """--help waits for no HTTP client, no JSON library and no event loop."""
    assert imported_by("from exporter.cli.app import main; main(['--help'])") & HEAVY == set()
    assert imported_by("from exporter.cli.app import main; main(['contacts', '--help'])") & HEAVY == set()


def test_export_imports_no_sandbox_and_no_terminal() -> None:
    """An export of contacts imports neither the stand-in nor a web server nor a progress bar."""
    modules = imported_by("import exporter.exports, exporter.cli.progress.observer, exporter.cli.signals")
    assert {"exporter.sandbox", "rich.progress"} & modules == set()


ELSEWHERE = {
    "wsgiref": "--metrics-port",
    "http.server": "--metrics-port",
    "socketserver": "--metrics-port",
    "prometheus_client": "--metrics-port and --metrics-file",
    "sqlite3": "sandbox --from",
    "keyring": "--token-keyring",
    "pyarrow": "Parquet",
    "matplotlib": "report",
    "jinja2": "report",
    "aiohttp.web": "sandbox",
    "exporter.sandbox": "sandbox",
    "exporter.archive.replay": "sandbox --from",
    "exporter.archive.report": "report",
    "exporter.archive.verify": "verify",
    "rich.progress": "a progress bar",
}
"""Modules that a run without these options or commands does not need."""


def test_export_imports_only_what_it_needs(command: Any) -> None:
    """A complete export to a file has imported nothing that belongs to other commands or options."""
    with contextlib.ExitStack() as stack:
        served = stack.enter_context(
            subprocess.Popen(command.line("sandbox", "--contacts=300"), stdout=subprocess.PIPE)
        )
        stack.callback(served.terminate)
        assert served.stdout is not None
        address = json.loads(served.stdout.readline())
        done = command.program(
            "import sys; from exporter.cli.app import main; sys.exit([main(sys.argv[1:]), print(*sys.modules)][0])",
            *("contacts", "-q", "-o", "a.ndjson.gz", f"--base-url={address['base_url']}"),
            INTERCOM_ACCESS_TOKEN=address["token"],
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert sorted(set(done.stdout.decode().split()) & ELSEWHERE.keys()) == []


def test_first_request_of_an_export_is_for_the_first_page(command: Any) -> None:
    """What leaves first is the request for the first page, without a look at anything else."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        run = command.start(
            "contacts",
            f"--base-url=http://127.0.0.1:{server.getsockname()[1]}",
            INTERCOM_ACCESS_TOKEN="dG9rOg==",
        )
        connection, _address = server.accept()
        with connection:
            request = connection.recv(65_536)
        run.kill()
        run.communicate()
    assert request.startswith(b"GET /contacts?per_page=150 HTTP/1.1\r\n")
