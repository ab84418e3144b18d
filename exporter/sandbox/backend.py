"""The source of a sandbox's data: a synthetic workspace, or a recorded one."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

Row: TypeAlias = dict[str, Any] | bytes
"""An item of a list: as a Python object, or as JSON."""


@runtime_checkable
class SandboxBackend(Protocol):
    """Contacts in a fixed order, with their lists.

    Attributes:
        name: name of the workspace.
        id_code: id of the workspace.
    """

    name: str
    id_code: str

    def __len__(self) -> int:
        """Return the number of contacts."""

    def records(self, start: int, stop: int, /) -> list[bytes]:
        """Return the JSON of the contacts from index `start` up to `stop`; fewer at the end of the list."""

    def id_of(self, index: int, /) -> str:
        """Return the id of a contact."""

    def index_of(self, contact_id: str, /) -> int | None:
        """Return the index of the contact with an id, None if there is none."""

    def nested(self, index: int, name: Any, /) -> Sequence[Row]:
        """Return one of a contact's nested lists, complete."""

    def tags(self) -> Sequence[Row]:
        """Return every tag of the workspace."""

    def attributes(self) -> list[dict[str, Any]] | Mapping[str, Any]:
        """Return the definitions of contact attributes; or custom attributes by name, each with one of its values."""
