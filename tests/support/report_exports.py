"""Finished exports of our own making."""

import hashlib
from pathlib import Path

from exporter.layout.manifest import encode_manifest
from exporter.model import FileSummary, SourceSummary, Summary


def write_export(path: Path, lines: list[str], content: bytes | None = None) -> None:
    """Write a file, and a manifest that is right about it.

    Args:
        path: of the file.
        lines: its contacts.
        content: what is written instead of those lines.
    """
    plain = "".join(f"{line}\n" for line in lines).encode()
    content = plain if content is None else content
    path.write_bytes(content)
    file = FileSummary(path.name, len(content), hashlib.sha256(content).hexdigest(), len(lines), len(plain))
    summary = Summary(
        tool="intercom-exporter 0",
        complete=True,
        source=SourceSummary("https://api.intercom.io", "/contacts", "2.14", None, 150),
        started_at="2026-01-01T00:00:00Z",
        finished_at="2026-01-01T00:01:00Z",
        runs=1,
        pages=1,
        contacts=len(lines),
        total_count_first=None,
        total_count_last=None,
        requests=1,
        retries={},
        rate_limit_wait_s=0.0,
        files=(file,),
    )
    path.with_name(f"{path.name}.manifest.json").write_bytes(encode_manifest(summary))
