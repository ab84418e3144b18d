"""What is to be said of a finished export besides its figures."""

from collections.abc import Iterator

from exporter.model import Summary
from exporter.rawjson.normalization import NAMES
from exporter.state import counts
from exporter.text import count, duration

_MOST_FIELDS = 5


def remarks(summary: Summary) -> Iterator[str]:
    """Say what somebody should look at, a sentence each."""
    yield from _missing(summary)
    if summary.unknown_fields:
        yield f"no contact has the fields {', '.join(summary.unknown_fields)}: are they spelled right?"
    if summary.schema_drift:
        yield _drift(summary)
    if summary.corrections:
        kinds = (f"{number:,} {NAMES.get(kind, kind)}" for kind, number in summary.corrections.items())
        yield f"corrected for strict JSON readers: {', '.join(kinds)}"
    if summary.irregular_contacts:
        yield (
            f"at least {count(summary.irregular_contacts, 'contact')} cannot be loaded unchanged by strict JSON "
            "readers, such as DuckDB and pandas: --records normalized writes what they take"
        )
    yield from _duplicates(summary)
    counted = summary.total_count_last
    if sentence := shortfall_of(summary):
        yield sentence
    elif summary.complete and counted not in (None, summary.contacts):
        yield (
            f"the API counts {count(counted, 'contact')}, but listed {summary.contacts:,}: contacts that were made, "
            "changed or deleted meanwhile can be missing or come twice"
        )


def shortfall_of(summary: Summary) -> str | None:
    """Say how many contacts a list lacks that was allowed to end early; None where it lacks none."""
    if not summary.shortfall:
        return None
    return (
        f"the list ended after {count(summary.contacts, 'contact')}, although "
        f"{counts(summary.total_count_last, summary.total_count_first)}: {summary.shortfall:,} may be missing"
    )


def _duplicates(summary: Summary) -> Iterator[str]:
    """Say how many contacts are listed twice, if any are or if that is not known."""
    if summary.duplicates is None:
        yield _uncounted(summary)
    elif summary.duplicates:
        verb = "is" if summary.duplicates == 1 else "are"
        yield (
            f"{count(summary.duplicates, 'contact')} {verb} listed twice: a contact that changes while the list is "
            "read can come again (duplicates counts them)"
        )


def _uncounted(summary: Summary) -> str:
    """Say why it is not known how many contacts are listed twice, and what tells it."""
    if summary.interruptions and not summary.has_ids:
        why = "the contacts that earlier runs wrote have no ids"
    elif summary.interruptions and summary.csv_raw is not None:
        why = "CSV that earlier runs wrote is not read again"
    else:
        why = "their ids could not be kept in a temporary file, or not be read again"
    verify = "; the command verify counts them" if summary.files and summary.has_ids else ""
    return f"contacts that are listed twice are not counted: {why}{verify}"


def _missing(summary: Summary) -> Iterator[str]:
    """Say which lists of contacts are not complete, and why."""
    causes = ", ".join(f"{cause} {number:,}" for cause, number in summary.lists_missing_causes.items())
    if summary.lists_missing:
        yield (
            f"{count(summary.lists_missing, 'list')} of contacts could not be completed"
            f"{f' ({causes})' if causes else ''}: what their pages had of them is written"
        )


def troubles(summary: Summary) -> str | None:
    """Say what was repeated and waited for, in all runs; None if nothing was."""
    facts = []
    if summary.interruptions:
        facts.append(count(summary.runs, "run"))
    if repeated := sum(summary.retries.values()):
        causes = ", ".join(f"{cause} {number:,}" for cause, number in sorted(summary.retries.items()))
        facts.append(f"{repeated:,} of {count(summary.requests, 'request')} repeated ({causes})")
    if summary.rate_limit_wait_s >= 1:
        facts.append(f"{duration(summary.rate_limit_wait_s)} waited for the rate limit")
    if summary.lists_expanded:
        facts.append(f"{count(summary.lists_expanded, 'list')} completed")
    return f"on the way: {', '.join(facts)}" if facts else None


def _drift(summary: Summary) -> str:
    fields = [f"{path} ({', '.join(kinds)})" for path, kinds in summary.schema_drift.items()]
    more = f" and {len(fields) - _MOST_FIELDS} more" if len(fields) > _MOST_FIELDS else ""
    return f"not as documented: {', '.join(fields[:_MOST_FIELDS])}{more}; {_became(summary)} (schema_drift counts them)"


def _became(summary: Summary) -> str:
    """Say what became of what is not as documented."""
    if summary.csv_raw is not None:
        return "what fits no column is not in the table"
    return "what fits no column is in 'raw' alone" if summary.columns else "all was written as the API sent it"
