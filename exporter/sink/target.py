"""What stands where an output is to go, seen before anything is requested or written."""

import stat
from pathlib import Path

from exporter.errors import CheckpointError, ConfigError
from exporter.model import SourceSummary, Summary
from exporter.sink.durable import writing
from exporter.sink.file import part_path
from exporter.sink.manifest import decode_manifest, manifest_path


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
    if "\0" in str(path):
        raise ConfigError("the output's name holds a NUL character")
    with writing(path):
        if not path.parent.is_dir():
            raise ConfigError(f"the folder of {str(path)!r} does not exist: make it first")
        for name in (path, part_path(path), manifest_path(path)):
            _refuse_odd_file(name)
        if overwrite or not path.exists():
            return None
        manifest = manifest_path(path)
        summary = decode_manifest(manifest.read_bytes()) if manifest.exists() else None
        if summary is None or [(path.name, path.stat().st_size)] != [(f.name, f.bytes) for f in summary.files]:
            raise ConfigError(f"{str(path)!r} exists and is not a finished export: move it, or use --overwrite")
    differences = _differences(summary, source, limited_to_contacts)
    if differences:
        raise CheckpointError(
            f"{str(path)!r} is a finished export with another {', '.join(differences)}: "
            "choose another output, or use --overwrite",
            path=manifest,
        )
    return summary


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
