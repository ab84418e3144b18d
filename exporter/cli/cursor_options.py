"""The group of options for exports with several cursors."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from exporter.cli.converters import DAY_S, duration, integer_or
from exporter.validation import MAX_CURSORS

if TYPE_CHECKING:
    from exporter.options import ExportOptions

_CURSORS = Group.create_ordered("Several cursors")
_AUTO: Literal["auto"] = "auto"


@Parameter(name="*", group=_CURSORS)
@dataclass(frozen=True, kw_only=True)
class CursorOptions:
    """How many pages are requested at once, and what proves that nothing is missing."""

    cursors: Annotated[int | Literal["auto"], integer_or(_AUTO, 1, MAX_CURSORS)] = 1
    """Number of ranges of creation dates that are read at once, 1-128; `auto`: up to 32. 1 reads the list. More need a
    folder, which is in order of creation, or stdout, in no order."""

    prove: Literal["counts", "ids"] = "counts"
    """What proves that an export with several cursors is complete: counts of list and search, or the ids of the list,
    which takes as long as an export without --cursors."""

    settle: Annotated[float, duration(0, DAY_S)] = 300
    """Longest wait, each time, until the search finds contacts that were just created: before the first page, after
    the last range, and at the end."""

    def apply(self, options: "ExportOptions") -> "ExportOptions":
        """Return the settings of an export with these options.

        Raises:
            ConfigError: another option excludes one of these.
        """
        return replace(options, cursors=self.cursors, prove=self.prove, settle_s=self.settle)
