"""How a workspace changes while it is read, as real ones do: what, when and where.

The API takes no snapshot of a listing and its cursors are positions, so a
contact changed between two requests may come twice or never (documented).
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from exporter.errors import ConfigError
from exporter.sandbox import schedule
from exporter.sandbox.contacts import Workspace
from exporter.sandbox.values import Dice

ChangeName: TypeAlias = Literal["insert", "update", "delete", "merge"]
NAMES: tuple[ChangeName, ...] = get_args(ChangeName)
_NEEDS = {"update": 1, "delete": 1, "merge": 2}  # contacts: of nobody, nobody can go


@dataclass(frozen=True)
class Change:
    """One thing that happens to a workspace, and when.

    Either ``every`` is set (after each page whose number it divides, counting
    the pages served from 1) or ``page`` is (``times`` times, after that page
    was served first).
    """

    name: ChangeName
    every: int | None = None
    page: int | None = None
    times: int = 1

    @classmethod
    def parse(cls, text: str) -> "Change":
        """Read one change as the command line spells it.

        Args:
            text: ``NAME=EVERY`` after each EVERYth page served, ``NAME@PAGE``
                once after that page, ``NAME@PAGExTIMES`` TIMES of them at once
                after it.

        Raises:
            ConfigError: it is spelled otherwise, the name is unknown, or a
                number is zero.
        """
        found = schedule.parse(text)
        for name in NAMES:
            if found and found[0] == name:
                return cls(name, **found[1])
        raise ConfigError(
            f"changes has {text!r}, which cannot be read: {schedule.SYNTAX_HELP}; names: {', '.join(NAMES)}", "changes"
        )

    def is_due(self, page: int, served: int) -> bool:
        """Tell whether it is time, once page ``page`` was served as number ``served`` of all."""
        return page == self.page if self.every is None else served % self.every == 0


class Changes:
    """The changes of one sandbox, at positions drawn from its workspace's seed.

    The same requests in the same order meet the same changes. What counts is
    pages: an answer that fails, or breaks off, changes nothing.

    Args:
        workspace: what changes.
        spelled: when, as ``Change.parse`` reads it, or a mapping of name to
            "every Nth page"; several after one page are made in this order.

    Attributes:
        planned: what was asked for.
        served: pages served so far.

    Raises:
        ConfigError: one of them cannot be read.
    """

    def __init__(self, workspace: Workspace, spelled: schedule.ScheduleSpec = ()) -> None:
        self.scheduled = tuple(map(Change.parse, schedule.as_list(spelled)))
        self.served = 0
        self._workspace = workspace
        self._dice = Dice(f"changes:{workspace.seed}")
        self._done: set[Change] = set()

    def apply_after_page(self, page: int) -> None:
        """Count one page served, and make the changes that are due after it."""
        self.served += 1
        due = [change for change in self.scheduled if change.is_due(page, self.served) and change not in self._done]
        self._done.update(change for change in due if change.page is not None)
        for change in due:
            for _ in range(change.times):
                if len(self._workspace) >= _NEEDS.get(change.name, 0):
                    self.apply(change.name)

    def apply(self, name: ChangeName, position: int | None = None, to: int | None = None) -> str:
        """Make one change now.

        Args:
            name: insert, update, delete or merge.
            position: where in the list, from 0; None draws one, also in the
                part already read.
            to: where an updated contact stands afterwards, or which one a
                merged contact is merged into; None draws another place than
                its own, if there is one.

        Returns:
            The id of the contact that came, changed or went.

        Raises:
            IndexError: there is no such position.
            ConfigError: there is no such change.
        """
        size = len(self._workspace)
        match name:
            case "insert":
                return self._workspace.insert(self._draw(size + 1) if position is None else position)
            case "delete":
                return self._workspace.delete(self._draw(size) if position is None else position)
            case "update":
                position = self._draw(size) if position is None else position
                return self._workspace.update(position, self._other(position, size) if to is None else to)
            case "merge":
                position = self._draw(size) if position is None else position
                return self._workspace.merge(position, self._other(position, size) if to is None else to)
        raise ConfigError(f"there is no change {name!r}: {', '.join(NAMES)}")

    def _draw(self, places: int) -> int:
        # In an empty workspace there is none: 0 is refused there as any other would be.
        return self._dice.randrange(places or 1)

    def _other(self, position: int, size: int) -> int:
        if size <= 1:
            return position
        drawn = self._draw(size - 1)
        return drawn + (drawn >= position)
