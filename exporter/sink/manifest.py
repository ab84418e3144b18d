"""The manifest: what a finished export is, beside it, so that it can be trusted and checked later."""

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import orjson

from exporter.model import Summary
from exporter.sink.durable import prepare_file, writing

MANIFEST_VERSION = 1
NOT_LISTED = "archived, deleted and merged contacts are not listed by the API"


def manifest_path(path: Path) -> Path:
    """Name the manifest of an output file."""
    return path.with_name(f"{path.name}.manifest.json")


def encode_manifest(summary: Summary) -> bytes:
    """Write a summary as a manifest's JSON."""
    figures: dict[str, Any] = dataclasses.asdict(summary)
    if summary.limited_to_contacts is None:
        del figures["limited_to_contacts"]
    figures["retries"] = dict(sorted(summary.retries.items()))
    return orjson.dumps(
        {"manifest_version": MANIFEST_VERSION, **figures, "not_listed": NOT_LISTED},
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )


def decode_manifest(content: bytes) -> Summary | None:
    """Read a manifest; None when it is not one of ours."""
    try:
        version = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).get("manifest_version")
        if version is None or bytes(version) != b"%d" % MANIFEST_VERSION:
            return None
        return msgspec.json.decode(content, type=Summary)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def prepare_manifest(path: Path, summary: Summary) -> Path:
    """Write an output's manifest under a pending name, to be renamed to `manifest_path`. Blocks.

    Durability:
        On disk, whole, when this returns.
    """
    manifest = manifest_path(path)
    with writing(manifest):
        return prepare_file(manifest, encode_manifest(summary))
