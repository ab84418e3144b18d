"""Small exports that are disturbed, and the output that each of them must still have at the end."""

import csv
import gzip
import hashlib
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import exporter
from exporter.extras import arrow
from exporter.formats.csv import CsvEncoder
from exporter.formats.selection import EVERY_FIELD, FieldSelection
from exporter.sandbox import Workspace
from tests.scenarios.disk import Tree, lies_in

PER_PAGE = 3
FEW_COLUMNS = FieldSelection(fields=("id", "role", "email"))  # a table of all columns takes ten times as long to write
PARTS = {"part_contacts": 2 * PER_PAGE}
KINDS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "plain": ("contacts.ndjson", {}),
    "gzip": ("contacts.ndjson.gz", {}),
    "parts": ("parts/", {"file_format": "ndjson", **PARTS}),
    "rows": ("rows/", {"file_format": "csv", **PARTS}),
    "table": ("contacts.parquet", {"selection": FEW_COLUMNS}),
    "tables": ("tables/", {"file_format": "parquet", "selection": FEW_COLUMNS, **PARTS}),
}
CORE = ("plain", "parts", "table")
"""One file, files in a folder, and a file that is converted from a journal: the others differ only in their bytes."""


@dataclass(frozen=True)
class Job:
    """An export that commits after each page, and its output when nothing disturbs it.

    Attributes:
        output: name of its file, or of its folder with a slash.
        options: further arguments of `exporter.export`.
        undisturbed: what an undisturbed run leaves.
        intercom: the workspace.
    """

    output: str
    options: Mapping[str, Any]
    undisturbed: Tree
    intercom: exporter.Intercom

    async def run(self, root: Path) -> exporter.Summary:
        """Run it in a folder."""
        return await export(self.intercom, root, self.output, self.options)

    def check_finished(self, tree: Tree) -> None:
        """Check that there is the undisturbed output and nothing else, with a correct manifest."""
        assert sorted(tree) == sorted(self.undisturbed)
        assert data_of(tree) == data_of(self.undisturbed)
        check_manifests(tree)

    @property
    def manifest(self) -> str:
        """The name of its manifest."""
        return next(name for name in self.undisturbed if name.endswith("manifest.json"))

    @property
    def checkpoint(self) -> str:
        """The name of its checkpoint."""
        return self.manifest.removesuffix("manifest.json") + "checkpoint.json"


def data_of(tree: Tree) -> dict[str, tuple[int, str]]:
    """Return the length and hash of each data file that has its final name."""
    return {
        name: (len(content), _sha256(content))
        for name, content in tree.items()
        if content is not None and name.endswith((".ndjson", ".gz", ".csv", ".parquet"))
    }


@lru_cache(256)
def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def lines_of(tree: Tree) -> bytes:
    """Return the contacts of all data files in their order, one a line; of CSV its rows."""
    return b"".join(_lines(tree[name] or b"") for name in sorted(data_of(tree)))


@lru_cache(256)
def _lines(content: bytes) -> bytes:
    if content.startswith(b"\x1f\x8b"):
        return gzip.decompress(content)
    if content.startswith(b"PAR1"):
        pa, parquet = arrow()
        table = parquet.read_table(pa.BufferReader(content), columns=["raw"])
        return b"".join(f"{one}\n".encode() for one in table.column("raw").to_pylist())
    return content.partition(b"\n")[2] if content.startswith(b'"') else content


def check_manifests(tree: Tree) -> None:
    """Check that a manifest, if there is one, lists exactly the data that is there."""
    for name, content in tree.items():
        if not name.endswith("manifest.json"):
            continue
        manifest = json.loads(content or b"")
        folder = name.removesuffix(Path(name).name)
        assert {folder + file["name"]: (file["bytes"], file["sha256"]) for file in manifest["files"]} == data_of(tree)
        contacts = _count(lines_of(tree))
        assert sum(file["contacts"] for file in manifest["files"]) == manifest["contacts"] == contacts
        assert manifest["pages"] == -(-contacts // PER_PAGE)
        assert manifest["complete"] is (contacts == manifest["total_count_last"])


def _count(lines: bytes) -> int:
    if lines.startswith(b'"'):  # rows, whose cells may have line breaks
        return sum(1 for _ in csv.reader(io.StringIO(lines.decode(), newline="")))
    return lines.count(b"\n")


async def export(intercom: exporter.Intercom, root: Path, output: str, options: Mapping[str, Any]) -> exporter.Summary:
    """Export into a folder, committing after each page unless the options say otherwise."""
    return await exporter.export(intercom, f"{root}/{output}", **{"checkpoint_every_s": 0, **options})


@asynccontextmanager
async def small_job(kind: str, folder: Path, pages: int, **options: Any) -> AsyncIterator[Job]:
    """Return a job of one of the `KINDS`, with its workspace in this process; its undisturbed output is checked."""
    async with (
        exporter.Sandbox(pages * PER_PAGE, hostile=True) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url, per_page=PER_PAGE) as intercom,
    ):
        yield await undisturbed(intercom, kind, folder, **options)


async def undisturbed(intercom: exporter.Intercom, kind: str, folder: Path, **options: Any) -> Job:
    """Run an export in a new folder, check its contacts, and return it as a job."""
    output, usual = KINDS[kind]
    options = {**usual, **options}
    folder.mkdir(parents=True)
    summary = await export(intercom, folder, output, options)
    job = Job(output, options, lies_in(folder), intercom)
    assert lines_of(job.undisturbed) == _expected_lines(summary, options.get("selection", EVERY_FIELD))
    job.check_finished(job.undisturbed)
    return job


def _expected_lines(summary: exporter.Summary, selection: FieldSelection) -> bytes:
    records = Workspace(summary.total_count_first or 0, hostile=True).records(0, summary.contacts)
    if summary.csv_raw is False:
        return CsvEncoder(summary.columns).encode(records, Counter())
    return b"".join(b" ".join(selection.apply(record, set()).splitlines()) + b"\n" for record in records)
