"""A finished folder of parts is one table to the programs that read folders."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest

import exporter

CONTACTS, PER_PART = 400, 150
FIELDS = {"ndjson": exporter.FieldSelection(fields=("id", "email"))}  # whose types no reader has to guess
HIDDEN = ["_", "."]


def of_pyarrow(folder: Path, kind: str) -> Any:
    """Read the ids with pyarrow's data sets."""
    dataset: Any = importlib.import_module("pyarrow.dataset")
    form = {"ndjson": "json"}.get(kind, kind)
    return dataset.dataset(folder, format=form).to_table(columns=["id"]).column("id").to_pylist()


def of_pandas(folder: Path, _kind: str) -> Any:
    """Read the ids with pandas."""
    return pd.read_parquet(folder, columns=["id"])["id"].tolist()


def of_polars(folder: Path, kind: str) -> Any:
    """Read the ids with polars; it skips hidden files only where it is asked to, and of Parquet alone."""
    if kind == "parquet":
        table = pl.scan_parquet(folder, hidden_file_prefix=HIDDEN)
    elif kind == "csv":
        table = pl.scan_csv(f"{folder}/*.csv", infer_schema=False)
    else:
        table = pl.scan_ndjson(f"{folder}/*.ndjson", schema={"id": pl.String})
    return table.select("id").collect()["id"].to_list()


def of_duckdb(folder: Path, kind: str) -> Any:
    """Read the ids with DuckDB."""
    with duckdb.connect() as connection:
        source = {"ndjson": "read_ndjson", "csv": "read_csv", "parquet": "read_parquet"}[kind]
        more = {"ndjson": ", columns={id: 'VARCHAR'}", "csv": ", all_varchar=true"}.get(kind, "")
        rows = connection.execute(f"SELECT id FROM {source}('{folder}/contacts-*.{kind}'{more})").fetchall()
    return [row[0] for row in rows]


def of_spark(folder: Path, kind: str) -> Any:
    """Read the ids of the files that Spark and Hive take: those whose names begin with neither _ nor a dot."""
    taken = [path for path in sorted(folder.iterdir()) if not path.name.startswith(("_", "."))]
    assert {path.suffix for path in taken} == {f".{kind}"}
    assert not [path for path in taken if path.is_dir()]
    return [one for path in taken for one in of_pyarrow(path, kind)]


READERS: dict[str, Callable[[Path, str], Any]] = {
    "pyarrow": of_pyarrow,
    "pandas": of_pandas,
    "polars": of_polars,
    "duckdb": of_duckdb,
    "spark": of_spark,
}


async def export_parts(intercom: exporter.Intercom, folder: Path, kind: str) -> None:
    """Export into a folder of small parts."""
    selection = FIELDS.get(kind, exporter.FieldSelection())
    await exporter.export(intercom, f"{folder}/", file_format=kind, part_contacts=PER_PART, selection=selection)


@pytest.mark.parametrize("kind", ["parquet", "csv", "ndjson"])
async def test_finished_folder_read_as_data_set_has_every_contact(tmp_path: Path, kind: str) -> None:
    """Each reader takes the folder as it is, with what a viewer dropped, and finds each contact once."""
    async with (
        exporter.Sandbox(CONTACTS, hostile=False) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom,
    ):
        await export_parts(intercom, tmp_path / "out", kind)
        expected = [sandbox.workspace.id_of(number) for number in range(CONTACTS)]
    (tmp_path / "out" / ".DS_Store").write_bytes(b"\0")
    for name, ids_of in READERS.items():
        if name != "pandas" or kind == "parquet":  # pandas takes folders of Parquet alone
            assert sorted(ids_of(tmp_path / "out", kind)) == sorted(expected), name


@pytest.mark.parametrize("kind", ["parquet", "csv", "ndjson"])
async def test_unfinished_folder_read_as_data_set_has_finished_parts_alone(tmp_path: Path, kind: str) -> None:
    """Parts that are being written, journals and the checkpoint are skipped by the same rule."""
    async with (
        exporter.Sandbox(CONTACTS, hostile=False, faults=["http_401@3"]) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom,
    ):
        with pytest.raises(exporter.CredentialsError):
            await export_parts(intercom, tmp_path / "out", kind)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["_checkpoint.json", f"_contacts-00002.{kind}.part", f"contacts-00001.{kind}"]
    for name in ("pyarrow", "polars", "duckdb", "spark"):
        assert len(READERS[name](tmp_path / "out", kind)) == PER_PART, name
