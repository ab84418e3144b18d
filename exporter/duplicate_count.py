"""Contacts that an export lists twice, counted at its end."""

from collections.abc import Iterable, Sequence
from functools import partial

from anyio import from_thread, to_thread

from exporter.archive.key_count import KeyCount
from exporter.archive.read_back import read_back
from exporter.destination.local import Output
from exporter.job import Run
from exporter.rawjson.contact_keys import page_keys

_ROWS = "csv"


async def count_duplicates(run: Run, keys: KeyCount, output: Output | None = None) -> None:
    """Tell a run how many of its contacts were listed before, where that can be known.

    A resumed export reads the contacts of earlier runs back from its files. Of
    CSV and of contacts without ids it cannot, and the count stays unknown.

    Args:
        run: whose pages are all written.
        keys: those of this run's contacts.
        output: where they were written, None for standard output.

    Cancellation:
        Ends it soon; nothing is lost but the count.
    """
    if output is None or not output.resumed:
        run.duplicates = await to_thread.run_sync(keys.count, from_thread.check_cancelled)
        return
    if run.summary(output.settings).has_ids and not output.settings.format.startswith(_ROWS):
        records = partial(read_back, output.place, has_part=output.part is not None)
        again = KeyCount(output.place.folder, check_space=output.check_free_space)
        run.duplicates = await to_thread.run_sync(lambda: _count_again(records(), again))


def _count_again(batches: Iterable[Sequence[bytes]], keys: KeyCount) -> int | None:
    try:
        for batch in batches:
            from_thread.check_cancelled()
            keys.add(page_keys(batch))
            if keys.is_full:
                keys.spill()
        return keys.count(from_thread.check_cancelled)
    except OSError:
        return None
    finally:
        keys.close()
