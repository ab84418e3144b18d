"""30,000 contacts from a sandbox in a process of its own: every byte, in order, however it is written."""

import gzip
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from exporter.sandbox import Workspace

CONTACTS = 30_000


@pytest.fixture(scope="module")
def expected() -> bytes:
    """What the sandbox sends, as lines."""
    records = Workspace(CONTACTS, hostile=True).records(0, CONTACTS)
    return b"".join(record.translate(bytes.maketrans(b"\r\n", b"  ")) + b"\n" for record in records)


@pytest.mark.parametrize("consumers", [1, 2, 4])
@pytest.mark.parametrize("answers", ["--gzip", "--no-gzip"])
def test_every_output_is_what_the_api_sent(
    serve: Callable[..., AbstractContextManager[Any]], command: Any, expected: bytes, consumers: int, answers: str
) -> None:
    """NDJSON, gzip and stdout, plain and compressed, hold the same bytes for any number of consumers."""
    with serve(f"--contacts={CONTACTS}", answers) as served:
        for output in ("a.ndjson", "a.ndjson.gz"):
            done = command.run("contacts", "-q", "-o", output, f"--consumers={consumers}", served=served)
            assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        plain = command.run("contacts", "-q", f"--consumers={consumers}", served=served)
        packed = command.run("contacts", "-q", "--gzip", f"--consumers={consumers}", served=served)
    assert (command.folder / "a.ndjson").read_bytes() == expected
    assert plain.stdout == expected
    compressed = (command.folder / "a.ndjson.gz").read_bytes()
    assert compressed == packed.stdout
    assert gzip.decompress(compressed) == expected
