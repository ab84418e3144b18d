"""DuplicateCounter counts exactly, with and without spill files, in bounded memory."""

import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import SinkError
from exporter.archive.duplicates import MAX_ID_BYTES, DuplicateCounter, Duplicates

contact_ids = (
    st.sampled_from([b"", b"1", b"2", b"3", b"\n", b"1\n2", b"\xff", b"sha256:", b"x" * 64, b"x" * 65, b"y" * 100_000])
    | st.integers(0, 50).map(b"%d".__mod__)
    | st.binary(max_size=100)
)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a folder of the test for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def count_duplicates(ids: list[bytes], buffered_ids: int, at_once: int = 3) -> Duplicates:
    """Add ids in small batches, and return the duplicates."""
    with DuplicateCounter(len(ids), buffered_ids=buffered_ids) as counter:
        for start in range(0, len(ids), at_once):
            counter.add(ids[start : start + at_once])
        return counter.count()


@given(st.lists(contact_ids, max_size=60), st.integers(0, 70), st.integers(1, 20))
def test_duplicate_counter_with_any_ids_is_exact(ids: list[bytes], buffered_ids: int, at_once: int) -> None:
    """The count equals that of a set, whenever ids are spilled; all examples are duplicate ids."""
    duplicates = count_duplicates(ids, buffered_ids, at_once)
    assert duplicates.count == len(ids) - len(set(ids))
    duplicate_ids = {contact_id for contact_id, count in Counter(ids).items() if count > 1}
    assert len(set(duplicates.examples)) == len(duplicates.examples) == min(3, len(duplicate_ids))
    assert {example for example in duplicates.examples if not example.startswith(b"sha256:")} <= duplicate_ids


def test_duplicate_counter_with_few_ids_creates_no_file(temporary: Path) -> None:
    """A small export needs no temporary file."""
    with DuplicateCounter(buffered_ids=4) as ids:
        ids.add([b"1", b"2", b"1", b"3"])
        assert ids.count() == Duplicates(1, (b"1",))
        assert list(temporary.iterdir()) == []


def test_duplicate_counter_spill_folder_is_private_and_removed(temporary: Path) -> None:
    """Only this user can read the folder; it is removed even when the block raises."""
    with pytest.raises(KeyError), DuplicateCounter(buffered_ids=1) as ids:
        ids.add([b"1", b"2"])
        (folder,) = temporary.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        raise KeyError
    assert list(temporary.iterdir()) == []


def test_duplicate_counter_with_one_repeated_id_returns_one_example(temporary: Path) -> None:
    """A bucket much larger than one read is counted exactly."""
    repeated_id = b"x" * MAX_ID_BYTES
    assert count_duplicates([repeated_id] * 20_000, 100, 50) == Duplicates(19_999, (repeated_id,))


@pytest.mark.parametrize("expected", [-1, 0, 250_000_000, 2**63])
def test_duplicate_counter_with_more_expected_ids_uses_more_files(temporary: Path, expected: int) -> None:
    """Any expected number is accepted, because a manifest is untrusted input."""
    with DuplicateCounter(expected, buffered_ids=2_000) as ids:
        ids.add([b"%d" % number for number in range(2_001)])
        ids.add([b"0", b"2000"])
        assert ids.count().count == 2
        (folder,) = temporary.iterdir()
        assert (len(list(folder.iterdir())) > 256) is (expected > 100_000_000)


def test_duplicate_counter_without_temporary_folder_raises_sink_error(temporary: Path) -> None:
    """The error names TMPDIR, which selects another folder."""
    temporary.rmdir()
    with pytest.raises(SinkError, match="TMPDIR"):
        count_duplicates([b"1", b"2"], 1)


def test_duplicate_counter_with_deleted_spill_files_raises_sink_error(temporary: Path) -> None:
    """A program that cleans the temporary folder does not cause a wrong count."""
    with DuplicateCounter(buffered_ids=1) as ids:
        ids.add([b"1", b"2"])
        (folder,) = temporary.iterdir()
        shutil.rmtree(folder)
        with pytest.raises(SinkError, match="No such file"):
            ids.count()


FULL_DISK_PROGRAM = """
import resource, signal, sys
from exporter import SinkError
from exporter.archive.duplicates import DuplicateCounter

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
with DuplicateCounter(buffered_ids=1) as ids:
    try:
        ids.add([b"0123456789", b"0123456789"])
    except SinkError as exc:
        sys.exit(str(exc))
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no such limit here")
def test_duplicate_counter_on_full_disk_raises_sink_error(temporary: Path) -> None:
    """The error mentions free disk space, and no temporary file stays."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK_PROGRAM],
        env={"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "free disk space" in done.stderr) == (1, True), done.stderr
    assert list(temporary.iterdir()) == []


MEMORY_PROGRAM = """
import resource
from exporter.archive.duplicates import DuplicateCounter

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with DuplicateCounter() as ids:
    for start in range(0, 1_000_000, 1_000):
        ids.add([b"%024x" % (number % 999_999) for number in range(start, start + 1_000)])
    assert ids.count().count == 1
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss in kB")
def test_duplicate_counter_with_million_ids_keeps_memory_bounded() -> None:
    """A set of these ids would take 120 MB."""
    done = subprocess.run([sys.executable, "-c", MEMORY_PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 30_000
