"""Small exports to be disturbed, and what they have to become all the same."""

import csv
import gzip
import hashlib
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import exporter
from exporter.extras import arrow
from exporter.formats.csv import CsvEncoder
from exporter.sandbox import Workspace
from tests.scenarios.disk import Tree, lies_in

PER_PAGE = 10
KINDS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "plain": ("contacts.ndjson", {}),
    "gzip": ("contacts.ndjson.gz", {}),
    "parts": ("parts/", {"file_format": "ndjson", "part_contacts": 20}),
    "rows": ("rows/", {"file_format": "csv", "part_contacts": 20}),
    "table": ("contacts.parquet", {}),
    "tables": ("tables/", {"file_format": "parquet", "part_contacts": 20}),
}


@dataclass(frozen=True)
class Job:
    """An export that commits after each page, and what it makes when nothing disturbs it.

    Attributes:
        output: name of its file, or of its folder with a slash.
        options: further arguments of `exporter.export`.
        whole: what is there when nothing has disturbed it.
        intercom: the workspace.
    """

    output: str
    options: Mapping[str, Any]
    whole: Tree
    intercom: exporter.Intercom

    async def run(self, root: Path) -> exporter.Summary:
        """Run it in a folder."""
        return await export(self.intercom, root, self.output, self.options)

    def done(self, tree: Tree) -> None:
        """Check that the undisturbed output is there and nothing else, with a manifest that is right."""
        assert sorted(tree) == sorted(self.whole)
        assert data_of(tree) == data_of(self.whole)
        check_manifests(tree)

    @property
    def manifest(self) -> str:
        """Name its manifest."""
        return next(name for name in self.whole if name.endswith("manifest.json"))

    @property
    def checkpoint(self) -> str:
        """Name its checkpoint."""
        return self.manifest.removesuffix("manifest.json") + "checkpoint.json"


def data_of(tree: Tree) -> dict[str, tuple[int, str]]:
    """Give length and hash of each data file that has its final name."""
    return {
        name: (len(content), hashlib.sha256(content).hexdigest())
        for name, content in tree.items()
        if content is not None and name.endswith((".ndjson", ".gz", ".csv", ".parquet"))
    }


def lines_of(tree: Tree) -> bytes:
    """Give the contacts of all data files, one after the other, a line each; of CSV their rows."""
    return b"".join(_lines(tree[name] or b"") for name in sorted(data_of(tree)))


def _lines(content: bytes) -> bytes:
    if content.startswith(b"\x1f\x8b"):
        return gzip.decompress(content)
    if content.startswith(b"PAR1"):
        pa, parquet = arrow()
        table = parquet.read_table(pa.BufferReader(content), columns=["raw"])
        return b"".join(f"{one}\n".encode() for one in table.column("raw").to_pylist())
    return content.partition(b"\n")[2] if content.startswith(b'"') else content


def check_manifests(tree: Tree) -> None:
    """Check that a manifest, if there is one, speaks of exactly the data that is there."""
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
    """Export into a folder, committing after each page."""
    return await exporter.export(intercom, f"{root}/{output}", checkpoint_every_s=0, **options)


@asynccontextmanager
async def small_job(kind: str, folder: Path, contacts: int = 60, **options: Any) -> AsyncIterator[Job]:
    """Give a job of one of the `KINDS`, with its workspace in this process; what it makes is checked first."""
    async with (
        exporter.Sandbox(contacts, hostile=True) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url, per_page=PER_PAGE) as intercom,
    ):
        yield await undisturbed(intercom, kind, folder, **options)


async def undisturbed(intercom: exporter.Intercom, kind: str, folder: Path, **options: Any) -> Job:
    """Run an export in a new folder, check its contacts, and give the job that it was."""
    output, usual = KINDS[kind]
    folder.mkdir(parents=True)
    summary = await export(intercom, folder, output, {**usual, **options})
    job = Job(output, {**usual, **options}, lies_in(folder), intercom)
    records = Workspace(summary.total_count_first or 0, hostile=True).records(0, summary.contacts)
    lines = b"".join(b" ".join(record.splitlines()) + b"\n" for record in records)
    assert lines_of(job.whole) == (
        CsvEncoder(summary.columns).encode(records, Counter()) if summary.csv_raw is False else lines
    )
    job.done(job.whole)
    return job
