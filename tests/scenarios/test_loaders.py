"""What people load exports with: every contact of the demo loads, with each program's own detection of types."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import duckdb
import pandas as pd
import polars as pl
import pytest

import exporter
from exporter.extras import arrow
from exporter.sandbox import hostile

CONTACTS = 1_500
HOSTILE = 10_000
DENSE, EVERY = 120, 10
PANDAS_OPTIONS: dict[str, Any] = {} if int(pd.__version__.split(".")[0]) >= 3 else {"convert_dates": False}
"""Before version 3 it made an overflow of columns of dates with nulls."""

Loader = Callable[[Path], int]


def with_jq(path: Path) -> int:
    """Count contacts with jq, which is given the lines of all parts."""
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    lines = b"".join(_content(part) for part in _parts(path))
    return subprocess.run(["jq", "-c", ".id"], input=lines, capture_output=True, check=True).stdout.count(b"\n")


def with_duckdb(path: Path) -> int:
    """Load a file, or all parts of a folder, into DuckDB."""
    name = f"{path}/contacts-*" if path.is_dir() else path
    reader = {".parquet": "read_parquet", ".csv": "read_csv"}.get(_kind(path), "read_ndjson")
    return len(duckdb.connect().execute(f"SELECT * FROM {reader}('{name}')").fetchall())


def with_pyarrow(path: Path) -> int:
    """Load a file into pyarrow, or a folder as a data set."""
    pa, parquet = arrow()
    from pyarrow import csv, dataset, json  # type: ignore[import-untyped]  # noqa: PLC0415

    in_lines = csv.ParseOptions(newlines_in_values=True)
    if path.is_dir():
        forms = {".parquet": dataset.ParquetFileFormat(), ".csv": dataset.CsvFileFormat(parse_options=in_lines)}
        with _more_threads_than(len(_parts(path))):
            return int(dataset.dataset(path, format=forms.get(_kind(path), "json")).to_table().num_rows)
    if path.suffix == ".parquet":
        return int(parquet.read_table(path).num_rows)
    with pa.input_stream(path) as content:
        if ".csv" in path.name:
            return int(csv.read_csv(content, parse_options=in_lines).num_rows)
        return int(json.read_json(content).num_rows)


@contextmanager
def _more_threads_than(parts: int) -> Iterator[None]:
    """Lend pyarrow threads: with as many files of JSON as threads, or more, version 26 waits for ever."""
    pa, _ = arrow()
    threads = pa.cpu_count()
    pa.set_cpu_count(max(threads, parts + 1))
    try:
        yield
    finally:
        pa.set_cpu_count(threads)


def with_pandas(path: Path) -> int:
    """Load a file, or all parts of a folder, into pandas."""
    return sum(map(_with_pandas, _parts(path)))


def _with_pandas(path: Path) -> int:
    if path.suffix == ".parquet":
        return len(pd.read_parquet(path))
    return len(pd.read_csv(path) if ".csv" in path.name else pd.read_json(path, lines=True, **PANDAS_OPTIONS))


def with_polars(path: Path) -> int:
    """Load a file, or all parts of a folder, into polars."""
    name = f"{path}/contacts-*" if path.is_dir() else path
    readers: dict[str, Any] = {".parquet": pl.scan_parquet, ".csv": pl.scan_csv}
    return len(readers.get(_kind(path), pl.scan_ndjson)(name).collect())


def _parts(path: Path) -> list[Path]:
    return sorted(path.glob("contacts-*")) if path.is_dir() else [path]


def _kind(path: Path) -> str:
    """Return what is in a file or in a folder's parts, without its compression."""
    return _parts(path)[0].suffixes[0]


def _content(path: Path) -> bytes:
    pa, _ = arrow()
    with pa.input_stream(path) as content:  # which knows compressions by their suffixes
        return bytes(content.read())


ALL: Mapping[str, Loader] = {
    "jq": with_jq,
    "duckdb": with_duckdb,
    "pandas": with_pandas,
    "polars": with_polars,
    "pyarrow": with_pyarrow,
}
FORMATS = ("ndjson", "ndjson.gz", "ndjson.zst", "csv", "csv.gz", "parquet")
OUTPUTS = [*(f"c.{name}" for name in FORMATS), *(f"{name}-parts/" for name in FORMATS)]


def loaders_of(output: str) -> Mapping[str, Loader]:
    """Return the programs that read such an output by themselves."""
    lacking = set() if "ndjson" in output else {"jq"}  # which reads JSON
    if output.startswith("ndjson.zst-"):
        lacking |= {"pyarrow"}  # whose data sets of JSON know gzip alone
    if "zst" in output:
        lacking |= {"pandas"}  # which has to have another package for it
    return {name: load for name, load in ALL.items() if name not in lacking}


def options_of(output: str, part_contacts: int) -> tuple[str, ...]:
    """Return the options of the command that make such a folder."""
    name, is_folder, _ = output.partition("-parts/")
    return ("--format", name, "--part-contacts", str(part_contacts)) if is_folder else ()


@pytest.mark.parametrize("output", OUTPUTS)
def test_demo_loads_everywhere(command: Any, output: str) -> None:
    """Each format of the demo, as a newcomer makes it, loads completely."""
    done = command.run("demo", "-q", "--contacts", str(CONTACTS), "-o", output, *options_of(output, 500))
    assert (done.returncode, done.stderr) == (0, b"")
    loaders = loaders_of(output)
    counts = {name: load(command.folder / output) for name, load in loaders.items()}
    assert counts == dict.fromkeys(loaders, CONTACTS)


def test_hostile_contacts_load_everywhere_once_normalized(command: Any) -> None:
    """Exactly as sent they are refused; normalized they load like any others."""
    options = ("demo", "-q", "--hostile", "--contacts", str(HOSTILE))
    assert command.run(*options, "-o", "exact.ndjson").returncode == 0
    for refused in (with_duckdb, with_polars, with_pyarrow):
        with pytest.raises(Exception, match=r"(?i)json|unicode|surrogate|utf"):
            refused(command.folder / "exact.ndjson")
    assert command.run(*options, "--records", "normalized", "-o", "c.ndjson").returncode == 0
    assert {name: load(command.folder / "c.ndjson") for name, load in ALL.items()} == dict.fromkeys(ALL, HOSTILE)


@pytest.mark.parametrize("output", OUTPUTS)
async def test_export_of_hostile_contacts_normalized_loads_in_each_format(
    command: Any, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every kind of hostile contact is among them, and each program still finds all contacts.

    From version 2.16 on owners have one type: polars refuses a number on some rows and a string on others.
    """
    monkeypatch.setattr(hostile, "EVERY", EVERY)
    loaders, run = loaders_of(output), partial(command.run, "contacts", "-q", "-o", output, *options_of(output, 50))
    async with exporter.Sandbox(DENSE, hostile=True) as sandbox:
        options = ("--base-url", sandbox.base_url, "--api-version", "2.16", "--records", "normalized")
        done = await anyio.to_thread.run_sync(lambda: run(*options, INTERCOM_ACCESS_TOKEN=sandbox.token))
    assert (done.returncode, done.stderr) == (0, b"")
    path = command.folder / output
    counts = {name: await anyio.to_thread.run_sync(load, path) for name, load in loaders.items()}
    assert counts == dict.fromkeys(loaders, DENSE)
