"""`export`: write a workspace to a file, to a folder of parts, or to stdout."""

import os
from pathlib import Path
from typing import Unpack

import anyio.to_thread

from exporter.destination.async_writer import FileDestination
from exporter.destination.base import Destination
from exporter.destination.folder import FolderOutput
from exporter.destination.local import Output
from exporter.destination.stdout import StdoutDestination
from exporter.errors import ConfigError
from exporter.formats.facts import PARTS_FORMAT
from exporter.formats.registry import Format, format_for_name, format_for_stream, format_for_suffix
from exporter.job import Job, encoder_of, settings_of
from exporter.layout.paths import OutputPaths, is_folder_output
from exporter.layout.summary import Summary
from exporter.observe.events import Observer, null_observer
from exporter.observe.logging import logged, logger
from exporter.options import ExportKeywords, ExportOptions
from exporter.ranges.job import RangesJob
from exporter.source.intercom import Intercom, check_open
from exporter.tasks import run_in_task
from exporter.validation import check_path

_STDOUT = "-"


async def export(
    intercom: Intercom,
    path: str | os.PathLike[str],
    *,
    observer: Observer = null_observer,
    **options: Unpack[ExportKeywords],
) -> Summary:
    """Write every contact of a workspace to a file, to a folder of parts, or to stdout.

    An interrupted export to files resumes from its latest checkpoint. Its result
    is the same as that of an uninterrupted export.

    Args:
        intercom: the workspace, inside its block.
        path: the output file; its suffix selects the format: ``.ndjson``,
            ``.ndjson.gz``, ``.ndjson.zst`` (or ``.jsonl`` instead of ``.ndjson``), ``.csv``,
            ``.csv.gz`` or ``.parquet``. A path that ends with a slash, or an
            existing folder without such a suffix, is a folder of parts:
            ``contacts-00001.ndjson.gz``… ``"-"`` is standard output.
        observer: function that is called with each `Event`, in the event loop of this task.
        **options: the fields of `ExportOptions`, each as a keyword.

    Returns:
        The summary of the export. For a complete export no request is sent.

    Raises:
        ConfigError: an argument is invalid, or `path` cannot be written to or is occupied.
        SourceError: the API failed; the subclass names the kind of failure.
        SinkError: the destination failed.
        CheckpointError: the export at `path` has other settings or is damaged,
            or the API rejected the saved cursor.

    Cancellation:
        The export finishes writing the current page and commits everything
        written; another call resumes. It does not wait for a silent server or
        for a reader that stopped reading.

    Durability:
        When this function returns, the files and their manifest are on disk.
        Until then, `path` has no manifest, and no single file has its name.
    """
    return await export_with(intercom, path, ExportOptions.of("export", ExportKeywords, options), observer)


async def export_with(
    intercom: Intercom, path: str | os.PathLike[str], options: ExportOptions, observer: Observer
) -> Summary:
    """Same as `export`, with its keywords in one object."""
    check_open(intercom)
    check_path(path)
    if os.fspath(path) == _STDOUT:
        if options.has_parts:
            raise ConfigError("parts are for files: name a folder, such as 'contacts/'")
        output_format = format_for_stream(options.compression, options.file_format)
        stdout = StdoutDestination(settings_of(intercom, options, output_format))
        return await _run(intercom, options, output_format, observer, stdout)
    if options.compression is not None:
        raise ConfigError("compression is for standard output; a file's suffix selects its format", "compression")
    paths, output_format = await anyio.to_thread.run_sync(resolve_output, path, options)
    settings = settings_of(intercom, options, output_format, has_parts=paths.is_folder)
    output = (FolderOutput if paths.is_folder else Output)(paths, settings, options)
    files = FileDestination(output, logged(observer))
    return await run_in_task(lambda: _run(intercom, options, output_format, observer, files))


async def _run(
    intercom: Intercom, options: ExportOptions, output_format: Format, observer: Observer, destination: Destination
) -> Summary:
    """Run an export with one cursor or with several. An unfinished export is resumed as what it is."""
    encoder = encoder_of(options, output_format)
    several = RangesJob(intercom, options, encoder, observer) if options.max_cursors > 1 else None
    single = Job(intercom, options, encoder, observer)
    async with destination:
        existing = await destination.open()
        if isinstance(existing, Summary):
            return existing
        has_plan = existing is not None and existing.plan is not None
        is_new = existing is None or not existing.position.pages
        if has_plan or (several is not None and is_new):
            several = several or RangesJob(intercom, options, encoder, observer)
            return await several.run(destination, existing)
        if several is not None:
            logger.info("an export that was started with one cursor is resumed with one cursor")
        return await single.run_opened(destination, existing)


def resolve_output(path: str | os.PathLike[str], options: ExportOptions) -> tuple[OutputPaths, Format]:
    """Return the paths and the format of an output: of one file, or of a folder of parts. Blocks.

    Raises:
        ConfigError: the output has no name, no format has its suffix, or an option contradicts it.
    """
    if not os.fspath(path):
        raise ConfigError("no output given: name a file, such as contacts.ndjson.gz, or a folder")
    if is_folder_output(path):
        output_format = format_for_suffix(f".{options.file_format or PARTS_FORMAT}")
        return OutputPaths(Path(path), output_format.suffix, is_folder=True), output_format
    path = Path(path)
    if options.max_cursors > 1:
        raise ConfigError(
            f"several cursors write a folder of parts, not one file: end the output with a slash, as in '{path.name}/' "
            "(cat joins the parts)",
            "cursors",
        )
    if options.has_parts:
        raise ConfigError(f"parts need a folder: end the output with a slash, as in '{path.name}/'")
    output_format = format_for_name(path.name)
    file_format = options.file_format
    if file_format is not None and format_for_suffix(f".{file_format}") != output_format:
        raise ConfigError(f"{path.name!r} does not have the suffix of format {file_format}")
    return OutputPaths(path, output_format.suffix), output_format
