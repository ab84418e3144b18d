"""What the files of an output are called: one file, or the parts in a folder."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.layout.paths import OutputPaths, is_folder_output, manifest_path, part_path, temporary_path

FILE = OutputPaths(Path("out/contacts.ndjson.gz"), ".ndjson.gz")
PARTS = OutputPaths(Path("out"), ".ndjson.gz", is_folder=True)


def test_the_names_of_a_single_file() -> None:
    """Everything stands beside the file, under its name and more; its number does not matter."""
    assert FILE.folder == Path("out")
    assert FILE.file(1) == FILE.file(2) == Path("out/contacts.ndjson.gz")
    assert FILE.part(1) == Path("out/contacts.ndjson.gz.part")
    assert FILE.checkpoint == Path("out/contacts.ndjson.gz.checkpoint.json")
    assert FILE.manifest == Path("out/contacts.ndjson.gz.manifest.json")


def test_the_names_of_parts() -> None:
    """Everything is inside the folder; parts have five digits, so that they sort as they follow one another."""
    assert PARTS.folder == Path("out")
    assert PARTS.file(1) == Path("out/contacts-00001.ndjson.gz")
    assert PARTS.part(12) == Path("out/_contacts-00012.ndjson.gz.part")
    assert PARTS.checkpoint == Path("out/_checkpoint.json")
    assert PARTS.manifest == Path("out/_manifest.json")


def test_numbers_grow_beyond_five_digits() -> None:
    """No number is cut or comes twice."""
    assert PARTS.file(99_999).name == "contacts-99999.ndjson.gz"
    assert PARTS.file(100_000).name == "contacts-100000.ndjson.gz"
    assert PARTS.file(1_234_567).name == "contacts-1234567.ndjson.gz"


@given(number=st.integers(1, 10**12), suffix=st.sampled_from([".ndjson", ".ndjson.gz"]))
def test_a_number_is_read_from_either_name(number: int, suffix: str) -> None:
    """Finished or not, and in whatever format, a data file is recognised."""
    paths = OutputPaths(Path("out"), suffix, is_folder=True)
    assert PARTS.part_number(paths.file(number).name) == number
    assert PARTS.part_number(paths.part(number).name) == number


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
def test_other_names_mean_no_data_file(name: str) -> None:
    """What an export does not write is not taken for its own."""
    assert PARTS.part_number(name) is None


def test_names_are_made_by_appending() -> None:
    """Whatever a file is called, its companions only have more behind it."""
    path = Path("a/b.c.d")
    assert manifest_path(path) == Path("a/b.c.d.manifest.json")
    assert part_path(path) == Path("a/b.c.d.part")
    assert temporary_path(path) == Path("a/b.c.d.tmp")


def test_a_folder_is_meant_by_a_slash_or_by_being_one(tmp_path: Path) -> None:
    """A path that ends with a slash is a folder even before it is made; a file's name is none."""
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
