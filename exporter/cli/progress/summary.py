"""Lines about a finished export: warnings, and a summary of retries and waits."""

from collections.abc import Iterator

from exporter.layout.summary import Summary
from exporter.rawjson.normalization import NAMES
from exporter.state import counts
from exporter.text import count, duration

_MAX_FIELDS = 5


def warnings(summary: Summary) -> Iterator[str]:
    """Yield what the user should check, a sentence each."""
    yield from _incomplete_lists(summary)
    if summary.unknown_fields:
        yield f"fields not found in any contact: {', '.join(summary.unknown_fields)} (check the spelling)"
    if summary.schema_drift:
        yield _drift_warning(summary)
    if summary.corrections:
        kinds = (f"{number:,} {NAMES.get(kind, kind)}" for kind, number in summary.corrections.items())
        yield f"corrected for strict JSON readers: {', '.join(kinds)}"
    if summary.irregular_contacts:
        yield (
            f"at least {count(summary.irregular_contacts, 'contact')} cannot be loaded unchanged by strict JSON "
            "readers, such as DuckDB and pandas: --records normalized writes what they take"
        )
    yield from _duplicate_warnings(summary)
    counted = summary.total_count_last
    if sentence := shortfall_warning(summary):
        yield sentence
    elif summary.complete and summary.proof is None and counted not in (None, summary.contacts):
        yield (
            f"the API reports {count(counted, 'contact')} but listed {summary.contacts:,}: contacts created, updated "
            "or deleted during the export may be missing or duplicated"
        )


def proof_line(summary: Summary) -> str | None:
    """Return what proves that an export with several cursors is complete; None for the list."""
    proof = summary.proof
    if proof is None:
        return None
    existed = count(proof.distinct, "contact")
    added = f", {count(proof.late, 'contact')} found late" if proof.late else ""
    if proof.by == "ids":
        return f"complete: every id of the list is written{added}, {proof.listed:,} found only in the list"
    return f"complete by counts: {existed} of {proof.list_first:,} at the start, none twice{added}"


def shortfall_warning(summary: Summary) -> str | None:
    """Return how many contacts a list lacks that was allowed to end early; None if it lacks none."""
    if not summary.shortfall:
        return None
    return (
        f"the list ended after {count(summary.contacts, 'contact')}, although "
        f"{counts(summary.total_count_last, summary.total_count_first)}: {summary.shortfall:,} may be missing"
    )


def _duplicate_warnings(summary: Summary) -> Iterator[str]:
    """Yield how many contacts are listed twice, if any are or if that is unknown."""
    if summary.duplicates is None:
        yield _duplicates_unknown(summary)
    elif summary.duplicates:
        verb = "is" if summary.duplicates == 1 else "are"
        yield (
            f"{count(summary.duplicates, 'contact')} {verb} listed twice: a contact that changes while the list is "
            "read can come again (duplicates counts them)"
        )


def _duplicates_unknown(summary: Summary) -> str:
    """Return why it is unknown how many contacts are listed twice, and which command counts them."""
    if summary.interruptions and not summary.has_ids:
        reason = "the contacts that earlier runs wrote have no ids"
    elif summary.interruptions and summary.csv_raw is not None:
        reason = "CSV that earlier runs wrote is not read again"
    else:
        reason = "their ids could not be kept in a temporary file, or not be read again"
    verify = "; the command verify counts them" if summary.files and summary.has_ids else ""
    return f"contacts that are listed twice are not counted: {reason}{verify}"


def _incomplete_lists(summary: Summary) -> Iterator[str]:
    """Yield which lists of contacts are not complete, and why."""
    causes = ", ".join(f"{cause} {number:,}" for cause, number in summary.lists_missing_causes.items())
    if summary.lists_missing:
        yield (
            f"{count(summary.lists_missing, 'list')} of contacts could not be expanded"
            f"{f' ({causes})' if causes else ''}: the items that their pages hold are written"
        )


def retry_summary(summary: Summary) -> str | None:
    """Return what was repeated and waited for, in all runs; None if nothing was."""
    facts = []
    if summary.interruptions:
        facts.append(f"runs: {summary.runs:,}")
    if retries := sum(summary.retries.values()):
        causes = ", ".join(f"{cause} {number:,}" for cause, number in sorted(summary.retries.items()))
        facts.append(f"retries: {retries:,} of {count(summary.requests, 'request')} ({causes})")
    if summary.rate_limit_wait_s >= 1:
        facts.append(f"rate-limit wait: {duration(summary.rate_limit_wait_s)}")
    if summary.lists_expanded:
        facts.append(f"lists expanded: {summary.lists_expanded:,}")
    return "; ".join(facts) or None


def _drift_warning(summary: Summary) -> str:
    fields = [f"{path} ({', '.join(kinds)})" for path, kinds in summary.schema_drift.items()]
    more = f" and {len(fields) - _MAX_FIELDS} more" if len(fields) > _MAX_FIELDS else ""
    shown = f"{', '.join(fields[:_MAX_FIELDS])}{more}"
    return f"schema drift: {shown}; {_drift_outcome(summary)} (schema_drift counts them)"


def _drift_outcome(summary: Summary) -> str:
    """Return what became of values that are not as documented."""
    if summary.csv_raw is not None:
        return "values that fit no column are not in the table"
    if summary.columns:
        return "values that fit no column are kept only in 'raw'"
    return "all was written as the API sent it"
