"""The names of an output's files: a single file, or parts in a folder."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.layout.paths import OutputPaths, is_folder_output, manifest_path, part_path, temporary_path

FILE = OutputPaths(Path("out/contacts.ndjson.gz"), ".ndjson.gz")
PARTS = OutputPaths(Path("out"), ".ndjson.gz", is_folder=True)


def test_output_paths_of_file_extend_its_name() -> None:
    """All files are beside the data file; the part number does not matter."""
    assert FILE.folder == Path("out")
    assert FILE.file(1) == FILE.file(2) == Path("out/contacts.ndjson.gz")
    assert FILE.part(1) == Path("out/contacts.ndjson.gz.part")
    assert FILE.checkpoint == Path("out/contacts.ndjson.gz.checkpoint.json")
    assert FILE.manifest == Path("out/contacts.ndjson.gz.manifest.json")


def test_output_paths_of_folder_are_inside_it() -> None:
    """Part numbers have five digits, so that the names sort in the order of the parts."""
    assert PARTS.folder == Path("out")
    assert PARTS.file(1) == Path("out/contacts-00001.ndjson.gz")
    assert PARTS.part(12) == Path("out/_contacts-00012.ndjson.gz.part")
    assert PARTS.checkpoint == Path("out/_checkpoint.json")
    assert PARTS.manifest == Path("out/_manifest.json")


def test_output_paths_of_large_data_file_orders_have_more_digits() -> None:
    """No number is truncated or repeated."""
    assert PARTS.file(99_999).name == "contacts-99999.ndjson.gz"
    assert PARTS.file(100_000).name == "contacts-100000.ndjson.gz"
    assert PARTS.file(1_234_567).name == "contacts-1234567.ndjson.gz"


@given(number=st.integers(1, 10**12), suffix=st.sampled_from([".ndjson", ".ndjson.gz"]))
def test_order_of_finished_or_unfinished_file_is_its_number(number: int, suffix: str) -> None:
    """A data file is recognised in any format."""
    paths = OutputPaths(Path("out"), suffix, is_folder=True)
    assert PARTS.data_file_order(paths.file(number).name) == (number, 0)
    assert PARTS.data_file_order(paths.part(number).name) == (number, 0)


@pytest.mark.parametrize(
    "name",
    [
        *("", "contacts", "contacts.ndjson", "contacts-.ndjson", "contacts-00001", "contacts-0001.ndjson"),
        *("Contacts-00001.ndjson", "xcontacts-00001.ndjson", "contacts-00001.NDJSON", "contacts-00001ndjson"),
        *("contacts-0000\u0661.ndjson", "contacts-00001.ndjson\n", "contacts-00001.ndjson.part.part~"),
        *(
            "_manifest.json",
            "_checkpoint.json",
            "_contacts-00001.ndjson",
            ".contacts-00001.ndjson",
            "contacts--0001.ndjson",
            "notes.txt",
        ),
    ],
)
def test_order_of_foreign_name_is_none(name: str) -> None:
    """A name that an export does not write is not recognised."""
    assert PARTS.data_file_order(name) is None


def test_companion_paths_append_to_the_name() -> None:
    """The name of the file stays complete, whatever it is."""
    path = Path("a/b.c.d")
    assert manifest_path(path) == Path("a/b.c.d.manifest.json")
    assert part_path(path) == Path("a/b.c.d.part")
    assert temporary_path(path) == Path("a/b.c.d.tmp")


def test_is_folder_output_needs_a_slash_or_an_existing_folder(tmp_path: Path) -> None:
    """A path with a trailing slash is a folder before it exists; the name of a file is not."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    (tmp_path / "file").write_bytes(b"")
    assert is_folder_output(f"{tmp_path}/new/")
    assert is_folder_output(tmp_path / "folder")
    assert is_folder_output(str(tmp_path / "link"))
    assert not is_folder_output(tmp_path / "file")
    assert not is_folder_output(str(tmp_path / "new"))
    assert not is_folder_output(tmp_path / "file" / "below")
    assert not is_folder_output("a\0b")
    assert not is_folder_output("a" * 300)
