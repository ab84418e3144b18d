"""The token: sent to the API, and found nowhere else, however talkative the host and whatever a server echoes."""

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import anyio
import anyio.to_thread
import pytest
from blockbuster import BlockBuster

import exporter
from exporter.cli.exit_codes import exit_code
from exporter.sandbox.faults import NAMES
from tests.scenarios.raw_faults import (
    CONTACTS,
    FAULTS,
    FIRST,
    LAST,
    MIDDLE,
    Asked,
    RawApi,
    RawFault,
    answer,
    chunks,
    head,
    sent,
)
from tests.support.waiting import wait_for

CANARY = "dG9rOkNBTkFSWV9kb19ub3RfbGVhaw=="
PROCESSES = 3
SANDBOX = (*NAMES, "http_400", "http_401", "http_403", "http_404", "http_408", "http_502")
Serve = Callable[..., AbstractContextManager[Any]]
Spell = Callable[[str], str]

PLAINLY: dict[str, Spell] = {"whole": str, "in a sentence": lambda token: f"the header was 'Bearer {token}'."}
RESPELLED: dict[str, Spell] = {
    "without its padding": lambda token: token.rstrip("="),
    "percent-encoded": lambda token: quote(token, safe=""),
    "in base64": lambda token: base64.b64encode(token.encode()).decode(),
    "decoded from base64": lambda token: base64.b64decode(token).decode(),
    "split by a tab": lambda token: f"{token[:9]}\t{token[9:]}",
}
"""How a server may spell what it was sent."""

# A host application that listens to everything there is to hear, and shows all it gets, local variables too.
HOST = """
import asyncio, json, logging, sys, traceback, warnings
warnings.simplefilter("always")
logging.basicConfig(level=logging.DEBUG)
import exporter, aiohttp, stamina
for name in ("asyncio", "aiohttp", "aiohttp.client", "stamina", *logging.root.manager.loggerDict):
    logging.getLogger(name).setLevel(logging.DEBUG)

def show(*things):
    print(*map(repr, things))

def show_failure(error, with_locals):
    print("".join(traceback.TracebackException.from_exception(error, capture_locals=with_locals).format()))
    while error:
        print(repr(error), str(error), vars(error) if isinstance(error, exporter.ExporterError) else "")
        error = error.__cause__ or error.__context__

async def export(intercom, path, _timeout_s, with_locals):
    async with intercom:
        for attempt in range(2):
            pages = intercom.pages(observer=show)
            try:
                show(intercom, intercom.contacts(), await anext(pages), pages, pages.traffic)
                show(await exporter.export(intercom, path, observer=show))
                async with exporter.stream(intercom) as chunks:
                    show(chunks, chunks.ending)
            except exporter.ExporterError as error:
                show_failure(error, with_locals)

def client(token, base_url, timeout_s):
    retry_policy = exporter.RetryPolicy(request_timeout_s=timeout_s, initial_backoff_s=0.001, max_attempts=2)
    show(retry_policy, exporter.Sandbox(1, token=token))
    return exporter.Intercom(token, base_url=base_url, per_page=8, retry_policy=retry_policy)

async def main():
    token, *jobs = json.load(sys.stdin)
    await asyncio.gather(*(export(client(token, url, job[1]), *job) for url, *job in jobs))

asyncio.run(main())
"""

# The command, several times in one process: most of its time is its start.
COMMANDS = """
import json, os, sys
os.environ["INTERCOM_ACCESS_TOKEN"], *jobs = json.load(sys.stdin)
from exporter.cli.app import main
for base_url, path, timeout_s, _ in jobs:
    main(["contacts", "-v", "--progress=json", "--per-page=8", "--max-retry-time=0.4",
          "--base-url", base_url, "-o", path, "--timeout", str(timeout_s)])
"""


@dataclass(frozen=True)
class Job:
    """One export of a program.

    Attributes:
        base_url: of the server.
        output: name of the file.
        timeout_s: what the client waits for an answer.
        with_locals: whether local variables are shown with a failure.
    """

    base_url: str
    output: str
    timeout_s: float = 30
    with_locals: bool = False


async def heard(program: str, jobs: list[Job], folder: Path) -> str:
    """Run a program over some servers, in a few processes; give all it said, and all it wrote into files."""
    texts: list[str] = []

    async def run(share: list[Job]) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "always", "-c", program),
            cwd=folder,
            env=os.environ | {"PYTHONASYNCIODEBUG": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said, _ = await process.communicate(json.dumps([CANARY, *map(astuple, share)]).encode())
        assert process.returncode == 0, said.decode()
        texts.append(said.decode())

    async with anyio.create_task_group() as tasks:
        for number in range(PROCESSES):
            tasks.start_soon(run, jobs[number::PROCESSES])
    texts += [path.read_text(errors="surrogateescape") for path in folder.iterdir()]
    return "\n".join(texts)


def leaks(text: str) -> list[str]:
    """Find the token in a text: whole, cut of its padding, encoded, decoded, or with something in between."""
    plain = re.sub(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|[tnr\\])", "", unquote(text))
    found: list[str] = []
    for secret in (CANARY, base64.b64encode(CANARY.encode()).decode(), base64.b64decode(CANARY).decode()):
        letters = re.findall("[A-Za-z0-9]", secret.rstrip("="))[:-2]  # the last ones change with what follows
        found += re.findall("[^A-Za-z0-9]{0,3}".join(letters), plain)
    return found


@pytest.mark.parametrize("form", [*PLAINLY, *RESPELLED])
def test_leak_detector_finds_each_spelling(form: str) -> None:
    """The detector knows each spelling, bare and in a repr, and nothing else."""
    text = f"said: {(PLAINLY | RESPELLED)[form](CANARY)}."
    assert leaks(text)
    assert leaks(repr(text))
    assert leaks("dG9rOm9uZSB0aGF0IGlzIGFsbCByaWdodA==") == []


def staged(api: RawApi, faults: Iterable[RawFault], *, with_locals: bool = False) -> list[Job]:
    """Let each fault strike three times: a first run ends with it, a second one outlasts it."""
    return [
        Job(
            api.stage(fault, FIRST if fault.name == "version" else MIDDLE, 3),
            f"{number}.ndjson",
            fault.timeout_s,
            with_locals and not fault.heavy,
        )
        for number, fault in enumerate(faults)
    ]


programs = pytest.mark.parametrize("program", [HOST, COMMANDS], ids=["host", "command"])


@pytest.mark.slow
@programs
async def test_token_is_secret_in_all_faults(program: str, tmp_path: Path) -> None:
    """Over the whole matrix, with everything logged and every local variable shown, the token is never seen."""
    async with RawApi() as api, AsyncExitStack() as sandboxes:
        jobs = staged(api, FAULTS, with_locals=True)
        for name in SANDBOX:
            sandbox = exporter.Sandbox(CONTACTS, token=CANARY, faults=[f"{name}@{MIDDLE}x3"])
            await sandboxes.enter_async_context(sandbox)
            jobs.append(Job(sandbox.base_url, f"{name}.ndjson", 0.4 if name == "slow" else 30, with_locals=True))
        text = await heard(program, jobs, tmp_path)
    assert leaks(text) == []
    assert text.count("RetriesExhausted") > 30  # it was talkative indeed


def echoing(spell: Callable[[str], str]) -> Iterator[RawFault]:
    """List servers that answer with the token they were sent, spelled somehow, wherever there is room for it."""

    def echo(name: str, content: Callable[[Asked, str], bytes]) -> RawFault:
        return RawFault(name, sent(lambda asked: content(asked, spell(asked.token))), None)

    def refusal(status: int) -> Callable[[Asked, str], bytes]:
        return lambda _, text: answer(envelope(text), *headers(text), status=f"{status} {text}")

    yield from (echo(f"refusal {status}", refusal(status)) for status in (400, 401, 403, 404, 422, 429, 503))
    yield echo("redirect", lambda _, text: answer(b"", f"Location: http://host.invalid/{text}", status="302 Moved"))
    yield echo("headers", lambda a, text: answer(a.half(), *headers(text)))
    yield echo("version", lambda a, text: answer(a.page, f"Intercom-Version: {text}"))
    yield echo("encoding", lambda a, text: answer(a.page, f"Content-Encoding: {text}"))
    yield echo("HTML", lambda _, text: answer(f"<html>{text}</html>".encode()))
    yield echo("keys", lambda _, text: answer(json.dumps({text: [], "data": text}).encode()))
    yield echo("key twice", lambda _, text: answer(b'{"data":[{}],"%b":1,"%b":2}' % ((text.encode(),) * 2)))
    yield echo("next", lambda a, text: answer(a.with_next(f"http://host.invalid/{text}?page={text}")))
    yield echo("pages", lambda a, text: answer(a.with_pages(json.dumps(text).encode())))
    yield echo("status", lambda _, text: f"HTTP/1.1 {text}\r\n\r\n".encode())
    yield echo("header", lambda a, text: answer(a.page, text, f"{text} : {text}"))
    yield echo("length", lambda a, text: head(f"Content-Length: {text}") + a.page)
    yield echo("chunk size", lambda a, text: chunks(text.encode(), b"\r\n", a.page))
    yield echo("no HTTP", lambda _, text: text.encode())


def headers(text: str) -> list[str]:
    """Put a text into every header that somebody might read."""
    names = ("X-Request-Id", "Intercom-Version", "WWW-Authenticate", "Set-Cookie", "Retry-After", "Date", "Server")
    return [f"{name}: {text}" for name in (*names, "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")]


def envelope(text: str) -> bytes:
    """Put a text into every place of an error envelope."""
    error = {"code": text, "message": f"the token {text} is not good", "field": text}
    return json.dumps({"type": text, "request_id": text, "errors": [error, error]}).encode()


@pytest.mark.slow
@programs
@pytest.mark.parametrize(
    "forms",
    [PLAINLY, RESPELLED],
    ids=["plainly", "respelled"],
)
async def test_token_echoed_by_the_server_stays_secret(forms: dict[str, Spell], program: str, tmp_path: Path) -> None:
    """A server that repeats the token in errors, headers or nonsense does not get it into messages, logs or files."""
    async with RawApi() as api:
        faults = [
            fault
            for number, spell in enumerate(forms.values())
            for place, fault in enumerate(echoing(spell))
            if forms is PLAINLY or (number + place) % 2  # each place has two or three of the five spellings
        ]
        text = await heard(program, staged(api, faults), tmp_path)
    assert leaks(text) == []


async def run(command: Any, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command with the canary for a token."""
    done: subprocess.CompletedProcess[bytes] = await anyio.to_thread.run_sync(
        lambda: command.run("contacts", "-v", "--per-page=8", *arguments, INTERCOM_ACCESS_TOKEN=CANARY)
    )
    return done


async def test_token_in_a_contact_is_exported_but_not_reported(command: Any) -> None:
    """What a server puts into a contact is exported as it is, and told nowhere else."""
    within = RawFault("", sent(lambda a: answer(a.with_data(b'[{"id":"%b"}]' % a.token.encode()))), None)
    async with RawApi() as api:
        done = await run(command, f"--base-url={api.stage(within, LAST, 1)}", "-o", "a.ndjson", "--progress=json")
    assert done.returncode == 0
    assert (command.folder / "a.ndjson").read_text().endswith(f'{{"id":"{CANARY}"}}\n')
    assert leaks(done.stderr.decode() + (command.folder / "a.ndjson.manifest.json").read_text()) == []


@pytest.mark.parametrize("progress", ["none", "json"])
async def test_token_in_a_cursor_is_only_in_the_checkpoint(progress: str, command: Any) -> None:
    """A cursor has to be kept as it is, whatever is in it: in the private checkpoint, and nowhere else."""
    within = RawFault("", sent(lambda a: answer(a.with_next({"starting_after": a.token}))), None)
    async with RawApi() as api:
        base_url = api.stage(within, MIDDLE, 1)
        done = await run(command, f"--base-url={base_url}", "-o", "a.ndjson", f"--progress={progress}")
    assert done.returncode == 6
    checkpoint = command.folder / "a.ndjson.checkpoint.json"
    assert CANARY in checkpoint.read_text()
    assert checkpoint.stat().st_mode & 0o777 == 0o600
    assert leaks(done.stderr.decode() + (command.folder / "a.ndjson.part").read_text()) == []


def test_token_from_a_file_is_not_in_the_process_list(serve: Serve, command: Any) -> None:
    """Neither the arguments nor the environment of a run with --token-file hold the token."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("needs /proc")
    with serve("--contacts=9", f"--token={CANARY}", "--latency-ms=60000") as served:
        token_file = command.folder / "token"
        token_file.write_text(CANARY)
        token_file.chmod(0o600)
        run = command.start(
            *("contacts", "-o", "a.ndjson", "--token-file=token", f"--base-url={served.base_url}"),
            INTERCOM_ACCESS_TOKEN="",
        )
        wait_for((command.folder / "a.ndjson.checkpoint.json").exists)
        shown = [Path(f"/proc/{run.pid}/{name}").read_text() for name in ("cmdline", "environ", "comm")]
        run.kill()
    assert "--token-file=token" in shown[0]
    assert leaks("".join(shown)) == []


def test_token_is_not_sent_over_plain_http_to_another_host(command: Any) -> None:
    """Plain http to another machine is refused before anything is sent, and the token is not quoted."""
    done = command.run("contacts", "-v", "--base-url=http://192.0.2.1", INTERCOM_ACCESS_TOKEN=CANARY)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert b"https" in done.stderr
    assert leaks(done.stderr.decode()) == []


PLACES = ("", ".part", ".checkpoint.json", ".manifest.json", ".checkpoint.json.tmp", ".manifest.json.tmp")


@pytest.mark.parametrize("dangling", [False, True], ids=["there", "dangling"])
@pytest.mark.parametrize("name", PLACES)
async def test_export_through_a_symbolic_link_is_refused(
    name: str, dangling: bool, tmp_path: Path, sandbox: exporter.Sandbox, intercom: exporter.Intercom
) -> None:
    """A symbolic link under any name of an export is refused with 2, before any request, whatever may be replaced."""
    victim = tmp_path / "victim"
    if not dangling:
        victim.write_bytes(b"precious")
    (tmp_path / f"a.ndjson{name}").symlink_to(victim)
    for permission in ({}, {"overwrite": True}, {"restart": True}):
        with pytest.raises(exporter.ConfigError, match="symbolic link") as caught:
            await exporter.export(intercom, tmp_path / "a.ndjson", **permission)  # type: ignore[arg-type]
        assert exit_code(caught.value) == 2
    assert sandbox.requests == 0
    assert victim.exists() != dangling
    assert dangling or victim.read_bytes() == b"precious"


@pytest.mark.parametrize("name", PLACES)
async def test_export_through_a_symbolic_link_made_during_the_run_is_refused(
    name: str, tmp_path: Path, intercom: exporter.Intercom, blockbuster: BlockBuster
) -> None:
    """A link that appears during an export is replaced or ends it with 5; what it points to is not touched."""
    blockbuster.deactivate()  # the observer below is called by the package
    victim, link = tmp_path / "victim", tmp_path / f"a.ndjson{name}"
    victim.write_bytes(b"precious")

    def plant(event: exporter.Event) -> None:
        if isinstance(event, exporter.PageWritten) and event.position.pages == 2:
            link.unlink(missing_ok=True)
            link.symlink_to(victim)

    replaced = name in (".checkpoint.json", ".manifest.json")
    with nullcontext() if replaced else pytest.raises(exporter.SinkError) as caught:
        await exporter.export(intercom, tmp_path / "a.ndjson", observer=plant, checkpoint_every_s=0)
    assert not (replaced and link.is_symlink())
    assert caught is None or exit_code(caught.value) == 5
    assert victim.read_bytes() == b"precious"


async def test_unfinished_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    """Part and checkpoint of an export that broke off are for their owner alone."""
    before = os.umask(0)
    try:
        async with exporter.Sandbox(CONTACTS, faults=["http_401@3"]) as sandbox:
            async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url, per_page=8) as intercom:
                with pytest.raises(exporter.CredentialsError):
                    await exporter.export(intercom, tmp_path / "a.ndjson.gz")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"a.ndjson.gz.part": 0o600, "a.ndjson.gz.checkpoint.json": 0o600}
