"""The manifest: what a finished export is, beside it, so that it can be trusted and checked later."""

import codecs
import dataclasses
from typing import Any

import msgspec
import orjson

from exporter.model import FileSummary, SourceSummary, Summary

MANIFEST_VERSION = 1
_MOST = 2**53
_MAX_NAME_BYTES = 255
_OMITTED_WHEN_DEFAULT = (
    *("limited_to_contacts", "shortfall", "part_contacts", "part_bytes"),
    *("fields", "dropped", "pseudonymised", "pseudonym_key", "unknown_fields"),
    *("expanded", "tag_names", "lists_expanded", "lists_missing", "lists_missing_causes"),
    *("columns", "csv_raw", "csv_bom", "csv_phones", "records", "corrections", "irregular_contacts", "duplicates"),
)
_UNSET = {field.name: field.default for field in dataclasses.fields(Summary)} | {
    "corrections": {},
    "lists_missing_causes": {},
}
NOT_LISTED = "archived, deleted and merged contacts are not listed by the API"


def encode_manifest(summary: Summary) -> bytes:
    """Write a summary as a manifest's JSON."""
    figures: dict[str, Any] = dataclasses.asdict(summary)
    for name in _OMITTED_WHEN_DEFAULT:
        if figures[name] == _UNSET[name]:
            del figures[name]
    figures["retries"] = dict(sorted(summary.retries.items()))
    figures["timeline"] = orjson.Fragment(orjson.dumps(figures["timeline"]))  # on one line
    return orjson.dumps(
        {"manifest_version": MANIFEST_VERSION, **figures, "not_listed": NOT_LISTED},
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )


def decode_manifest(content: bytes) -> Summary | None:
    """Read a manifest; None when it is not one of ours."""
    content = content.removeprefix(codecs.BOM_UTF8)  # an editor may have saved it again
    try:
        version = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).get("manifest_version")
        if version is None or bytes(version) != b"%d" % MANIFEST_VERSION:
            return None
        summary = msgspec.json.decode(content, type=Summary)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return summary if _is_valid(summary) else None


def _is_valid(summary: Summary) -> bool:
    """Whether all its numbers are such as can be counted to, and its names such as a file can have."""
    figures: list[SourceSummary | Summary | FileSummary] = [summary.source, summary, *summary.files]
    numbers = [
        value for one in figures for name in one.__slots__ if isinstance(value := getattr(one, name), int | float)
    ]
    numbers += (*summary.retries.values(), *summary.lists_missing_causes.values(), *summary.corrections.values())
    numbers += (count for kinds in summary.schema_drift.values() for count in kinds.values())
    names = [file.name for file in summary.files]
    return (
        summary.timeline.is_valid
        and all(0 <= number < _MOST for number in numbers)
        and all(len(name.encode(errors="surrogatepass")) <= _MAX_NAME_BYTES for name in names)
    )
