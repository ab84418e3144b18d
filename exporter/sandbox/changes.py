"""Changes of a workspace while a client reads it, as in real workspaces: what changes, when, and where.

The API takes no snapshot of a listing, and its cursors are positions. So a
contact that changes between two requests may be duplicated or missing (documented).
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from exporter.errors import ConfigError
from exporter.sandbox import schedule
from exporter.sandbox.contacts import Workspace
from exporter.sandbox.values import Dice

ChangeName: TypeAlias = Literal["insert", "update", "delete", "merge"]
NAMES: tuple[ChangeName, ...] = get_args(ChangeName)
_MIN_CONTACTS = {"update": 1, "delete": 1, "merge": 2}  # minimum number of contacts for a change


@dataclass(frozen=True)
class Change:
    """A scheduled change of a workspace.

    Either ``every`` is set: the change happens after every Nth served page. Or
    ``page`` is set: the change happens ``times`` times, after that page was
    served for the first time.
    """

    name: ChangeName
    every: int | None = None
    page: int | None = None
    times: int = 1

    @classmethod
    def parse(cls, text: str) -> "Change":
        """Parse one change in the syntax of the command line.

        Args:
            text: ``NAME=EVERY`` after every Nth served page, ``NAME@PAGE`` once
                after that page, ``NAME@PAGExTIMES`` several times after that
                page.

        Raises:
            ConfigError: the syntax is invalid, the name is unknown, or a number
                is zero.
        """
        parsed = schedule.parse(text)
        for name in NAMES:
            if parsed and parsed[0] == name:
                return cls(name, **parsed[1])
        raise ConfigError(
            f"changes contains the invalid change {text!r}: {schedule.SYNTAX_HELP}; names: {', '.join(NAMES)}",
            "changes",
        )

    def is_due(self, page: int, served_pages: int) -> bool:
        """Return whether the change is due after page number ``page``, when ``served_pages`` were served in total."""
        return page == self.page if self.every is None else served_pages % self.every == 0


class Mutations:
    """The changes of one sandbox, at random positions from its workspace's seed.

    The same requests in the same order meet the same changes. Only complete
    pages count: a failed or truncated response changes nothing.

    Args:
        workspace: the workspace to change.
        specs: the changes, in the syntax of ``Change.parse``, or a mapping of
            name to "every Nth page". Several changes after the same page happen
            in this order.

    Attributes:
        scheduled: the scheduled changes.
        served_pages: number of pages served so far.

    Raises:
        ConfigError: a change is invalid.
    """

    def __init__(self, workspace: Workspace, specs: schedule.ScheduleSpec = ()) -> None:
        self.scheduled = tuple(map(Change.parse, schedule.as_list(specs)))
        self.served_pages = 0
        self._workspace = workspace
        self._dice = Dice(f"changes:{workspace.seed}")
        self._applied: set[Change] = set()

    def apply_after_page(self, page: int) -> None:
        """Count one served page, and apply the changes that are due after it."""
        self.served_pages += 1
        due = [
            change
            for change in self.scheduled
            if change.is_due(page, self.served_pages) and change not in self._applied
        ]
        self._applied.update(change for change in due if change.page is not None)
        for change in due:
            for _ in range(change.times):
                if len(self._workspace) >= _MIN_CONTACTS.get(change.name, 0):
                    self.apply(change.name)

    def apply(self, name: ChangeName, position: int | None = None, to: int | None = None) -> str:
        """Apply one change now.

        Args:
            name: insert, update, delete or merge.
            position: position in the list, from 0; None for a random one, which
                can be in the part that a client has already read.
            to: new position of an updated contact, or position of the contact
                that survives a merge; None for a random one that differs from
                ``position``, if possible.

        Returns:
            The id of the inserted, updated, deleted or merged contact.

        Raises:
            IndexError: a position does not exist.
            ConfigError: the name of the change is unknown.
        """
        size = len(self._workspace)
        match name:
            case "insert":
                return self._workspace.insert(self._draw(size + 1) if position is None else position)
            case "delete":
                return self._workspace.delete(self._draw(size) if position is None else position)
            case "update":
                position = self._draw(size) if position is None else position
                return self._workspace.update(position, self._draw_other(position, size) if to is None else to)
            case "merge":
                position = self._draw(size) if position is None else position
                return self._workspace.merge(position, self._draw_other(position, size) if to is None else to)
        raise ConfigError(f"unknown change {name!r}: use one of {', '.join(NAMES)}")

    def _draw(self, positions: int) -> int:
        # An empty workspace has no position: it refuses 0, same as any other.
        return self._dice.randrange(positions or 1)

    def _draw_other(self, position: int, size: int) -> int:
        if size <= 1:
            return position
        drawn = self._draw(size - 1)
        return drawn + (drawn >= position)
