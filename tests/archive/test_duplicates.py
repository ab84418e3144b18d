"""Repeated ids are counted exactly, whatever is spilled, and in flat memory."""

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
    """Let temporary files go into a folder of the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def repeated_in(ids: list[bytes], buffered_ids: int, at_once: int = 3) -> Duplicates:
    """Count a list of ids, given a few at a time."""
    with DuplicateCounter(len(ids), buffered_ids=buffered_ids) as taken:
        for start in range(0, len(ids), at_once):
            taken.add(ids[start : start + at_once])
        return taken.count()


@given(st.lists(contact_ids, max_size=60), st.integers(0, 70), st.integers(1, 20))
def test_any_ids_are_counted_exactly(ids: list[bytes], buffered_ids: int, at_once: int) -> None:
    """The surplus is what a set would say, whatever is spilled when; examples are ids that did come twice."""
    repeated = repeated_in(ids, buffered_ids, at_once)
    assert repeated.count == len(ids) - len(set(ids))
    several = {contact_id for contact_id, count in Counter(ids).items() if count > 1}
    assert len(set(repeated.examples)) == len(repeated.examples) == min(3, len(several))
    assert {example for example in repeated.examples if not example.startswith(b"sha256:")} <= several


def test_what_fits_is_not_spilled(temporary: Path) -> None:
    """No file is made for a small export."""
    with DuplicateCounter(buffered_ids=4) as ids:
        ids.add([b"1", b"2", b"1", b"3"])
        assert ids.count() == Duplicates(1, (b"1",))
        assert list(temporary.iterdir()) == []


def test_spilled_ids_are_private_and_go_with_the_block(temporary: Path) -> None:
    """They stand in a folder of this user's alone, also when the block fails."""
    with pytest.raises(KeyError), DuplicateCounter(buffered_ids=1) as ids:
        ids.add([b"1", b"2"])
        (folder,) = temporary.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        raise KeyError
    assert list(temporary.iterdir()) == []


def test_one_id_over_and_over_is_one_example(temporary: Path) -> None:
    """A bucket much larger than the pieces it is read in is counted all the same."""
    hot = b"x" * MAX_ID_BYTES
    assert repeated_in([hot] * 20_000, 100, 50) == Duplicates(19_999, (hot,))


@pytest.mark.parametrize("expected", [-1, 0, 250_000_000, 2**63])
def test_more_ids_are_spread_over_more_files(temporary: Path, expected: int) -> None:
    """Any number may be expected: a manifest may be anybody's."""
    with DuplicateCounter(expected, buffered_ids=2_000) as ids:
        ids.add([b"%d" % number for number in range(2_001)])
        ids.add([b"0", b"2000"])
        assert ids.count().count == 2
        (folder,) = temporary.iterdir()
        assert (len(list(folder.iterdir())) > 256) is (expected > 100_000_000)


def test_no_folder_for_temporary_files_is_a_failure_that_says_so(temporary: Path) -> None:
    """It names TMPDIR, where another folder can be chosen."""
    temporary.rmdir()
    with pytest.raises(SinkError, match="TMPDIR"):
        repeated_in([b"1", b"2"], 1)


def test_spilled_ids_that_vanish_are_a_failure(temporary: Path) -> None:
    """Whatever tidies the temporary folder up does not make the count wrong."""
    with DuplicateCounter(buffered_ids=1) as ids:
        ids.add([b"1", b"2"])
        (folder,) = temporary.iterdir()
        shutil.rmtree(folder)
        with pytest.raises(SinkError, match="No such file"):
            ids.count()


FULL = """
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
def test_no_room_for_the_ids_is_a_failure_that_says_how_much_it_takes(temporary: Path) -> None:
    """A file that cannot grow is a SinkError, and nothing stays behind."""
    done = subprocess.run(
        [sys.executable, "-c", FULL], env={"TMPDIR": str(temporary)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "free disk space" in done.stderr) == (1, True), done.stderr
    assert list(temporary.iterdir()) == []


FLAT = """
import resource
from exporter.archive.duplicates import DuplicateCounter

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with DuplicateCounter() as ids:
    for start in range(0, 1_000_000, 1_000):
        ids.add([b"%024x" % (number % 999_999) for number in range(start, start + 1_000)])
    assert ids.count().count == 1
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss in kB")
def test_a_million_ids_take_little_memory() -> None:
    """A set of them would take 120 MB."""
    done = subprocess.run([sys.executable, "-c", FLAT], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 30_000
