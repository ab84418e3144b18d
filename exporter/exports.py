"""`export`: a workspace into a file, into a folder of parts, or to stdout."""

import os
from pathlib import Path

import anyio.to_thread

from exporter.destination.async_writer import FileDestination
from exporter.destination.local import Output
from exporter.destination.stdout import StdoutDestination
from exporter.errors import ConfigError
from exporter.formats.facts import PARTS_FORMAT
from exporter.formats.registry import Format, format_for_name, format_for_stream, format_for_suffix
from exporter.formats.selection import EVERY_FIELD, FieldSelection
from exporter.job import Job, encoder_of, settings_of
from exporter.layout.paths import OutputPaths, is_folder_output
from exporter.model import Summary
from exporter.observe.events import Observer, null_observer
from exporter.observe.logging import logged
from exporter.options import NO_EXPANSION, ExportOptions, ListExpansion
from exporter.pipeline import run_in_task
from exporter.rawjson.normalization import Records
from exporter.source.intercom import Intercom, check_open
from exporter.validation import check_path

_STDOUT = "-"


async def export(  # noqa: PLR0913 - a contract; each is one independent setting
    intercom: Intercom,
    path: str | os.PathLike[str],
    *,
    consumers: int = 2,
    queue_pages: int = 4,
    max_contacts: int | None = None,
    overwrite: bool = False,
    restart: bool = False,
    compression: str | None = None,
    file_format: str | None = None,
    part_contacts: int | None = None,
    part_bytes: int | None = None,
    selection: FieldSelection = EVERY_FIELD,
    expansion: ListExpansion = NO_EXPANSION,
    csv_raw: bool = False,
    csv_bom: bool = False,
    records: Records = "exact",
    allow_shortfall: bool = False,
    checkpoint_every_s: float = 1.0,
    min_free_bytes: int = 0,
    observer: Observer = null_observer,
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
        consumers: tasks that encode and write; the output does not depend on it.
        queue_pages: pages that wait between fetching and encoding.
        max_contacts: stop after so many contacts and finish the output.
        overwrite: replace a finished export, one with other settings, or a
            foreign file of that name; a file stays until the new one is
            complete, parts go at once. An unfinished export with the same
            settings is still resumed.
        restart: discard an unfinished export and start over.
        compression: ``"gzip"``, ``"zstd"`` or None, for standard output only.
        file_format: one of those suffixes without its first dot, for a folder of parts;
            for standard output ``"ndjson"`` or ``"csv"``.
        part_contacts: most contacts in a part. A part holds whole pages, and
            at least one.
        part_bytes: most bytes in a part; default: 1 GB. A part holds whole pages, and at least one.
        selection: what is written of each contact; exactly what was sent without it.
        expansion: which lists of contacts are completed first. Each consumer
            completes one page at a time: more of them hide its latency.
        csv_raw: leave cells of CSV that a spreadsheet would run as formulas as they are.
        csv_bom: begin each file of CSV with a UTF-8 byte-order mark, for Excel.
        records: ``"exact"``: a contact's bytes are the API's. ``"normalized"``: what strict JSON readers refuse or
            change silently is corrected, and counted in the manifest.
        allow_shortfall: finish although the list ends far before the API's count of contacts, where that count
            is known to be wrong. Else the last page is asked for again, later, and then a `ContractError` is raised.
        checkpoint_every_s: seconds between two checkpoints, 0 for one a page;
            64 MB call for one too.
        min_free_bytes: free space that no write takes from the disk.
        observer: called with each `Event`, in this task's event loop.

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
    return await export_with(intercom, path, ExportOptions.of(locals()), observer)


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
