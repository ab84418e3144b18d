"""`export`: a workspace into a file, into a folder of parts, or to stdout."""

import os
from pathlib import Path
from typing import Unpack

import anyio.to_thread

from exporter.destination.async_writer import FileDestination
from exporter.destination.local import Output
from exporter.destination.stdout import StdoutDestination
from exporter.errors import ConfigError
from exporter.formats.facts import PARTS_FORMAT
from exporter.formats.registry import Format, format_for_name, format_for_stream, format_for_suffix
from exporter.job import Job, encoder_of, settings_of
from exporter.layout.paths import OutputPaths, is_folder_output
from exporter.model import Summary
from exporter.observe.events import Observer, null_observer
from exporter.observe.logging import logged
from exporter.options import ExportKeywords, ExportOptions
from exporter.pipeline import run_in_task
from exporter.source.intercom import Intercom, check_open
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

    An interrupted export to files resumes where its latest checkpoint says; the
    result is what an uninterrupted one would be.

    Args:
        intercom: the workspace, inside its block.
        path: the file; its suffix picks the format, ``.ndjson``,
            ``.ndjson.gz``, ``.ndjson.zst`` (``.jsonl`` for ``.ndjson`` is the same), ``.csv``,
            ``.csv.gz`` or ``.parquet``. A path that ends with a slash,
            or is a folder not called like a file, gets parts
            ``contacts-00001.ndjson.gz``… ``"-"`` is standard output.
        observer: called with each `Event`, in this task's event loop.
        **options: the fields of `ExportOptions`, each as a keyword.

    Returns:
        The figures of the export, also when it was already finished: then no
        request is sent.

    Raises:
        ConfigError: an argument is wrong, or something is in the way at `path`.
        SourceError: the API failed; its kind says how.
        SinkError: the destination failed.
        CheckpointError: what is at `path` has other settings or is damaged, or
            the API does not accept the cursor any more.

    Cancellation:
        The page being written is finished and everything written is committed;
        calling it again resumes. A silent server or a reader who stopped
        reading is not waited for.

    Durability:
        When this returns, the files and their manifest are on disk. Until then
        no manifest, and no single file, of that name appears.
    """
    return await export_with(intercom, path, ExportOptions.of("export", ExportKeywords, options), observer)


async def export_with(
    intercom: Intercom, path: str | os.PathLike[str], options: ExportOptions, observer: Observer
) -> Summary:
    """Do what `export` does, with its keywords in one object."""
    check_open(intercom)
    check_path(path)
    if os.fspath(path) == _STDOUT:
        if options.has_parts:
            raise ConfigError("parts are for files: name a folder, such as 'contacts/'")
        output_format = format_for_stream(options.compression, options.file_format)
        job = Job(intercom, options, encoder_of(options, output_format), observer)
        return await job.run(StdoutDestination(settings_of(intercom, options, output_format)))
    if options.compression is not None:
        raise ConfigError("compression is for standard output; a file's suffix picks its format", "compression")
    paths, output_format = await anyio.to_thread.run_sync(resolve_output, path, options)
    job = Job(intercom, options, encoder_of(options, output_format), observer)
    output = Output(paths, settings_of(intercom, options, output_format, has_parts=paths.is_folder), options)
    return await run_in_task(lambda: job.run(FileDestination(output, logged(observer))))


def resolve_output(path: str | os.PathLike[str], options: ExportOptions) -> tuple[OutputPaths, Format]:
    """Decide between one file and a folder of parts, and on the format. Blocks."""
    if not os.fspath(path):
        raise ConfigError("the output has no name: it must end with .ndjson.gz, for one, or be a folder")
    if is_folder_output(path):
        output_format = format_for_suffix(f".{options.file_format or PARTS_FORMAT}")
        return OutputPaths(Path(path), output_format.suffix, is_folder=True), output_format
    path = Path(path)
    if options.has_parts:
        raise ConfigError(f"parts need a folder: end the output with a slash, as in '{path.name}/'")
    output_format = format_for_name(path.name)
    wanted = options.file_format
    if wanted is not None and format_for_suffix(f".{wanted}") != output_format:
        raise ConfigError(f"the output's suffix picks its format, and {path.name!r} is no {wanted}")
    return OutputPaths(path, output_format.suffix), output_format
