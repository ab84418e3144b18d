"""Finished exports that tests write directly."""

import hashlib
from dataclasses import replace
from pathlib import Path

from exporter.layout.manifest import encode_manifest
from exporter.layout.summary import FileSummary
from tests.fixtures.summaries import SUMMARY


def write_export(path: Path, lines: list[str], content: bytes | None = None) -> None:
    """Write a file and its correct manifest.

    Args:
        path: path of the file.
        lines: its contacts.
        content: the bytes to write instead of those lines.
    """
    plain = "".join(f"{line}\n" for line in lines).encode()
    content = plain if content is None else content
    path.write_bytes(content)
    file = FileSummary(path.name, len(content), hashlib.sha256(content).hexdigest(), len(lines), len(plain))
    summary = replace(SUMMARY, contacts=len(lines), total_count_first=None, total_count_last=None, files=(file,))
    path.with_name(f"{path.name}.manifest.json").write_bytes(encode_manifest(summary))
