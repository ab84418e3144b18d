"""Folders that are made, and names with other suffixes."""

import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

import exporter
from exporter.cli.output_names import make_parents
from exporter.errors import ConfigError

Serve = Callable[..., AbstractContextManager[Any]]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
async def test_jsonl_is_another_suffix_of_ndjson(intercom: exporter.Intercom, tmp_path: Path, suffix: str) -> None:
    """The same bytes, verified and recognised again."""
    other = suffix.replace("jsonl", "ndjson")
    summary = await exporter.export(intercom, tmp_path / f"a{suffix}")
    await exporter.export(intercom, tmp_path / f"a{other}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"a{other}").read_bytes()
    verified = await anyio.to_thread.run_sync(exporter.verify, tmp_path / f"a{suffix}")
    assert verified.differences == ()
    assert (await exporter.export(intercom, tmp_path / f"a{suffix}")).finished_at == summary.finished_at


def test_make_parents_creates_private_folders_and_leaves_others(tmp_path: Path) -> None:
    """As deep as needed, each for its owner alone."""
    tmp_path.chmod(0o755)
    make_parents(f"{tmp_path}/x/y/a.ndjson")
    make_parents(f"{tmp_path}/x/y/a.ndjson")
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in (".", "x", "x/y")] == [0o755, 0o700, 0o700]
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be created"):
        make_parents(f"{tmp_path}/file/y/a.ndjson")


def test_mkdir_creates_nothing_for_a_refused_output(command: Any) -> None:
    """A file, a folder of parts; an unknown suffix leaves no folder behind."""
    assert command.run("demo", "--contacts=3", "-q", "-o", "x/y/a.ndjson", "--mkdir").returncode == 0
    assert command.run("demo", "--contacts=3", "-q", "-o", "z/parts/", "--mkdir").returncode == 0
    assert (command.folder / "x/y/a.ndjson").exists()
    assert list((command.folder / "z/parts").glob("contacts-*"))
    assert command.run("demo", "-o", "n/a.xml", "--mkdir").returncode == 2
    assert command.run("demo", "-o", "x/y/a.ndjson/b/c.ndjson", "--mkdir").returncode == 2
    assert not (command.folder / "n").exists()


def test_version_has_a_short_option(command: Any) -> None:
    """As other commands have."""
    assert command.run("-V").stdout.decode().strip() == exporter.__version__
