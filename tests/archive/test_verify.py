"""Verify accepts an unchanged finished export, and reports every later change."""

import errno
import gzip
import hashlib
import json
import os
import re
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import exporter.archive.verify
from exporter import ConfigError, FileSummary
from exporter.archive import line_checker as lines
from exporter.archive.verify import VerifyProgress, verify
from exporter.layout import data_file as contents
from exporter.layout.manifest import encode_manifest
from exporter.sandbox.contacts import Workspace
from tests.fixtures.summaries import SUMMARY
from tests.support.properties import examples

CONTACTS = [b'{"type":"contact","id":"6a%d","name":"J\xc3\xb6rg \xf0\x9f\x99\x82"}\n' % number for number in range(6)]
SUFFIXES = pytest.mark.parametrize("suffix", [".ndjson", ".ndjson.gz"])


@dataclass(frozen=True)
class Export:
    """A finished export that a test damages."""

    path: Path
    manifest: Path

    def differences(self) -> tuple[str, ...]:
        """Return the differences; all of them are printable."""
        found = verify(self.path).differences
        assert all(difference.isprintable() for difference in found)
        return found

    def change_manifest(self, **fields: object) -> None:
        """Set fields of the manifest; the prefix ``file_`` means fields of its first file."""
        figures = json.loads(self.manifest.read_bytes())
        for name, value in fields.items():
            if name.startswith("file_"):
                figures["files"][0][name.removeprefix("file_")] = value
            else:
                figures[name] = value
        self.manifest.write_text(json.dumps(figures))

    def replace_file(self, content: bytes) -> None:
        """Replace the file, and set its length and hash in the manifest."""
        self.path.write_bytes(content)
        self.change_manifest(file_bytes=len(content), file_sha256=hashlib.sha256(content).hexdigest())


def write_data_file(path: Path, contacts: list[bytes]) -> FileSummary:
    """Write one data file with two contacts per page, as an export does."""
    pages = [b"".join(contacts[start : start + 2]) for start in range(0, len(contacts), 2)] or [b""]
    content = b"".join(gzip.compress(page, 1, mtime=0) if path.suffix == ".gz" else page for page in pages)
    path.write_bytes(content)
    plain_bytes = sum(map(len, contacts))
    return FileSummary(path.name, len(content), hashlib.sha256(content).hexdigest(), len(contacts), plain_bytes)


def write_manifest(manifest: Path, *files: FileSummary) -> None:
    """Write the manifest of data files."""
    summary = replace(SUMMARY, contacts=sum(file.contacts for file in files), files=files)
    manifest.write_bytes(encode_manifest(summary))


def make_file_export(folder: Path, suffix: str = ".ndjson", contacts: list[bytes] = CONTACTS) -> Export:
    """Make an export into one file."""
    path = folder / f"contacts{suffix}"
    export = Export(path, folder / f"{path.name}.manifest.json")
    write_manifest(export.manifest, write_data_file(path, contacts))
    return export


def make_folder_export(folder: Path, suffix: str = ".ndjson") -> Export:
    """Make an export into a folder of three parts."""
    folder.mkdir()
    export = Export(folder, folder / "_manifest.json")
    files = [
        write_data_file(folder / f"contacts-{number:05}{suffix}", CONTACTS[number * 2 - 2 :][:2])
        for number in (1, 2, 3)
    ]
    write_manifest(export.manifest, *files)
    return export


@SUFFIXES
def test_verify_finished_file_passes(tmp_path: Path, suffix: str) -> None:
    """The path is that of the file or its manifest; verify returns the figures and writes nothing."""
    export = make_file_export(tmp_path, suffix)
    before = sorted(tmp_path.iterdir())
    for path in (export.path, export.manifest):
        verified = verify(path)
        assert (verified.differences, verified.duplicates) == ((), 0)
        assert verified.summary is not None
        assert verified.summary.contacts == 6
    assert sorted(tmp_path.iterdir()) == before


@SUFFIXES
def test_verify_finished_folder_passes(tmp_path: Path, suffix: str) -> None:
    """The path is that of the folder or its manifest; names with a leading dot are ignored."""
    export = make_folder_export(tmp_path / "parts", suffix)
    (export.path / ".DS_Store").write_bytes(b"")
    for path in (export.path, export.manifest):
        verified = verify(path)
        assert (verified.differences, verified.duplicates) == ((), 0)


@SUFFIXES
def test_verify_empty_export_passes(tmp_path: Path, suffix: str) -> None:
    """An empty workspace gives an empty file or one empty member; a gzip file of zero bytes passes, too."""
    export = make_file_export(tmp_path, suffix, [])
    assert export.differences() == ()
    export.replace_file(b"")
    assert export.differences() == ()


def test_verify_hostile_contacts_passes(tmp_path: Path) -> None:
    """Verify accepts what the exporter accepts: unusual numbers, duplicate keys, lone surrogates."""
    workspace = Workspace(10_000, hostile=True)
    hostile = [workspace.record(number) for number in range(7, 10_000, 1_000)]
    export = make_file_export(tmp_path, ".ndjson.gz", [b" ".join(record.splitlines()) + b"\n" for record in hostile])
    assert export.differences() == ()


@pytest.mark.slow
@SUFFIXES
def test_verify_file_with_any_changed_byte_reports_sha256(tmp_path: Path, suffix: str) -> None:
    """This holds for each byte of a file, also in a header that no reader checks."""
    export = make_file_export(tmp_path, suffix, CONTACTS[:3])
    content = export.path.read_bytes()
    for place in range(len(content)):
        for change in (0x01, 0x20, 0xFF):
            export.path.write_bytes(content[:place] + bytes([content[place] ^ change]) + content[place + 1 :])
            assert any("SHA-256" in difference for difference in export.differences()), place


@pytest.mark.slow
@SUFFIXES
def test_verify_truncated_file_with_matching_hash_is_reported(tmp_path: Path, suffix: str) -> None:
    """A truncated file lacks lines, the end of a line, or the end of a gzip member."""
    export = make_file_export(tmp_path, suffix)
    content = export.path.read_bytes()
    for length in range(len(content)):
        export.replace_file(content[:length])
        assert export.differences(), length


@given(st.data())
def test_verify_damaged_gzip_with_matching_hash_is_reported(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Verify reports differences and raises no error, wherever the compressed content is damaged."""
    export = make_file_export(tmp_path_factory.mktemp("spoilt"), ".ndjson.gz")
    content = bytearray(export.path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    export.replace_file(bytes(content))
    if decompress_with_standard_library(bytes(content)) != b"".join(CONTACTS):
        assert export.differences()


def decompress_with_standard_library(content: bytes) -> bytes | None:
    """Return the decompressed content, or None where the standard library refuses it."""
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, ValueError, zlib.error):
        return None


@pytest.mark.parametrize(
    "garbage", [b"\0", b"\0" * 512, b"\x1f", b"\x1f\x8b", b"{}\n", gzip.compress(b"{}", mtime=0)[:-1]], ids=repr
)
def test_verify_bytes_after_last_gzip_member_are_reported(tmp_path: Path, garbage: bytes) -> None:
    """Garbage, padding or an incomplete further member is damage."""
    export = make_file_export(tmp_path, ".ndjson.gz")
    export.replace_file(export.path.read_bytes() + garbage)
    (difference,) = export.differences()
    assert "is damaged" in difference or "is truncated" in difference


@pytest.mark.parametrize("chunk_bytes", [1, 7, 64])
@SUFFIXES
def test_verify_with_any_chunk_size_passes(
    tmp_path: Path, suffix: str, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members and lines cross the boundaries of the chunks."""
    monkeypatch.setattr(contents, "_CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(contents, "_COMPRESSED_BYTES", chunk_bytes)
    assert make_file_export(tmp_path, suffix).differences() == ()


LEGAL = [
    b' {"id":"1"}\t\r',
    b'{"id":1}',
    b'{"id":%s}' % (b"9" * 5_000),
    b'{"id":"1","n":[1.10,1E5,-0,1e-400,1e999,%s]}' % (b"9" * 5_000),
    b'{"id":1.5,"id":"last"}',
    b'{"i\\u0064":"\\ud83d\\ude00"}',
    b'{"id":"1","a":"\\ud800","\\udfff":["\\ude00\\ud83d","\\\\ud800","\\ud83d\\ude00\\ud83d"]}',
    b'{"id":"\\ud800"}',
    b'{"id":"1","a":"\\ud800 J\xc3\xb6rg\xe2\x80\xa8\x7f"}',
    b'{"id":"1","a":%s}' % (b"[" * 200 + b"]" * 200),
]


@pytest.mark.parametrize("line", LEGAL, ids=lambda line: repr(line[:40]))
def test_verify_line_with_one_json_object_and_id_passes(tmp_path: Path, line: bytes) -> None:
    """Any spelling of one JSON object with an id is a contact."""
    assert make_file_export(tmp_path, contacts=[CONTACTS[0], line + b"\n", CONTACTS[1]]).differences() == ()


BAD = [
    (b"", "not one JSON object"),
    (b"null", "not one JSON object"),
    (b'["id"]', "not one JSON object"),
    (b'{"id":"1"', "not one JSON object"),
    (b'{"id":"1"}{"id":"2"}', "not one JSON object"),
    (b'{"id":"1",}', "not one JSON object"),
    (b'{"id":"1","a":NaN}', "not one JSON object"),
    (b'{"id":"1","a":-Infinity}', "not one JSON object"),
    (b'{"id":"1","a":01}', "not one JSON object"),
    (b'{"id":"1","a":"\x01"}', "not one JSON object"),
    (b'{"id":"1","a":"\\ud800\\x"}', "not one JSON object"),
    (b'{"id":"1","a":\\ud800}', "not one JSON object"),
    (b'{"id":"1","a":"\\ud8"}', "not one JSON object"),
    (b'\xef\xbb\xbf{"id":"1"}', "not one JSON object"),
    (b'{"id":"1","a":"\xff"}', "not UTF-8"),
    (b'{"id":"1","a":"\xed\xa0\x80"}', "not UTF-8"),
    (b"{}", "without an id"),
    (b'{"id":""}', "without an id"),
    (b'{"id":null}', "without an id"),
    (b'{"id":true}', "without an id"),
    (b'{"id":1.0}', "without an id"),
    (b'{"id":["1"]}', "without an id"),
    (b'{"a":{"id":"1"}}', "without an id"),
    (b'{"id":"1","a":%s}' % (b"[" * 1_000_000 + b"]" * 1_000_000), "nested too deeply to be checked"),
]


@pytest.mark.parametrize(("line", "what"), BAD, ids=lambda value: repr(value[:40]))
def test_verify_invalid_line_reports_number_and_reason(tmp_path: Path, line: bytes, what: str) -> None:
    """The sentence has the line's number and a reason, and no content of the line."""
    export = make_file_export(tmp_path, contacts=[CONTACTS[0], line + b"\n", CONTACTS[1]])
    assert export.differences() == (f"line 2 of 'contacts.ndjson' is {what}",)


def parse_id_strictly(line: bytes) -> bytes | None:
    """Return a contact's id, or None where it has none; lone surrogates move to the private use area."""

    def reject_constant(constant: str) -> None:
        raise ValueError(constant)

    try:
        contact = json.loads(line.decode(), parse_constant=reject_constant, parse_float=lambda _: None, parse_int=str)
        text = contact["id"]
    except (ValueError, TypeError, KeyError):
        return None
    moved = [chr(ord(c) + 0x1000) if "\ud800" <= c <= "\udfff" else c for c in text] if isinstance(text, str) else []
    return "".join(moved).encode() or None


pieces = st.sampled_from(
    rb'" \ u \u d8 \ud800 \udc00 { } [ ] , : - 0 1e5 99 . e "id" "id": tru true NaN \\'.split()
) | st.sampled_from([b" ", b"\r", b"\xc3", b"\xb6", b"\x00"])


@pytest.mark.slow
@examples(percent=500)
@given(st.sampled_from(LEGAL), st.lists(st.tuples(st.integers(0, 90), st.integers(0, 3), pieces), max_size=3))
def test_line_checker_accepts_same_lines_as_strict_parser(line: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    """A damaged line passes if and only if it is one JSON object with an id."""
    for place, dropped, piece in edits:
        line = line[:place] + piece + line[place + dropped :]
    bad: list[tuple[int, str]] = []
    ids: list[bytes] = []
    found = lines.LineChecker(ids.extend, lambda number, what: bad.append((number, what)))
    found.feed(line + b"\n")
    expected = parse_id_strictly(line)
    assert (len(ids), len(bad)) == ((0, 1) if expected is None else (1, 0))
    assert ids in ([], [expected])


@given(st.lists(st.sampled_from(CONTACTS), min_size=1), st.lists(st.integers(0, 400)), st.booleans())
def test_line_checker_with_any_chunks_finds_same_lines(contacts: list[bytes], cuts: list[int], ends: bool) -> None:
    """Lines and ids do not depend on how the content is split."""
    content = b"".join(contacts)[: None if ends else -1]
    ids: list[bytes] = []
    bad: list[int] = []
    found = lines.LineChecker(ids.extend, lambda number, _: bad.append(number))
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), None], strict=True):
        found.feed(content[start:end])
    found.end()
    assert (found.count, found.bytes, bad) == (len(contacts), len(content), [] if ends else [len(contacts)])
    assert ids == [json.loads(contact)["id"].encode() for contact in contacts]


@SUFFIXES
def test_verify_last_line_without_line_break_is_reported(tmp_path: Path, suffix: str) -> None:
    """It still counts as a line, and is checked."""
    (difference,) = make_file_export(tmp_path, suffix, [*CONTACTS, b'{"id":"7"}']).differences()
    assert difference == f"line 7 of 'contacts{suffix}' is without a line break at its end"


def test_verify_many_bad_lines_names_first_ten_of_each_kind(tmp_path: Path) -> None:
    """The other lines are counted, each kind separately."""
    found = make_file_export(tmp_path, contacts=[b"{}\n", b"[]\n"] * 25).differences()
    assert len(found) == 22
    assert [difference.split()[1] for difference in found[:10]] == [str(number) for number in range(1, 20, 2)]
    assert found[10] == "and 15 more lines of 'contacts.ndjson' that are without an id"
    assert found[21] == "and 15 more lines of 'contacts.ndjson' that are not one JSON object"


@SUFFIXES
def test_verify_very_long_line_keeps_memory_bounded(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verify does not hold a very long line in memory, and still counts the lines after it."""
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1 << 20)
    export = make_file_export(tmp_path, suffix, [CONTACTS[0], b" " * (1 << 25) + b"\n", *[b"\n"] * 1_000, CONTACTS[1]])
    tracemalloc.start()
    try:
        (difference,) = export.differences()
        assert tracemalloc.get_traced_memory()[1] < 80_000_000
    finally:
        tracemalloc.stop()
    assert difference.startswith(f"line 2 of 'contacts{suffix}' is longer than 1 MiB")


def test_verify_wrong_manifest_figures_are_reported(tmp_path: Path) -> None:
    """Each wrong figure has its own sentence."""
    export = make_file_export(tmp_path, ".ndjson.gz")
    actual = export.path.stat().st_size
    export.change_manifest(file_bytes=7, file_sha256="ab", file_uncompressed_bytes=8, file_contacts=9)
    assert export.differences() == (
        "the manifest counts 6 contacts, but 9 in its files",
        f"'contacts.ndjson.gz' has {actual} bytes, the manifest says 7",
        "'contacts.ndjson.gz' has a different SHA-256 from the one in the manifest",
        f"'contacts.ndjson.gz' has {sum(map(len, CONTACTS))} bytes of lines, the manifest says 8",
        "'contacts.ndjson.gz' has 6 lines, the manifest says 9 contacts",
    )


def test_verify_damaged_file_reports_sha256_first(tmp_path: Path) -> None:
    """A few sentences about the consequences follow, and the number of the others."""
    export = make_file_export(tmp_path)
    content = bytearray(export.path.read_bytes())
    assert b"\n" in content
    export.path.write_bytes(content.replace(b'"id"', b'"ID"').replace(b"{", b"["))
    first, *rest = export.differences()
    assert first == "'contacts.ndjson' has a different SHA-256 from the one in the manifest"
    assert len(rest) <= 4
    assert re.fullmatch(r"and \d+ more that follow from the damage", rest[-1])


def test_verify_incomplete_export_is_reported(tmp_path: Path) -> None:
    """An export with a limit on contacts is finished, and passes."""
    export = make_file_export(tmp_path)
    export.change_manifest(complete=False)
    assert export.differences() == ("the manifest says that the export is not complete",)
    export.change_manifest(limited_to_contacts=6)
    assert export.differences() == ()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"manifest_version":2}', b"[" * 100_000], ids=repr)
def test_verify_foreign_manifest_is_reported(tmp_path: Path, content: bytes) -> None:
    """Verify then has no figures to compare with."""
    export = make_file_export(tmp_path)
    export.manifest.write_bytes(content)
    verified = verify(export.path)
    assert (verified.summary, verified.duplicates) == (None, 0)
    assert verified.differences == ("the manifest is damaged, or was not written by intercom-exporter",)


@pytest.mark.parametrize("make", [lambda path: path.symlink_to(path), os.mkfifo, Path.mkdir])
def test_verify_unreadable_manifest_is_reported(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Verify neither follows a link nor waits for a pipe."""
    export = make_file_export(tmp_path)
    export.manifest.unlink()
    make(export.manifest)
    (difference,) = export.differences()
    assert difference.startswith(("the manifest is a symbolic link", "the manifest cannot be read: "))


def test_verify_manifest_of_other_files_is_reported(tmp_path: Path) -> None:
    """Verify reports another name, and another number of files."""
    export = make_file_export(tmp_path)
    export.change_manifest(file_name="../other\n.ndjson")
    assert export.differences() == (r"the manifest describes '../other\n.ndjson', not 'contacts.ndjson'",)
    export.change_manifest(files=[], contacts=0)
    assert export.differences() == ("the manifest describes 0 files, not 'contacts.ndjson'",)


@pytest.mark.parametrize("left", ["", ".part", ".checkpoint.json"])
def test_verify_file_without_manifest_is_reported(tmp_path: Path, left: str) -> None:
    """With a part or a checkpoint beside it, the sentence says that the export is unfinished."""
    export = make_file_export(tmp_path)
    export.manifest.unlink()
    if left:
        (tmp_path / f"contacts.ndjson{left}").write_bytes(b"")
    (difference,) = export.differences()
    assert difference.startswith("no manifest: ")
    assert ("unfinished" in difference) is bool(left)


@pytest.mark.parametrize("left", ["", "contacts-00004.ndjson.gz.part", "checkpoint.json"])
def test_verify_folder_without_manifest_is_reported(tmp_path: Path, left: str) -> None:
    """Same as for a file."""
    export = make_folder_export(tmp_path / "parts")
    export.manifest.unlink()
    if left:
        (export.path / left).write_bytes(b"")
    (difference,) = export.differences()
    assert difference.startswith("no manifest: ")
    assert ("unfinished" in difference) is bool(left)


def test_verify_part_is_reported_as_unfinished(tmp_path: Path) -> None:
    """The name of a part shows that it is unfinished."""
    (tmp_path / "contacts.ndjson.part").write_bytes(b"")
    (difference,) = verify(tmp_path / "contacts.ndjson.part").differences
    assert "unfinished" in difference


@pytest.mark.parametrize(
    "name", ["contacts.ndjson", "contacts.ndjson.manifest.json", "manifest.json/x", ".manifest.json", "a\0b", "x" * 999]
)
def test_verify_path_without_export_raises_config_error(tmp_path: Path, name: str) -> None:
    """The path has neither an export nor a manifest, so the user has to change it."""
    with pytest.raises(ConfigError, match="there is no export at"):
        verify(tmp_path / name)


def test_verify_path_with_only_a_part_raises_config_error(tmp_path: Path) -> None:
    """The message says that the export is unfinished."""
    (tmp_path / "contacts.ndjson.part").write_bytes(b"")
    with pytest.raises(ConfigError, match="unfinished"):
        verify(tmp_path / "contacts.ndjson")


def test_verify_missing_file_is_reported(tmp_path: Path) -> None:
    """This holds for a single file and for a file of a folder."""
    export = make_file_export(tmp_path)
    export.path.unlink()
    assert export.differences() == ("'contacts.ndjson' is missing",)
    folder = make_folder_export(tmp_path / "parts")
    (folder.path / "contacts-00002.ndjson").unlink()
    assert folder.differences() == ("'contacts-00002.ndjson' is missing",)


def test_verify_folder_with_unlisted_entries_is_reported(tmp_path: Path) -> None:
    """Leftovers, folders and links are differences: a folder holds its export and nothing else."""
    export = make_folder_export(tmp_path / "parts")
    for name in ("checkpoint.json", "contacts-00004.ndjson.part", "new\nline"):
        (export.path / name).write_bytes(b"")
    (export.path / "folder").mkdir()
    (export.path / "link").symlink_to(tmp_path)
    names = ["checkpoint.json", "contacts-00004.ndjson.part", "folder", "link", r"new\nline"]
    assert export.differences() == tuple(f"'{name}' is in the folder, but not in the manifest" for name in names)


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("other"), os.mkfifo, Path.mkdir])
def test_verify_link_pipe_or_folder_as_data_file_is_reported(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Verify does not follow a link, even to the right content, and does not wait for a pipe."""
    for export in (make_file_export(tmp_path), make_folder_export(tmp_path / "parts")):
        file = export.path / "contacts-00002.ndjson" if export.path.is_dir() else export.path
        file.rename(tmp_path / "other")
        make(file)
        found = [difference for difference in verify(export.manifest).differences if file.name in difference]
        assert found == [f"'{file.name}' is a symbolic link"] or f"'{file.name}' cannot be read: " in found[0]


@pytest.mark.parametrize("name", ["lost+found", "Thumbs.db", "@eaDir", ".DS_Store", "_SUCCESS"])
def test_verify_folder_with_system_files_passes(tmp_path: Path, name: str) -> None:
    """Verify ignores files of the operating system, and the success marker of another program."""
    export = make_folder_export(tmp_path / "parts")
    (export.path / name).touch()
    assert export.differences() == ()


def test_verify_file_with_read_error_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing disk says nothing about the file; a real difference beside it takes precedence."""
    export = make_folder_export(tmp_path / "parts")
    real = os.open

    def fail(path: Any, *others: Any, **more: Any) -> int:
        if str(path).endswith("00001.ndjson"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return real(path, *others, **more)

    with monkeypatch.context() as patches:
        patches.setattr(os, "open", fail)
        verified = verify(export.path)
        assert verified.differences == ("'contacts-00001.ndjson' cannot be read: Input/output error",)
        assert verified.unreadable
        (export.path / "contacts-00003.ndjson").unlink()
        assert not verify(export.path).unreadable
    (export.path / "contacts-00001.ndjson").unlink()
    assert not verify(export.path).unreadable


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_verify_file_without_read_permission_is_reported(tmp_path: Path) -> None:
    """Verify still checks the other files."""
    export = make_folder_export(tmp_path / "parts")
    (export.path / "contacts-00001.ndjson").chmod(0)
    (export.path / "contacts-00003.ndjson").unlink()
    assert export.differences() == (
        "'contacts-00001.ndjson' cannot be read: Permission denied",
        "'contacts-00003.ndjson' is missing",
    )
    export.path.chmod(0o300)
    assert export.differences()[0] == "the folder cannot be read: Permission denied"
    export.path.chmod(0o700)


@pytest.mark.parametrize("name", ["../contacts.ndjson", "/etc/passwd", "..", ".", "", "a\0b", "a\nb", "x/y", "Jörg"])
def test_verify_manifest_with_unsafe_name_does_not_open_it(tmp_path: Path, name: str) -> None:
    """A manifest is untrusted input."""
    make_file_export(tmp_path)
    export = make_folder_export(tmp_path / "parts")
    export.change_manifest(file_name=name)
    listed, extra = export.differences()
    assert listed.startswith("the manifest lists ")
    assert "contacts-00001.ndjson" in extra


def test_verify_file_listed_repeatedly_is_reported(tmp_path: Path) -> None:
    """Verify reads it once."""
    export = make_folder_export(tmp_path / "parts")
    export.change_manifest(files=json.loads(export.manifest.read_bytes())["files"][:1] * 3, contacts=6)
    sentence = "the manifest lists 'contacts-00001.ndjson' more than once"
    assert export.differences()[:2] == (sentence, sentence)
    assert verify(export.path).duplicates == 0


def test_verify_duplicate_contacts_give_a_warning(tmp_path: Path) -> None:
    """Verify counts duplicates over all make_folder_export, in any spelling of the id, and names some of them."""
    export = make_folder_export(tmp_path / "parts")
    again = [b'{"id":"6a0"}\n', b'{"id":"\\u0036a1"}\n', b'{"id":"\xe2\x80\xa8"}\n', b'{"id":"\\u2028"}\n']
    files = [
        write_data_file(export.path / "contacts-00001.ndjson", CONTACTS),
        write_data_file(export.path / "contacts-00002.ndjson", again),
    ]
    (export.path / "contacts-00003.ndjson").unlink()
    write_manifest(export.manifest, *files)
    verified = verify(export.path)
    assert verified.duplicates == 3
    assert verified.differences == ()
    (warning,) = verified.warnings
    assert warning.startswith("3 duplicate ids, for example ")
    for shown in ("'6a0'", "'6a1'", r"'\u2028'"):
        assert shown in warning


@pytest.mark.parametrize("make", [make_file_export, lambda folder: make_folder_export(folder / "parts", ".ndjson.gz")])
def test_verify_notifies_observer_of_progress(
    tmp_path: Path, make: Callable[[Path], Export], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The observer gets each file, all bytes and the count of ids; by default rarely, but always the end."""
    export = make(tmp_path)
    files = json.loads(export.manifest.read_bytes())["files"]
    end = VerifyProgress(files[-1]["name"], sum(file["bytes"] for file in files), sum(file["bytes"] for file in files))
    notifications: list[VerifyProgress] = []
    verify(export.path, notifications.append)
    assert notifications[-1] == end
    monkeypatch.setattr(exporter.archive.verify, "_NOTIFY_INTERVAL_S", 0)
    notifications.clear()
    verify(export.path, notifications.append)
    assert list(dict.fromkeys(one.file for one in notifications)) == [file["name"] for file in files]
    assert [one.bytes_read for one in notifications] == sorted(one.bytes_read for one in notifications)
    assert notifications.count(end) > 256


@SUFFIXES
def test_verify_with_raising_observer_passes_exception_on(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verify does not report an observer's OSError as a damaged file."""
    monkeypatch.setattr(exporter.archive.verify, "_NOTIFY_INTERVAL_S", 0)
    notifications: list[VerifyProgress] = []

    def stop(verifying: VerifyProgress) -> None:
        notifications.append(verifying)
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        verify(make_file_export(tmp_path, suffix).path, stop)
    assert len(notifications) == 1
