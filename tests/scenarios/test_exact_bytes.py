"""Contacts from a sandbox in a process of its own: every byte, in order, however it is written."""

import gzip
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from exporter.sandbox import Workspace

MANY, FEW = 30_000, 6_000
"""With every kind of hostile contact twice; and enough pages for consumers to overtake one another."""


def lines_of(contacts: int) -> bytes:
    """Return what the sandbox sends, as lines."""
    records = Workspace(contacts, hostile=True).records(0, contacts)
    return b"".join(record.translate(bytes.maketrans(b"\r\n", b"  ")) + b"\n" for record in records)


@pytest.mark.parametrize(
    ("contacts", "consumers", "encoding"),
    [(MANY, 4, "--gzip"), (FEW, 1, "--gzip"), (FEW, 2, "--gzip"), (FEW, 1, "--no-gzip"), (FEW, 4, "--no-gzip")],
)
def test_export_of_any_output_has_the_bytes_of_the_api(
    serve: Callable[..., AbstractContextManager[Any]], command: Any, contacts: int, consumers: int, encoding: str
) -> None:
    """NDJSON, gzip and stdout, plain and compressed, hold the same bytes for any number of consumers."""
    expected = lines_of(contacts)
    with serve(f"--contacts={contacts}", encoding) as served:
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
