"""What is to be said of a finished export besides its figures."""

from collections.abc import Iterator

from exporter.amounts import duration
from exporter.model import Summary

_MOST_FIELDS = 5


def remarks(summary: Summary) -> Iterator[str]:
    """Say what somebody should look at, a sentence each."""
    if summary.unknown_fields:
        yield f"no contact has the fields {', '.join(summary.unknown_fields)}: are they spelled right?"
    if summary.schema_drift:
        yield _drift(summary)
    counted = summary.total_count_last
    if summary.complete and counted not in (None, summary.contacts):
        yield (
            f"the API counts {counted:,} contacts, but listed {summary.contacts:,}: contacts that were made, "
            "changed or deleted meanwhile can be missing or come twice"
        )


def troubles(summary: Summary) -> str | None:
    """Say what was repeated and waited for, in all runs; None if nothing was."""
    facts = []
    if summary.interruptions:
        facts.append(f"{summary.runs:,} runs")
    if repeated := sum(summary.retries.values()):
        causes = ", ".join(f"{cause} {count:,}" for cause, count in sorted(summary.retries.items()))
        facts.append(f"{repeated:,} of {summary.requests:,} requests repeated ({causes})")
    if summary.rate_limit_wait_s >= 1:
        facts.append(f"{duration(summary.rate_limit_wait_s)} waited for the rate limit")
    if summary.lists_expanded:
        facts.append(f"{summary.lists_expanded:,} lists completed")
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
