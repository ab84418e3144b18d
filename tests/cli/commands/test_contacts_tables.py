"""Tables on the command line: written, verified, damaged, and without what they need."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from exporter.extras import arrow

OUTPUTS: dict[str, tuple[str, ...]] = {
    "a.csv": (),
    "a.csv.gz": (),
    "a.parquet": (),
    "rows/": ("--format=csv.gz", "--part-contacts=450"),
    "columns/": ("--format=parquet", "--part-contacts=450"),
}


@pytest.mark.slow
@pytest.mark.parametrize("output", OUTPUTS)
def test_table_is_written_verified_and_recognised(command: Any, output: str) -> None:
    """The manifest names its columns; the same command again reports that it is complete."""
    line = ("demo", "--contacts=1000", "--output", output, *OUTPUTS[output])
    assert command.run(*line).returncode == 0
    checked = command.run("verify", output)
    assert (checked.returncode, b"1,000 contacts" in checked.stderr) == (0, True), checked.stderr
    assert b"already complete" in command.run(*line).stderr


def test_stdout_may_be_csv(command: Any) -> None:
    """With selected columns, compressed or not; Parquet needs a file."""
    fields = "--fields=id,custom_attributes.seats,location.city"
    plain = command.run("demo", "--contacts=300", "-q", "--format=csv", fields)
    rows = list(csv.reader(io.StringIO(plain.stdout.decode(), newline="")))
    assert rows[0] == ["id", "custom_attributes.seats", "location.city"]
    assert len(rows) == 301
    for options in (("--format=csv.gz",), ("--format=csv", "--gzip")):
        assert command.run("demo", "--contacts=300", "-q", fields, *options).stdout.startswith(b"\x1f\x8b")
    assert command.run("demo", "--format=parquet").returncode == 2


def test_schema_drift_of_a_table_is_one_warning(command: Any) -> None:
    """It says that some values are not in the table."""
    done = command.run("demo", "--contacts=3000", "--hostile", "-o", "a.csv")
    printed = [line for line in done.stderr.decode().splitlines() if "schema drift" in line]
    assert len(printed) == 1
    assert "no_column" in printed[0]
    assert "not in the table" in printed[0]
    assert b"schema drift" not in command.run("demo", "--contacts=3000", "--hostile", "-o", "a.ndjson").stderr


def without_a_row(content: bytes) -> bytes:
    """Drop the last row."""
    return content[: content.rindex(b'\n"contact"') + 1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (without_a_row, "299 rows"),
        (lambda content: content.replace(b'"id"', b'"di"', 1), "header"),
        (lambda content: content.replace(b'\n"contact",', b"\n", 1), "cells"),
        (lambda content: content + content[content.rindex(b'\n"contact"') + 1 :], "1 duplicate id"),
        (lambda content: content[:-1] + b'"', "quotes"),
        (lambda content: content.replace(b'"contact"', b'"\xff"', 1), "UTF-8"),
    ],
)
def test_verify_reports_damaged_rows(command: Any, change: Callable[[bytes], bytes], finding: str) -> None:
    """Each by its kind, besides the hash."""
    assert command.run("demo", "--contacts=300", "-q", "-o", "a.csv").returncode == 0
    path = command.folder / "a.csv"
    path.write_bytes(change(path.read_bytes()))
    done = command.run("verify", "a.csv")
    assert done.returncode == 7
    assert "SHA-256" in done.stderr.decode()
    assert finding in done.stderr.decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    "bomb", [b'"', b"," * 3_000_000 + b"\n", b'""' * 1_000_000 + b"x\n", b'"' + b"a\n" * 1_000_000]
)
def test_verify_of_damaged_rows_takes_bounded_time(command: Any, bomb: bytes) -> None:
    """Quotes that do not end, cells without end."""
    assert command.run("demo", "--contacts=3000", "-q", "-o", "a.csv").returncode == 0
    path = command.folder / "a.csv"
    head, _, rest = path.read_bytes().partition(b"\n")
    path.write_bytes(head + b"\n" + bomb + rest)
    done = command.run("verify", "a.csv")
    assert (done.returncode, b"Traceback" in done.stderr, b"bug" in done.stderr) == (7, False, False)


def test_column_names_that_look_like_formulas_are_verified(command: Any) -> None:
    """They have an apostrophe in the header, and none in the manifest."""
    assert command.run("demo", "--contacts=300", "-q", "-o", "a.csv", "--fields", "id,=x").returncode == 0
    assert (command.folder / "a.csv").read_bytes().startswith(b'"id","\'=x"\n')
    assert command.run("verify", "a.csv").returncode == 0


@pytest.mark.parametrize("cut", [5, 4_000, -1, -9])
def test_verify_reports_truncated_parquet(command: Any, cut: int) -> None:
    """Truncated anywhere."""
    assert command.run("demo", "--contacts=300", "-q", "-o", "a.parquet").returncode == 0
    path = command.folder / "a.parquet"
    path.write_bytes(path.read_bytes()[:cut])
    done = command.run("verify", "a.parquet")
    assert done.returncode == 7
    assert "damaged" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_verify_reports_parquet_with_other_columns(command: Any) -> None:
    """Written by another program."""
    assert command.run("demo", "--contacts=300", "-q", "-o", "a.parquet").returncode == 0
    pa, parquet = arrow()
    parquet.write_table(pa.table({"id": [1, 2]}), command.folder / "a.parquet")
    done = command.run("verify", "a.parquet")
    assert (done.returncode, b"is not a Parquet file of contacts" in done.stderr) == (7, True)
    parquet.write_table(pa.table({"raw": [1, None]}), command.folder / "a.parquet")
    done = command.run("verify", "a.parquet")
    assert (done.returncode, b"is not a Parquet file of contacts" in done.stderr) == (7, True)


def test_verify_refuses_decompression_bombs_and_unexpected_columns(command: Any) -> None:
    """A small file that would fill the memory, contacts that are dates, two contacts in one row."""
    assert command.run("demo", "--contacts=300", "-q", "-o", "a.parquet").returncode == 0
    pa, parquet = arrow()
    unexpected = {
        "dictionary": pa.table({"raw": pa.array(["{}"] * 1_000).dictionary_encode()}),
        "dates": pa.table({"raw": pa.array([2**62], pa.timestamp("us"))}),
        "two in one": pa.table({"raw": ['{"id":"1"}\n{"id":"2"}']}),
    }
    for name, table in unexpected.items():
        parquet.write_table(table, command.folder / "a.parquet", use_dictionary=name == "dictionary")
        done = command.run("verify", "a.parquet")
        assert (done.returncode, b"is not a Parquet file of contacts" in done.stderr) == (7, True), name
