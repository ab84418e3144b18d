"""`export`: a workspace into a file, into a folder of parts, or to stdout."""

import io
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType
from typing import Any

import anyio
import anyio.to_thread

from exporter.archive.key_count import KeyCount
from exporter.destination.async_writer import FileSink
from exporter.destination.local import Output
from exporter.destination.stdout import StdoutSink
from exporter.destination.write_policy import Manners
from exporter.duplicate_count import count_duplicates
from exporter.errors import CheckpointError, ConfigError, CursorError
from exporter.formats.registry import Format, format_of_name, format_of_stream, format_of_suffix
from exporter.formats.selection import AS_SENT, Shape
from exporter.job import Run
from exporter.layout.paths import Place, means_a_folder
from exporter.model import Summary
from exporter.observe.events import Observer, ignore
from exporter.observe.logging import logged
from exporter.pipeline import Flow, in_a_task, one_failure
from exporter.rawjson.normalization import Records
from exporter.source.expansion import NO_EXPANSION, Expansion
from exporter.source.intercom import Intercom, check_open
from exporter.validation import MAX_BYTES, MAX_CONTACTS, Kinds, check_kinds, check_path

_STDOUT = "-"
_KINDS: dict[str, Kinds] = {"file_format": (str, NoneType), "overwrite": bool, "restart": bool}


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
    shape: Shape = AS_SENT,
    expansion: Expansion = NO_EXPANSION,
    csv_raw: bool = False,
    csv_bom: bool = False,
    records: Records = "exact",
    allow_shortfall: bool = False,
    checkpoint_every_s: float = 1.0,
    min_free_bytes: int = 0,
    observer: Observer = ignore,
) -> Summary:
    """Write every contact of a workspace to a file, to a folder of parts, or to stdout.

    An export to files that was interrupted, by whatever, goes on where its
    latest checkpoint says; the result is what an uninterrupted one would be.

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
            settings goes on all the same.
        restart: drop an unfinished export.
        compression: ``"gzip"``, ``"zstd"`` or None, for standard output only.
        file_format: one of those suffixes without its first dot, for a folder of parts;
            for standard output ``"ndjson"`` or ``"csv"``.
        part_contacts: most contacts in a part. A part holds whole pages, and
            at least one.
        part_bytes: most bytes in a part, 1 GB without a word; likewise.
        shape: what is written of each contact; exactly what was sent without it.
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
        min_free_bytes: room to leave on the disk.
        observer: called with each `Event`, from this task's event loop.

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
        calling it again goes on. A silent server or a reader who stopped
        reading is not waited for.

    Durability:
        When this returns, the files and their manifest are on disk. Until then
        no manifest, and no single file, of that name appears.
    """
    check_open(intercom)
    check_path(path)
    check_kinds({"file_format": file_format, "overwrite": overwrite, "restart": restart}, _KINDS)
    parts = Parts(part_contacts, part_bytes)

    def flow_of(form: Format) -> Flow:
        flow = Flow(form, consumers, queue_pages, max_contacts, shape)
        return replace(flow, csv_bom=csv_bom, records=records, allow_shortfall=allow_shortfall)

    if os.fspath(path) == _STDOUT:
        if parts != Parts():
            raise ConfigError("parts are for files: name a folder, such as 'contacts/'")
        flow = flow_of(format_of_stream(compression, file_format))
        run = Run(intercom, flow, observer, expansion, csv_raw=csv_raw)
        with closing(KeyCount()) as keys:
            run.keys = keys
            await run.into(StdoutSink(opening=await run.prepare()).append)
            await count_duplicates(run, keys)
        return run.summary(run.settings())
    if compression is not None:
        raise ConfigError("compression is for standard output; a file's suffix picks its format", "compression")
    manners = Manners(
        overwrite=overwrite, restart=restart, min_free_bytes=min_free_bytes, checkpoint_every_s=checkpoint_every_s
    )
    place, form = await anyio.to_thread.run_sync(destination, path, file_format, parts)
    flow = flow_of(form)
    run = Run(intercom, flow, observer, expansion, csv_raw=csv_raw)
    settings = run.settings_of(place, parts.contacts, parts.bytes)
    output = Output(place, settings, manners)
    with closing(KeyCount(place.folder, check_space=output.check_free_space)) as keys:
        return await in_a_task(lambda: _to_files(run, keys, output, form.convert))


async def _to_files(
    run: Run, keys: KeyCount, output: Output, convert: Callable[[io.BufferedIOBase, Sequence[str]], Any] | None
) -> Summary:
    async with FileSink(output, run.figures, logged(run.observer)) as sink:
        if output.finished:
            return output.finished
        if output.resumed:
            try:
                run.go_on(output.resumed)
            except ValueError:
                path = output.place.checkpoint
                raise CheckpointError(
                    f"the checkpoint {str(path)!r} is damaged: use --restart to begin anew", path=path
                ) from None
        await sink.commit()  # from its first moment a run counts, and its settings are on record
        sink.opening = await run.prepare()
        run.keys = None if output.resumed else keys
        if convert:
            output.make = lambda file: convert(file, run.columns)
        try:
            with one_failure():
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(sink.keep_committing)
                    await run.into(sink.append, sink.commit_if_due)
                    tasks.cancel_scope.cancel()
        except CursorError as exc:
            raise CheckpointError(
                f"the API does not accept the cursor any more at which this export goes on ({exc}); "
                "if that stays so, use --restart to begin anew",
                path=output.place.checkpoint,
            ) from exc
        await count_duplicates(run, keys, output)
        return await sink.finish(lambda files: run.summary(output.settings, files))


@dataclass(frozen=True, slots=True)
class Parts:
    """How large parts may get: contacts and bytes, None where nothing was said."""

    contacts: int | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        for name, most in (("contacts", MAX_CONTACTS), ("bytes", MAX_BYTES)):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not 1 <= value <= most):
                keyword = f"part_{name}"
                raise ConfigError(f"{keyword} must be a whole number from 1 to {most:,}, not {value!r}", keyword)


def destination(path: str | os.PathLike[str], file_format: str | None, parts: Parts) -> tuple[Place, Format]:
    """Decide between one file and a folder of parts, and on the format."""
    if not os.fspath(path):
        raise ConfigError("the output has no name: it must end with .ndjson.gz, for one, or be a folder")
    if means_a_folder(path):
        form = format_of_suffix(f".{file_format or 'ndjson.gz'}")
        return Place(Path(path), form.suffix, parts=True), form
    path = Path(path)
    if parts != Parts():
        raise ConfigError(f"parts need a folder: end the output with a slash, as in '{path.name}/'")
    form = format_of_name(path.name)
    if file_format is not None and format_of_suffix(f".{file_format}") != form:
        raise ConfigError(f"the output's suffix picks its format, and {path.name!r} is no {file_format}")
    return Place(path, form.suffix), form
