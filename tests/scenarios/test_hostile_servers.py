"""Servers that play for time, for memory or for the terminal, met by the command as a user runs it."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.scenarios.raw_faults import (
    FAULTS,
    FIRST,
    LONG,
    PER_PAGE,
    RawApi,
    RawFault,
    answer,
    chunks,
    endless,
    head,
    packed,
    sent,
)

MB = 1024 * 1024
ALWAYS = 1_000
RAW = {fault.name: fault for fault in FAULTS}
KILOBYTES_64 = 65_536


def hanging(name: str, beginning: bytes, piece: bytes) -> RawFault:
    """Give a fault that sends without an end, and leaves it to the client to end it."""
    return RawFault(name, endless(beginning, piece), None, end="stall")


FLOODS = (
    hanging("a flood of 102", b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 2048),
    hanging("a flood of empty lines", b"", b"\r\n" * 32_768),
    hanging("a chunk's size without an end", chunks(), b"0" * KILOBYTES_64),
    hanging("a chunk's extension without an end", chunks(b"5;"), b"a" * KILOBYTES_64),
    hanging("chunks of one byte", chunks(), b"1\r\n \r\n" * 8192),
    hanging("a trailer without an end", chunks(b"0\r\nX: "), b"a" * KILOBYTES_64),
)
SLOW = (*(RAW[name] for name in ("a byte at a time", "silence", "silence behind a head", "silence in a body")), *FLOODS)
LARGE = (
    *(RAW[name] for name in ("gzip bomb", "body for ever", "headers for ever", "header of 1 MB", "10,000 headers")),
    hanging("chunks for ever", chunks(), b"10000\r\n%b\r\n" % (b" " * KILOBYTES_64)),
    hanging("trailers for ever", chunks(b"0\r\n"), b"X: x\r\n" * 8192),
    hanging("a refusal for ever", head(status="403 Forbidden"), b" " * KILOBYTES_64),
)


def crowded(beginning: bytes, item: bytes, end: bytes) -> RawFault:
    """Give a page of 12 MB, sent as 12 kB, of four million of the smallest things there are."""
    return RawFault("", sent(lambda _: packed(beginning, item, *[(b"," + item) * (LONG // 4)] * 16, end)), None)


CURSOR = b'{"data":[{}],"pages":{"next":{"starting_after":"'
CROWDS = {
    "contacts": crowded(b'{"data":[', b"{}", b'],"pages":null}'),
    "lists in the envelope": crowded(b'{"data":[{}],"a":[', b"[]", b'],"pages":null}'),
    "lists beside a lone surrogate": crowded(rb'{"data":[{"a":"\ud800","b":[', b"[]", b']}],"pages":null}'),
    "characters of a cursor": RawFault("", sent(lambda _: packed(CURSOR, *[b"+" * LONG] * 12, b'"}}}')), None),
}
"""Responses of some kilobytes that parsers turn into much more memory."""


@dataclass(frozen=True)
class Run:
    """How a run of the command ended.

    Attributes:
        code: its exit code.
        said: what it said on stderr.
        peak_bytes: the most memory it had.
    """

    code: int
    said: str
    peak_bytes: int

    @property
    def is_one_line(self) -> bool:
        """Whether it said what happened as it should."""
        return bool(re.fullmatch(r"intercom-exporter: [^\n]+\n", self.said)) and "Traceback" not in self.said


# A process starts with the peak of the one that forked it, so a small one has to stand between.
SHIM = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


async def run(command: Any, base_url: str, *arguments: str) -> Run:
    """Export from a server with the command, to its end, which must come within a minute."""
    line = command.line("contacts", f"--base-url={base_url}", f"--per-page={PER_PAGE}", *arguments)
    export = partial(
        subprocess.run,
        [sys.executable, "-c", SHIM, *line],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=command.folder,
        env=command.environment(INTERCOM_ACCESS_TOKEN="dG9rOnRlc3Q="),
    )
    done = await anyio.to_thread.run_sync(export)
    code, peak_kilobytes = map(int, done.stdout.split())
    return Run(code, done.stderr, peak_kilobytes * 1024)


def dearer_by_100_mb(runs: dict[str, Run], normal_bytes: int) -> list[str]:
    """Name the runs that took 100 MB more than a normal one."""
    more = {name: (run.peak_bytes - normal_bytes) // MB for name, run in runs.items()}
    return [f"{name}: {megabytes} MB" for name, megabytes in more.items() if megabytes > 100]


@pytest.fixture
async def normal_bytes(command: Any) -> int:
    """Measure the memory of a run with which nothing is wrong."""
    async with RawApi() as api:
        baseline = await run(command, api.stage(RAW["silence"], FIRST, 0), "-q", "-o", "baseline.ndjson")
    assert (baseline.code, baseline.said) == (0, "")
    return baseline.peak_bytes


@pytest.mark.slow
async def test_command_against_a_slow_server_ends_in_time(command: Any, normal_bytes: int) -> None:
    """Whatever is dripped, poured or withheld: the command ends in time with 4 and one line, and floods cost little."""
    runs: dict[str, Run] = {}
    async with RawApi() as api:

        async def run_against(fault: RawFault) -> None:
            base_url, output = api.stage(fault, FIRST, ALWAYS), f"{fault.name}.ndjson"
            runs[fault.name] = await run(command, base_url, "-q", "-o", output, "--timeout=1", "--max-retry-time=2")

        async with anyio.create_task_group() as tasks:
            for fault in SLOW:
                tasks.start_soon(run_against, fault)
    assert {name: (run.code, run.is_one_line) for name, run in runs.items()} == dict.fromkeys(runs, (4, True))
    assert dearer_by_100_mb(runs, normal_bytes) == []


@pytest.mark.slow
async def test_command_against_endless_bodies_takes_little_memory(command: Any, normal_bytes: int) -> None:
    """Bombs, and bodies and heads without an end, cost 100 MB at most and end as documented, in one line."""
    runs: dict[str, Run] = {}
    at_once = anyio.CapacityLimiter(2)
    async with RawApi() as api:

        async def run_against(fault: RawFault) -> None:
            base_url, output = api.stage(fault, FIRST, ALWAYS), f"{fault.name}.ndjson"
            async with at_once:
                runs[fault.name] = await run(command, base_url, "-q", "-o", output, "--timeout=2", "--max-retry-time=0")

        async with anyio.create_task_group() as tasks:
            for fault in LARGE:
                tasks.start_soon(run_against, fault)
    codes = dict.fromkeys(runs, (4, True)) | {"a refusal for ever": (3, True)}
    assert {name: (run.code, run.is_one_line) for name, run in runs.items()} == codes
    assert dearer_by_100_mb(runs, normal_bytes) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", CROWDS)
async def test_command_with_a_page_of_millions_of_items_takes_little_memory(
    kind: str, command: Any, normal_bytes: int
) -> None:
    """Millions of contacts, lists or characters of a cursor cost 100 MB at most, whether they are taken or refused."""
    async with RawApi() as api:
        met = await run(command, api.stage(CROWDS[kind], FIRST, ALWAYS), "-q", "-o", "a.ndjson", "--max-retry-time=0")
    assert met.code in (0, 4)
    assert dearer_by_100_mb({kind: met}, normal_bytes) == []


INK = "\x1b[31m\x1b]0;title\x07\x9b2J\r\n\x00\x7f\u202e\u2028"
"""What draws on terminals, begins lines, or turns their direction."""
SHOWN = r"\x1b[31m\x1b]0;title\x07\x9b2J\r\n\x00\x7f\u202e\u2028"
HEADER_INK = "\x9b2J\t\xff"


def inked(status: str) -> RawFault:
    """Give a refusal with ink wherever a server can put some."""
    error = {"code": f"code{INK}", "message": f"message{INK}"}
    body = json.dumps({"type": "error.list", "request_id": f"id{INK}", "errors": [error]}).encode()
    return RawFault(f"refused with {status}", sent(lambda _: answer(body, status=f"{status} {HEADER_INK}")), None)


INKED = {
    inked("422"): 4,
    inked("503"): 4,
    inked("401"): 3,
    RawFault("request id", sent(lambda a: answer(a.half(), f"X-Request-Id: id{HEADER_INK}")), None): 4,
    RawFault("version", sent(lambda a: answer(a.page, f"Intercom-Version: 2{HEADER_INK}")), None, end="keep"): 0,
    RawFault("cursor", sent(lambda a: answer(a.with_next({"starting_after": f"no{INK}"}))), None, end="keep"): 6,
    RawFault("document", sent(lambda _: answer(INK.encode())), None): 4,
}


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["-v"], ["-v", "--progress=json"]], ids=" ".join)
async def test_command_escapes_control_characters_of_the_server(arguments: list[str], command: Any) -> None:
    """Control characters in anything a server says are shown as escapes, and never begin a line."""
    runs: dict[RawFault, Run] = {}
    async with RawApi() as api:

        async def run_against(fault: RawFault) -> None:
            base_url = api.stage(fault, FIRST, ALWAYS)
            runs[fault] = await run(command, base_url, "-o", f"{fault.name}.ndjson", "--max-retry-time=1", *arguments)

        async with anyio.create_task_group() as tasks:
            for fault in INKED:
                tasks.start_soon(run_against, fault)
    assert {fault.name: run.code for fault, run in runs.items()} == {fault.name: code for fault, code in INKED.items()}
    for fault, met in runs.items():
        lines = met.said.removesuffix("\n").split("\n")
        assert [c for line in lines for c in line if not c.isprintable()] == [], fault.name
        assert all(line.startswith(("intercom-exporter: ", "{")) for line in lines), fault.name
        assert (SHOWN in met.said) == fault.name.startswith("refused"), fault.name
