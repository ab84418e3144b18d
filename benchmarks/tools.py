"""The other tools of the comparison, which the extra [benchmarks] installs."""

from collections.abc import Iterable
from importlib.util import find_spec

TOOLS = {
    "requests": "requests",
    "dlt": "dlt",
    "airbyte": "airbyte_cdk",
    "singer": "singer_sdk",
    "sdk": "intercom",
}
"""For each program, the module that it imports."""


def missing_tools(rows: Iterable[str] = TOOLS) -> list[str]:
    """Return the programs whose module is not installed."""
    return [row for row in rows if row in TOOLS and find_spec(TOOLS[row]) is None]


def check_tools(jobs: Iterable[str]) -> None:
    """Check before a run that all its tools are installed.

    Args:
        jobs: names of the run's jobs, such as ``dlt`` or ``requests@20-pages``.

    Raises:
        ValueError: a tool is missing.
    """
    if missing := missing_tools(dict.fromkeys(job.partition("@")[0] for job in jobs)):
        raise ValueError(
            f"cannot measure {', '.join(missing)}: not installed; "
            "run pip install -e '.[benchmarks]', or name other jobs with --only"
        )
