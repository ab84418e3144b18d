"""What stands where an output is to go, seen before anything is requested or written."""

import hashlib
import stat
from pathlib import Path
from typing import TypeGuard

from exporter.errors import CheckpointError, ConfigError
from exporter.model import SourceSummary, Summary
from exporter.sink.durable import pending_path, put_in_place, writing
from exporter.sink.file import part_path
from exporter.sink.manifest import decode_manifest, manifest_path

_LONGEST_NAME_BYTES = 255


def finished_export(
    path: Path, source: SourceSummary, limited_to_contacts: int | None, *, overwrite: bool
) -> Summary | None:
    """Look for a finished export at `path`. Blocks.

    Args:
        path: where the output is to go.
        source: what is asked for; the echoed version does not count.
        limited_to_contacts: the limit asked for.
        overwrite: whether a finished or foreign file is to be replaced.

    Returns:
        The summary of a finished export with the same settings, None when
        there is work to do.

    Raises:
        ConfigError: the folder is missing, a link or something that is no
            file is in the way, or a file that no manifest vouches for.
        CheckpointError: the finished export was made with other settings.
    """
    _refuse_odd_name(path)
    with writing(path):
        if not path.parent.is_dir():
            raise ConfigError(f"the folder of {str(path)!r} does not exist: make it first")
        manifest = manifest_path(path)
        for name in (path, part_path(path), manifest, pending_path(manifest)):
            _refuse_odd_file(name)
        if not path.exists():
            return None
        _finish_interrupted(path)
        if overwrite:
            return None
        summary = _summary_at(manifest)
        if not _vouches(summary, path):
            raise ConfigError(f"{str(path)!r} exists and is not a finished export: move it, or use --overwrite")
    differences = _differences(summary, source, limited_to_contacts)
    if differences:
        raise CheckpointError(
            f"{str(path)!r} is a finished export with another {', '.join(differences)}: "
            "choose another output, or use --overwrite",
            path=manifest,
        )
    return summary


def _finish_interrupted(path: Path) -> None:
    """Do the last rename of an export that died before it: its pending manifest vouches for the file."""
    pending = pending_path(manifest_path(path))
    summary = _summary_at(pending)
    if _vouches(summary, path) and summary.files[0].sha256 == _sha256(path):
        put_in_place(pending, manifest_path(path))


def _summary_at(manifest: Path) -> Summary | None:
    return decode_manifest(manifest.read_bytes()) if manifest.exists() else None


def _vouches(summary: Summary | None, path: Path) -> TypeGuard[Summary]:
    """Whether a manifest speaks of the file as it is, by name and length."""
    return summary is not None and [(file.name, file.bytes) for file in summary.files] == [
        (path.name, path.stat().st_size)
    ]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_odd_name(path: Path) -> None:
    try:
        fits = len(pending_path(manifest_path(path)).name.encode()) <= _LONGEST_NAME_BYTES and "\0" not in str(path)
    except UnicodeEncodeError:  # a manifest is JSON, and has to name the file
        fits = False
    if not fits:
        raise ConfigError("the output's name is too long, not UTF-8, or holds a NUL character: choose another one")


def _refuse_odd_file(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):
        raise ConfigError(f"{str(path)!r} is a symbolic link: personal data is written only to plain files")
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{str(path)!r} is not a regular file")


def _differences(summary: Summary, source: SourceSummary, limited_to_contacts: int | None) -> list[str]:
    names = ("base_url", "endpoint", "api_version", "per_page")
    differences = [name for name in names if getattr(summary.source, name) != getattr(source, name)]
    if summary.limited_to_contacts != limited_to_contacts:
        differences.append("max_contacts")
    return [name.replace("_", " ") for name in differences]
