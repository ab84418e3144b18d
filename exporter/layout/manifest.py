"""The manifest: a file beside a finished export that describes it, so that it can be verified later."""

import codecs
import dataclasses
from typing import Any

import msgspec
import orjson

from exporter.layout.summary import RangeSummary, Summary
from exporter.validation import MAX_CURSORS

MANIFEST_VERSION = 1
_MAX_NUMBER = 2**53
_MAX_NAME_BYTES = 255
_MAX_SECONDS = 2**31
_OMITTED_WHEN_DEFAULT = (
    *("limited_to_contacts", "shortfall", "part_contacts", "part_bytes"),
    *("fields", "dropped", "pseudonymised", "pseudonym_key", "unknown_fields"),
    *("expanded", "tag_names", "lists_expanded", "lists_missing", "lists_missing_causes"),
    *("columns", "csv_raw", "csv_bom", "csv_phones", "records", "corrections", "irregular_contacts", "duplicates"),
    *("plan", "proof", "ranges"),
)
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(Summary)} | {
    "corrections": {},
    "lists_missing_causes": {},
}
NOT_LISTED = "archived, deleted and merged contacts are not listed by the API"


def encode_manifest(summary: Summary) -> bytes:
    """Return the manifest's JSON for a summary."""
    fields: dict[str, Any] = dataclasses.asdict(summary)
    for name in _OMITTED_WHEN_DEFAULT:
        if fields[name] == _DEFAULTS[name]:
            del fields[name]
    fields["retries"] = dict(sorted(summary.retries.items()))
    fields["timeline"] = orjson.Fragment(orjson.dumps(fields["timeline"]))  # on one line
    if "ranges" in fields:
        fields["ranges"] = [orjson.Fragment(orjson.dumps(one)) for one in fields["ranges"]]
    return orjson.dumps(
        {"manifest_version": MANIFEST_VERSION, **fields, "not_listed": NOT_LISTED},
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )


def decode_manifest(content: bytes) -> Summary | None:
    """Return the summary in a manifest, None if the content is damaged or not a manifest of this version."""
    content = content.removeprefix(codecs.BOM_UTF8)  # a text editor may have added one
    try:
        version = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).get("manifest_version")
        if version is None or bytes(version) != b"%d" % MANIFEST_VERSION:
            return None
        summary = msgspec.json.decode(content, type=Summary)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return summary if _is_valid(summary) else None


def _is_valid(summary: Summary) -> bool:
    """Return whether all numbers are between 0 and 2**53, and all file names short enough for a file."""
    records: list[Any] = [summary.source, summary, *summary.files, *summary.ranges]
    records += [one for one in (summary.plan, summary.proof) if one is not None]
    numbers = [
        value
        for record in records
        for name in record.__slots__
        if isinstance(value := getattr(record, name), int | float)
    ]
    numbers += (*summary.retries.values(), *summary.lists_missing_causes.values(), *summary.corrections.values())
    numbers += (count for kinds in summary.schema_drift.values() for count in kinds.values())
    names = [file.name for file in summary.files]
    return (
        summary.timeline.is_valid
        and all(map(_is_valid_range, summary.ranges))
        and all(0 <= number < _MAX_NUMBER for number in numbers)
        and all(len(name.encode(errors="surrogatepass")) <= _MAX_NAME_BYTES for name in names)
    )


def _is_valid_range(one: RangeSummary) -> bool:
    """Return whether a range can be shown: the manifest may come from another program."""
    return 1 <= one.lane <= MAX_CURSORS and one.began_s <= one.ended_s < _MAX_SECONDS
