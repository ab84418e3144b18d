"""A finished export that is what its manifest says passes; whatever happens to it afterwards is found."""

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
    """A finished export, to be spoilt."""

    path: Path
    manifest: Path

    def differences(self) -> tuple[str, ...]:
        """Say what differs; all of it can be printed."""
        found = verify(self.path).differences
        assert all(difference.isprintable() for difference in found)
        return found

    def change_manifest(self, **fields: object) -> None:
        """Set fields of the manifest, and of its only file those that begin with ``file_``."""
        figures = json.loads(self.manifest.read_bytes())
        for name, value in fields.items():
            if name.startswith("file_"):
                figures["files"][0][name.removeprefix("file_")] = value
            else:
                figures[name] = value
        self.manifest.write_text(json.dumps(figures))

    def replace_file(self, content: bytes) -> None:
        """Replace the file, and let the manifest say that this is its length and hash."""
        self.path.write_bytes(content)
        self.change_manifest(file_bytes=len(content), file_sha256=hashlib.sha256(content).hexdigest())


def write(path: Path, contacts: list[bytes]) -> FileSummary:
    """Write one data file, two contacts a page, as an export does."""
    pages = [b"".join(contacts[start : start + 2]) for start in range(0, len(contacts), 2)] or [b""]
    content = b"".join(gzip.compress(page, 1, mtime=0) if path.suffix == ".gz" else page for page in pages)
    path.write_bytes(content)
    plain_bytes = sum(map(len, contacts))
    return FileSummary(path.name, len(content), hashlib.sha256(content).hexdigest(), len(contacts), plain_bytes)


def finish(manifest: Path, *files: FileSummary) -> None:
    """Write the manifest of data files."""
    summary = replace(SUMMARY, contacts=sum(file.contacts for file in files), files=files)
    manifest.write_bytes(encode_manifest(summary))


def single(folder: Path, suffix: str = ".ndjson", contacts: list[bytes] = CONTACTS) -> Export:
    """Make an export into one file."""
    path = folder / f"contacts{suffix}"
    export = Export(path, folder / f"{path.name}.manifest.json")
    finish(export.manifest, write(path, contacts))
    return export


def parts(folder: Path, suffix: str = ".ndjson") -> Export:
    """Make an export into a folder of three parts."""
    folder.mkdir()
    export = Export(folder, folder / "_manifest.json")
    files = [write(folder / f"contacts-{number:05}{suffix}", CONTACTS[number * 2 - 2 :][:2]) for number in (1, 2, 3)]
    finish(export.manifest, *files)
    return export


@SUFFIXES
def test_a_finished_file_passes(tmp_path: Path, suffix: str) -> None:
    """Named by itself or by its manifest, it gives the manifest's figures; nothing is written beside it."""
    export = single(tmp_path, suffix)
    before = sorted(tmp_path.iterdir())
    for path in (export.path, export.manifest):
        verified = verify(path)
        assert (verified.differences, verified.duplicates) == ((), 0)
        assert verified.summary is not None
        assert verified.summary.contacts == 6
    assert sorted(tmp_path.iterdir()) == before


@SUFFIXES
def test_a_finished_folder_passes(tmp_path: Path, suffix: str) -> None:
    """Named by itself or by its manifest; entries that begin with a dot are somebody else's."""
    export = parts(tmp_path / "parts", suffix)
    (export.path / ".DS_Store").write_bytes(b"")
    for path in (export.path, export.manifest):
        verified = verify(path)
        assert (verified.differences, verified.duplicates) == ((), 0)


@SUFFIXES
def test_an_export_of_nothing_passes(tmp_path: Path, suffix: str) -> None:
    """An empty workspace gives an empty file, or one empty member; a gzip file of no byte at all is taken too."""
    export = single(tmp_path, suffix, [])
    assert export.differences() == ()
    export.replace_file(b"")
    assert export.differences() == ()


def test_every_kind_of_odd_contact_passes(tmp_path: Path) -> None:
    """What the exporter takes for a contact, verify does: odd numbers, repeated keys, lone surrogates and all."""
    workspace = Workspace(10_000, hostile=True)
    hostile = [workspace.record(number) for number in range(7, 10_000, 1_000)]
    export = single(tmp_path, ".ndjson.gz", [b" ".join(record.splitlines()) + b"\n" for record in hostile])
    assert export.differences() == ()


@SUFFIXES
def test_any_changed_byte_is_found(tmp_path: Path, suffix: str) -> None:
    """Whichever byte of a file is changed, also in a header that nobody reads."""
    export = single(tmp_path, suffix, CONTACTS[:3])
    content = export.path.read_bytes()
    for place in range(len(content)):
        for change in (0x01, 0x20, 0xFF):
            export.path.write_bytes(content[:place] + bytes([content[place] ^ change]) + content[place + 1 :])
            assert any("SHA-256" in difference for difference in export.differences()), place


@SUFFIXES
def test_any_cut_is_found_though_the_hash_is_right(tmp_path: Path, suffix: str) -> None:
    """A file that ends anywhere earlier lacks lines, or the end of one, or of a gzip member."""
    export = single(tmp_path, suffix)
    content = export.path.read_bytes()
    for length in range(len(content)):
        export.replace_file(content[:length])
        assert export.differences(), length


@given(st.data())
def test_no_damage_is_an_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Compressed content spoilt anywhere, under a manifest that vouches for it, gives sentences or nothing."""
    export = single(tmp_path_factory.mktemp("spoilt"), ".ndjson.gz")
    content = bytearray(export.path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    export.replace_file(bytes(content))
    if standard_library_inflates(bytes(content)) != b"".join(CONTACTS):
        assert export.differences()


def standard_library_inflates(content: bytes) -> bytes | None:
    """Say what a file decompresses to in the plainest way, None where it does not."""
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, ValueError, zlib.error):
        return None


@pytest.mark.parametrize(
    "garbage", [b"\0", b"\0" * 512, b"\x1f", b"\x1f\x8b", b"{}\n", gzip.compress(b"{}", mtime=0)[:-1]], ids=repr
)
def test_what_follows_the_last_member_is_found(tmp_path: Path, garbage: bytes) -> None:
    """Garbage, padding or the beginning of another member: none of it is ours."""
    export = single(tmp_path, ".ndjson.gz")
    export.replace_file(export.path.read_bytes() + garbage)
    (difference,) = export.differences()
    assert "is damaged" in difference or "is truncated" in difference


@pytest.mark.parametrize("chunk_bytes", [1, 7, 64])
@SUFFIXES
def test_it_does_not_matter_where_reading_stops(
    tmp_path: Path, suffix: str, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members and lines go over the ends of what is read at once."""
    monkeypatch.setattr(contents, "_CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(contents, "_COMPRESSED_BYTES", chunk_bytes)
    assert single(tmp_path, suffix).differences() == ()


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
def test_legal_lines_pass(tmp_path: Path, line: bytes) -> None:
    """Whatever is one JSON object with an id is a contact, however it is spelt."""
    assert single(tmp_path, contacts=[CONTACTS[0], line + b"\n", CONTACTS[1]]).differences() == ()


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
def test_other_lines_are_found(tmp_path: Path, line: bytes, what: str) -> None:
    """The sentence has the line's number, and nothing of what it holds."""
    export = single(tmp_path, contacts=[CONTACTS[0], line + b"\n", CONTACTS[1]])
    assert export.differences() == (f"line 2 of 'contacts.ndjson' is {what}",)


def strictly_parsed_id(line: bytes) -> bytes | None:
    """Find a contact's id in the plainest way, None where there is none; lone surrogates are in the private area."""

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


@examples(percent=500)
@given(st.sampled_from(LEGAL), st.lists(st.tuples(st.integers(0, 90), st.integers(0, 3), pieces), max_size=3))
def test_lines_are_judged_as_a_strict_parser_does(line: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    """However a line is spoilt, it passes if and only if it is one JSON object with an id."""
    for place, dropped, piece in edits:
        line = line[:place] + piece + line[place + dropped :]
    bad: list[tuple[int, str]] = []
    ids: list[bytes] = []
    found = lines.LineChecker(ids.extend, lambda number, what: bad.append((number, what)))
    found.feed(line + b"\n")
    expected = strictly_parsed_id(line)
    assert (len(ids), len(bad)) == ((0, 1) if expected is None else (1, 0))
    assert ids in ([], [expected])


@given(st.lists(st.sampled_from(CONTACTS), min_size=1), st.lists(st.integers(0, 400)), st.booleans())
def test_lines_may_be_cut_anywhere(contacts: list[bytes], cuts: list[int], ends: bool) -> None:
    """Lines and ids are the same however the content arrives."""
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
def test_a_last_line_without_an_end_is_found(tmp_path: Path, suffix: str) -> None:
    """It still counts as a line, and is looked at."""
    (difference,) = single(tmp_path, suffix, [*CONTACTS, b'{"id":"7"}']).differences()
    assert difference == f"line 7 of 'contacts{suffix}' is without a line break at its end"


def test_of_many_bad_lines_the_first_ten_are_named(tmp_path: Path) -> None:
    """The rest is counted, each kind for itself."""
    found = single(tmp_path, contacts=[b"{}\n", b"[]\n"] * 25).differences()
    assert len(found) == 22
    assert [difference.split()[1] for difference in found[:10]] == [str(number) for number in range(1, 20, 2)]
    assert found[10] == "and 15 more lines of 'contacts.ndjson' that are without an id"
    assert found[21] == "and 15 more lines of 'contacts.ndjson' that are not one JSON object"


@SUFFIXES
def test_an_endless_line_is_found_in_little_memory(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a bomb nor a line without end fills the memory; lines are still counted."""
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1 << 20)
    export = single(tmp_path, suffix, [CONTACTS[0], b" " * (1 << 25) + b"\n", *[b"\n"] * 1_000, CONTACTS[1]])
    tracemalloc.start()
    try:
        (difference,) = export.differences()
        assert tracemalloc.get_traced_memory()[1] < 80_000_000
    finally:
        tracemalloc.stop()
    assert difference.startswith(f"line 2 of 'contacts{suffix}' is longer than 1 MiB")


def test_figures_of_the_manifest_are_compared(tmp_path: Path) -> None:
    """Each figure that is wrong is a sentence of its own."""
    export = single(tmp_path, ".ndjson.gz")
    actual = export.path.stat().st_size
    export.change_manifest(file_bytes=7, file_sha256="ab", file_uncompressed_bytes=8, file_contacts=9)
    assert export.differences() == (
        "the manifest counts 6 contacts, but 9 in its files",
        f"'contacts.ndjson.gz' has {actual} bytes, the manifest says 7",
        "'contacts.ndjson.gz' has a different SHA-256 from the one in the manifest",
        f"'contacts.ndjson.gz' has {sum(map(len, CONTACTS))} bytes of lines, the manifest says 8",
        "'contacts.ndjson.gz' has 6 lines, the manifest says 9 contacts",
    )


def test_damaged_byte_is_told_by_the_sha_256_first(tmp_path: Path) -> None:
    """What follows from it is limited: two sentences, and how many more there are."""
    export = single(tmp_path)
    content = bytearray(export.path.read_bytes())
    assert b"\n" in content
    export.path.write_bytes(content.replace(b'"id"', b'"ID"').replace(b"{", b"["))
    first, *rest = export.differences()
    assert first == "'contacts.ndjson' has a different SHA-256 from the one in the manifest"
    assert len(rest) <= 4
    assert re.fullmatch(r"and \d+ more that follow from the damage", rest[-1])


def test_an_export_that_is_not_complete_is_a_difference(tmp_path: Path) -> None:
    """Unless a limit was asked for: then it is a finished one."""
    export = single(tmp_path)
    export.change_manifest(complete=False)
    assert export.differences() == ("the manifest says that the export is not complete",)
    export.change_manifest(limited_to_contacts=6)
    assert export.differences() == ()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"manifest_version":2}', b"[" * 100_000], ids=repr)
def test_a_manifest_that_is_not_ours_is_a_difference(tmp_path: Path, content: bytes) -> None:
    """There is nothing to compare with then."""
    export = single(tmp_path)
    export.manifest.write_bytes(content)
    verified = verify(export.path)
    assert (verified.summary, verified.duplicates) == (None, 0)
    assert verified.differences == ("the manifest is damaged, or was not written by intercom-exporter",)


@pytest.mark.parametrize("make", [lambda path: path.symlink_to(path), os.mkfifo, Path.mkdir])
def test_a_manifest_that_cannot_be_read_is_a_difference(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A link, a pipe, a folder: none of them is waited for or followed."""
    export = single(tmp_path)
    export.manifest.unlink()
    make(export.manifest)
    (difference,) = export.differences()
    assert difference.startswith(("the manifest is a symbolic link", "the manifest cannot be read: "))


def test_a_manifest_of_other_files_is_a_difference(tmp_path: Path) -> None:
    """A renamed export is compared all the same, one of several files cannot be."""
    export = single(tmp_path)
    export.change_manifest(file_name="../other\n.ndjson")
    assert export.differences() == (r"the manifest describes '../other\n.ndjson', not 'contacts.ndjson'",)
    export.change_manifest(files=[], contacts=0)
    assert export.differences() == ("the manifest describes 0 files, not 'contacts.ndjson'",)


@pytest.mark.parametrize("left", ["", ".part", ".checkpoint.json"])
def test_a_file_without_manifest_is_no_finished_export(tmp_path: Path, left: str) -> None:
    """It may be an unfinished one, and then it can be gone on with."""
    export = single(tmp_path)
    export.manifest.unlink()
    if left:
        (tmp_path / f"contacts.ndjson{left}").write_bytes(b"")
    (difference,) = export.differences()
    assert difference.startswith("no manifest: ")
    assert ("unfinished" in difference) is bool(left)


@pytest.mark.parametrize("left", ["", "contacts-00004.ndjson.gz.part", "checkpoint.json"])
def test_a_folder_without_manifest_is_no_finished_export(tmp_path: Path, left: str) -> None:
    """The same goes for a folder."""
    export = parts(tmp_path / "parts")
    export.manifest.unlink()
    if left:
        (export.path / left).write_bytes(b"")
    (difference,) = export.differences()
    assert difference.startswith("no manifest: ")
    assert ("unfinished" in difference) is bool(left)


def test_a_part_is_no_finished_export(tmp_path: Path) -> None:
    """It is named so that everybody sees it."""
    (tmp_path / "contacts.ndjson.part").write_bytes(b"")
    (difference,) = verify(tmp_path / "contacts.ndjson.part").differences
    assert "unfinished" in difference


@pytest.mark.parametrize(
    "name", ["contacts.ndjson", "contacts.ndjson.manifest.json", "manifest.json/x", ".manifest.json", "a\0b", "x" * 999]
)
def test_nothing_there_is_a_wrong_argument(tmp_path: Path, name: str) -> None:
    """Neither an export nor a manifest: the path is to be changed."""
    with pytest.raises(ConfigError, match="there is no export at"):
        verify(tmp_path / name)


def test_an_unfinished_export_alone_is_a_wrong_argument_that_says_so(tmp_path: Path) -> None:
    """Its file is not there yet."""
    (tmp_path / "contacts.ndjson.part").write_bytes(b"")
    with pytest.raises(ConfigError, match="unfinished"):
        verify(tmp_path / "contacts.ndjson")


def test_a_missing_file_is_a_difference(tmp_path: Path) -> None:
    """Of one file, or of a folder's."""
    export = single(tmp_path)
    export.path.unlink()
    assert export.differences() == ("'contacts.ndjson' is missing",)
    folder = parts(tmp_path / "parts")
    (folder.path / "contacts-00002.ndjson").unlink()
    assert folder.differences() == ("'contacts-00002.ndjson' is missing",)


def test_what_the_manifest_does_not_list_is_a_difference(tmp_path: Path) -> None:
    """Leftovers, folders and links: a folder holds its export and nothing else."""
    export = parts(tmp_path / "parts")
    for name in ("checkpoint.json", "contacts-00004.ndjson.part", "new\nline"):
        (export.path / name).write_bytes(b"")
    (export.path / "folder").mkdir()
    (export.path / "link").symlink_to(tmp_path)
    names = ["checkpoint.json", "contacts-00004.ndjson.part", "folder", "link", r"new\nline"]
    assert export.differences() == tuple(f"'{name}' is in the folder, but not in the manifest" for name in names)


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("other"), os.mkfifo, Path.mkdir])
def test_a_file_that_is_none_is_a_difference(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A link is not followed although what it leads to is right, a pipe is not waited for."""
    for export in (single(tmp_path), parts(tmp_path / "parts")):
        file = export.path / "contacts-00002.ndjson" if export.path.is_dir() else export.path
        file.rename(tmp_path / "other")
        make(file)
        found = [difference for difference in verify(export.manifest).differences if file.name in difference]
        assert found == [f"'{file.name}' is a symbolic link"] or f"'{file.name}' cannot be read: " in found[0]


@pytest.mark.parametrize("name", ["lost+found", "Thumbs.db", "@eaDir", ".DS_Store", "_SUCCESS"])
def test_verify_folder_with_what_systems_drop_finds_no_difference(tmp_path: Path, name: str) -> None:
    """What is no data is none of the export's, neither is the marker of a program that used it."""
    export = parts(tmp_path / "parts")
    (export.path / name).touch()
    assert export.differences() == ()


def test_verify_file_that_cannot_be_read_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails says nothing about the file; with a real difference beside it, that is what counts."""
    export = parts(tmp_path / "parts")
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
def test_a_file_that_may_not_be_read_is_a_difference(tmp_path: Path) -> None:
    """The other files are still looked at."""
    export = parts(tmp_path / "parts")
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
def test_names_that_lead_elsewhere_are_not_followed(tmp_path: Path, name: str) -> None:
    """A manifest may be anybody's."""
    single(tmp_path)
    export = parts(tmp_path / "parts")
    export.change_manifest(file_name=name)
    listed, extra = export.differences()
    assert listed.startswith("the manifest lists ")
    assert "contacts-00001.ndjson" in extra


def test_a_file_listed_twice_is_a_difference(tmp_path: Path) -> None:
    """It is read once."""
    export = parts(tmp_path / "parts")
    export.change_manifest(files=json.loads(export.manifest.read_bytes())["files"][:1] * 3, contacts=6)
    sentence = "the manifest lists 'contacts-00001.ndjson' more than once"
    assert export.differences()[:2] == (sentence, sentence)
    assert verify(export.path).duplicates == 0


def test_contacts_that_come_twice_are_no_difference(tmp_path: Path) -> None:
    """They are counted over all parts, however their ids are spelt, and some are named."""
    export = parts(tmp_path / "parts")
    again = [b'{"id":"6a0"}\n', b'{"id":"\\u0036a1"}\n', b'{"id":"\xe2\x80\xa8"}\n', b'{"id":"\\u2028"}\n']
    files = [
        write(export.path / "contacts-00001.ndjson", CONTACTS),
        write(export.path / "contacts-00002.ndjson", again),
    ]
    (export.path / "contacts-00003.ndjson").unlink()
    finish(export.manifest, *files)
    verified = verify(export.path)
    assert verified.duplicates == 3
    assert verified.differences == ()
    (warning,) = verified.warnings
    assert warning.startswith("3 duplicate ids, for example ")
    for shown in ("'6a0'", "'6a1'", r"'\u2028'"):
        assert shown in warning


@pytest.mark.parametrize("make", [single, lambda folder: parts(folder / "parts", ".ndjson.gz")])
def test_progress_is_told_all_along(
    tmp_path: Path, make: Callable[[Path], Export], monkeypatch: pytest.MonkeyPatch
) -> None:
    """File by file up to all bytes, and while ids are counted; by default seldom, but always at the end."""
    export = make(tmp_path)
    files = json.loads(export.manifest.read_bytes())["files"]
    end = VerifyProgress(files[-1]["name"], sum(file["bytes"] for file in files), sum(file["bytes"] for file in files))
    told: list[VerifyProgress] = []
    verify(export.path, told.append)
    assert told[-1] == end
    monkeypatch.setattr(exporter.archive.verify, "_NOTIFY_INTERVAL_S", 0)
    told.clear()
    verify(export.path, told.append)
    assert list(dict.fromkeys(one.file for one in told)) == [file["name"] for file in files]
    assert [one.bytes_read for one in told] == sorted(one.bytes_read for one in told)
    assert told.count(end) > 256


@SUFFIXES
def test_an_observer_can_end_it(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it raises is no finding about the file, even where it is of the same kind."""
    monkeypatch.setattr(exporter.archive.verify, "_NOTIFY_INTERVAL_S", 0)
    told: list[VerifyProgress] = []

    def stop(verifying: VerifyProgress) -> None:
        told.append(verifying)
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        verify(single(tmp_path, suffix).path, stop)
    assert len(told) == 1
