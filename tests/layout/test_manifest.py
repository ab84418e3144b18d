"""The manifest: a written one is read unchanged, and a foreign one is not accepted."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import FileSummary, SourceSummary, Summary
from exporter.layout.atomic import replace_durably, write_temporary
from exporter.layout.manifest import decode_manifest, encode_manifest
from exporter.layout.paths import manifest_path
from tests.fixtures import summaries

SUMMARY = replace(
    summaries.SUMMARY,
    tool="intercom-exporter 0.1.0",
    source=SourceSummary("https://api.intercom.io", "/contacts", "2.14", "2.14", 150),
    started_at="2026-11-22T10:00:00Z",
    finished_at="2026-11-22T10:33:00Z",
    pages=2_000,
    contacts=300_000,
    total_count_first=300_000,
    total_count_last=300_001,
    requests=2_003,
    retries={"http_503": 3},
    rate_limit_wait_s=0.5,
    files=(FileSummary("contacts.ndjson.gz", 104_900_000, "ab" * 32, 300_000, 761_500_000),),
)


def save_manifest(path: Path, summary: Summary) -> None:
    """Write a manifest beside an output, as the end of an export does."""
    replace_durably(write_temporary(manifest_path(path), encode_manifest(summary)), manifest_path(path))


counts = st.integers(0, 2**53 - 1)
texts = st.text(st.characters(codec="utf-8"))
names = st.text(st.characters(codec="utf-8"), max_size=63)
paths = st.lists(texts, max_size=3).map(tuple)
any_summary = st.builds(
    Summary,
    tool=texts,
    complete=st.booleans(),
    limited_to_contacts=st.none() | counts,
    source=st.builds(SourceSummary, texts, texts, texts, st.none() | texts, st.integers(1, 150)),
    started_at=texts,
    finished_at=texts,
    runs=counts,
    interruptions=counts,
    pages=counts,
    contacts=counts,
    total_count_first=st.none() | counts,
    total_count_last=st.none() | counts,
    requests=counts,
    retries=st.dictionaries(texts, counts),
    rate_limit_wait_s=st.floats(0, 1e9),
    part_contacts=st.none() | counts,
    part_bytes=st.none() | counts,
    fields=paths,
    dropped=paths,
    pseudonymised=paths,
    pseudonym_key=st.none() | texts,
    unknown_fields=paths,
    expanded=paths,
    tag_names=st.booleans(),
    lists_expanded=counts,
    lists_missing=counts,
    columns=paths,
    csv_raw=st.none() | st.booleans(),
    csv_bom=st.booleans(),
    csv_phones=st.booleans(),
    records=st.sampled_from(["exact", "normalized"]),
    corrections=st.dictionaries(st.sampled_from(["duplicate_key", "lone_surrogate"]), st.integers(0, 2**50)),
    irregular_contacts=st.integers(0, 2**50),
    schema_checked=counts,
    schema_drift=st.dictionaries(texts, st.dictionaries(texts, counts)),
    files=st.lists(st.builds(FileSummary, names, counts, texts, counts, counts), max_size=3).map(tuple),
)


@given(any_summary)
def test_decode_manifest_returns_the_encoded_summary(summary: Summary) -> None:
    """Nothing is lost, and the manifest is plain JSON."""
    content = encode_manifest(summary)
    assert decode_manifest(content) == summary
    assert json.loads(content)["manifest_version"] == 1


def test_encode_manifest_writes_the_documented_keys() -> None:
    """The keys are a contract, because other programs read them."""
    manifest = json.loads(encode_manifest(SUMMARY))
    assert manifest.pop("not_listed")
    assert manifest == {
        "manifest_version": 1,
        "tool": "intercom-exporter 0.1.0",
        "complete": True,
        "source": {
            "base_url": "https://api.intercom.io",
            "endpoint": "/contacts",
            "api_version": "2.14",
            "api_version_echoed": "2.14",
            "per_page": 150,
        },
        "started_at": "2026-11-22T10:00:00Z",
        "finished_at": "2026-11-22T10:33:00Z",
        "runs": 1,
        "interruptions": 0,
        "pages": 2_000,
        "contacts": 300_000,
        "total_count_first": 300_000,
        "total_count_last": 300_001,
        "requests": 2_003,
        "retries": {"http_503": 3},
        "rate_limit_wait_s": 0.5,
        "schema_checked": 0,
        "schema_drift": {},
        "timeline": {"slice_s": 1.0, "contacts": [], "retries": [], "waited_s": [], "ran_s": 0.0},
        "files": [
            {
                "name": "contacts.ndjson.gz",
                "bytes": 104_900_000,
                "sha256": "ab" * 32,
                "contacts": 300_000,
                "uncompressed_bytes": 761_500_000,
            }
        ],
    }


def test_encode_manifest_of_limited_export_names_its_limits() -> None:
    """Retries are sorted, so that equal exports have equal manifests."""
    limited = replace(SUMMARY, complete=False, limited_to_contacts=5, retries={"timeout": 1, "http_429": 2})
    manifest = json.loads(encode_manifest(limited))
    assert (manifest["complete"], manifest["limited_to_contacts"]) == (False, 5)
    assert list(manifest["retries"]) == ["http_429", "timeout"]
    parted = json.loads(encode_manifest(replace(SUMMARY, part_contacts=7, part_bytes=9)))
    assert (parted["part_contacts"], parted["part_bytes"]) == (7, 9)


def test_decode_manifest_of_earlier_version_uses_defaults() -> None:
    """A field that the earlier version did not write has its default."""
    assert decode_manifest(manifest_with(interruptions=None)) == SUMMARY


def test_decode_manifest_with_unknown_fields_ignores_them() -> None:
    """A later version may add fields."""
    manifest: dict[str, Any] = json.loads(encode_manifest(SUMMARY))
    manifest["new"] = {"a": [1, None]}
    manifest["source"]["new"] = 1
    assert decode_manifest(json.dumps(manifest).encode()) == SUMMARY


def manifest_with(**fields: Any) -> bytes:
    """Return a manifest with changed fields; None removes a field."""
    manifest = json.loads(encode_manifest(SUMMARY)) | fields
    return json.dumps({name: value for name, value in manifest.items() if value is not None}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b"<xml/>",
        encode_manifest(SUMMARY)[:-3],
        encode_manifest(SUMMARY) * 2,
        manifest_with(manifest_version=2),
        manifest_with(manifest_version="1"),
        manifest_with(manifest_version=True),
        manifest_with(manifest_version=1.0),
        manifest_with(manifest_version=None),
        manifest_with(files=None),
        manifest_with(files={}),
        manifest_with(source="x"),
        manifest_with(contacts="300000"),
        manifest_with(pages=1.5),
        manifest_with(retries=[]),
        b'{"manifest_version":1}',
    ],
    ids=lambda content: repr(content[:20]),
)
def test_decode_manifest_with_foreign_content_returns_none(content: bytes) -> None:
    """Foreign JSON, another version, other types or a truncated file raise no error."""
    assert decode_manifest(content) is None


@pytest.mark.parametrize(
    "content",
    [
        b'"\xff"',
        b'{"\xff":1}',
        manifest_with(tool="TOOL").replace(b"TOOL", b"\xff"),
        b'{"manifest_version":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"x":' * 100_000,
    ],
    ids=lambda content: repr(content[:30]),
)
def test_decode_manifest_with_bad_encoding_or_depth_returns_none(content: bytes) -> None:
    """Neither another encoding nor deep nesting raises an error."""
    assert decode_manifest(content) is None


def test_saved_manifest_is_private_and_beside_the_file(tmp_path: Path) -> None:
    """Its name extends that of the file, and it replaces an older manifest."""
    path = tmp_path / "contacts.ndjson"
    save_manifest(path, replace(SUMMARY, runs=1))
    save_manifest(path, replace(SUMMARY, runs=2))
    assert manifest_path(path) == tmp_path / "contacts.ndjson.manifest.json"
    assert [entry.name for entry in tmp_path.iterdir()] == ["contacts.ndjson.manifest.json"]
    assert decode_manifest(manifest_path(path).read_bytes()) == replace(SUMMARY, runs=2)
    assert manifest_path(path).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "impossible",
    [
        {"contacts": 2**53},
        {"contacts": -1},
        {"pages": 10**400},
        {"rate_limit_wait_s": -0.5},
        {"retries": {"http_503": -3}},
        {"part_bytes": 10**400},
        {"files": (replace(SUMMARY.files[0], contacts=10**4_300),)},
        {"files": (replace(SUMMARY.files[0], name="n" * 5_000),)},
    ],
)
def test_decode_manifest_with_impossible_values_returns_none(impossible: dict[str, Any]) -> None:
    """Numbers are out of range, or a name is too long for a file."""
    figures = json.loads(encode_manifest(SUMMARY)) | impossible
    if "files" in impossible:
        figures["files"] = [{name: getattr(file, name) for name in file.__slots__} for file in impossible["files"]]
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        content = json.dumps(figures).encode()
    finally:
        sys.set_int_max_str_digits(limit)
    assert decode_manifest(content) is None
