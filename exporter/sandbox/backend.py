"""What a sandbox serves: a workspace that is made up, or one that was recorded."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

Row: TypeAlias = dict[str, Any] | bytes
"""A row of a list: as Python has it, or as JSON."""


@runtime_checkable
class SandboxBackend(Protocol):
    """Contacts in an order, and what hangs on them.

    Attributes:
        name: of the workspace.
        id_code: tells it from other ones.
    """

    name: str
    id_code: str

    def __len__(self) -> int:
        """Count the contacts."""

    def records(self, start: int, stop: int, /) -> list[bytes]:
        """Return the JSON of the contacts from `start` up to `stop`, fewer where they end."""

    def id_of(self, index: int, /) -> str:
        """Return the id of a contact."""

    def index_of(self, contact_id: str, /) -> int | None:
        """Return the number of the contact with an id, None when there is none."""

    def nested(self, index: int, name: Any, /) -> Sequence[Row]:
        """Return one of a contact's nested lists, whole."""

    def tags(self) -> Sequence[Row]:
        """Return every tag of the workspace."""

    def attributes(self) -> list[dict[str, Any]] | Mapping[str, Any]:
        """Return the definitions of contacts' attributes; or custom attributes, each with one of its values."""
