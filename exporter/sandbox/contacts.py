"""A made-up workspace: the truth a sandbox serves and a test compares with."""

import hashlib
from typing import Any

from exporter.errors import ConfigError
from exporter.sandbox import hostile as hostility
from exporter.sandbox import nested
from exporter.sandbox.templates import STEP_S, Template, build

EPOCH = 1_420_070_400
"""``created_at`` of the first contact, about: 2015-01-01T00:00:00Z."""

TEMPLATES = 512
_STRIDE, _OFFSET = 197, 13  # odd: neighbours differ, and all templates take part
_ID_STEP = 0xD1342543DE82EF95
_ID_BACK = pow(_ID_STEP, -1, 2**64)
_HEX_STEP = 0xDA942042E4DD58B5
_MASK = 2**64 - 1
_ID_DIGITS = 24


class Workspace:
    """Contacts by number, made when asked for: any count costs the same memory.

    Contact ``i`` of a seed is the same in a workspace of 10 and of 10 million,
    on any machine and in any process.

    Args:
        contacts: how many there are, from 0.
        seed: which made-up world.
        hostile: whether contacts 7, 1007, 2007, … carry values that break
            careless exporters (all kinds within the first 10,000).

    Attributes:
        id_code: the workspace's id, eight letters and digits.
        seed: as given.

    Raises:
        ConfigError: ``contacts`` is no count.
    """

    def __init__(self, contacts: int, seed: int = 1, hostile: bool = True) -> None:
        if not 0 <= contacts <= _MASK:
            raise ConfigError(f"a workspace cannot have {contacts} contacts: give a number from 0")
        self._contacts = contacts
        self.seed = seed
        self.hostile = hostile
        digest = hashlib.sha256(f"workspace:{seed}".encode()).hexdigest()
        self.id_code = digest[:8]
        self._id_prefix = f"6{digest[8:15]}".encode()
        self._id_mask = int(digest[16:32], 16)
        self._templates: list[Template | None] = [None] * TEMPLATES

    def __len__(self) -> int:
        return self._contacts

    def record(self, index: int) -> bytes:
        """Return the JSON bytes of one contact, exactly as the sandbox sends them.

        Raises:
            IndexError: there is no contact of that number.
        """
        self._check(index)
        return self._render(index)

    def records(self, start: int, stop: int) -> list[bytes]:
        """Return the contacts from ``start`` up to ``stop``, fewer where the workspace ends."""
        return [self._render(index) for index in range(max(start, 0), min(stop, self._contacts))]

    def id_of(self, index: int) -> str:
        """Return the id of one contact: 24 hex digits.

        Raises:
            IndexError: there is no contact of that number.
        """
        self._check(index)
        return self._id(index).decode()

    def index_of(self, contact_id: str) -> int | None:
        """Return the number of the contact with an id, None when it is not ours."""
        prefix = self._id_prefix.decode()
        digits = contact_id.removeprefix(prefix)
        if len(contact_id) != _ID_DIGITS or len(digits) != _ID_DIGITS - len(prefix):
            return None
        try:
            index = (int(digits, 16) ^ self._id_mask) * _ID_BACK & _MASK
        except ValueError:
            return None
        # int() reads more spellings than there are ids ("+1", "F0"): only the id itself counts.
        return index if index < self._contacts and self._id(index).decode() == contact_id else None

    def created_at(self, index: int) -> int:
        """Return when a contact was created, UNIX seconds; later for every higher number."""
        self._check(index)
        return EPOCH + index * STEP_S + self._template(index).delays[0]

    def nested(self, index: int, name: nested.Nested) -> list[dict[str, Any]]:
        """Return one of a contact's nested lists, whole.

        Args:
            index: the contact's number.
            name: tags, notes, companies, subscriptions or segments.

        Raises:
            IndexError: there is no contact of that number.
            KeyError: there is no list of that name.
        """
        created_at, references = self.created_at(index), self._template(index).references
        match name:
            case "tags":
                return nested.applied_tags(references, created_at)
            case "notes":
                return nested.notes(references, self.id_of(index), index + 1, created_at)
            case "companies":
                return nested.companies(references)
            case "subscriptions":
                return nested.subscriptions(references)
            case "segments":
                return nested.segments(references)
        raise KeyError(name)

    def tags(self) -> list[dict[str, Any]]:
        """Return every tag of the workspace: type, id, name."""
        return [nested.tag(number) for number in range(nested.TAGS)]

    def _check(self, index: int) -> None:
        if not 0 <= index < self._contacts:
            raise IndexError(f"no contact number {index} in a workspace of {self._contacts}")

    def _id(self, index: int) -> bytes:
        # Multiplying by an odd number permutes the 64-bit integers, and so does the mask.
        return b"%b%016x" % (self._id_prefix, (index * _ID_STEP & _MASK) ^ self._id_mask)

    def _template(self, index: int) -> Template:
        number = (index * _STRIDE + _OFFSET) % TEMPLATES
        template = self._templates[number]
        if template is None:
            template = self._templates[number] = build(self.seed, number, self.id_code)
        return template

    def _render(self, index: int) -> bytes:
        template = self._template(index)
        slot = EPOCH + index * STEP_S
        own: tuple[bytes | int, ...] = (
            self._id(index),
            b"%d" % (index + 1),
            b"%016x" % ((index + 1) * _HEX_STEP & _MASK),
            *[slot + delay for delay in template.delays],
        )
        record = template.text % template.pick(own)
        return hostility.spoil(record, index) if self.hostile and hostility.is_hostile(index) else record
