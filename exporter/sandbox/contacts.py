"""A synthetic workspace: a sandbox serves it, and tests compare exports with it."""

import hashlib
from array import array
from typing import Any

from exporter.errors import ConfigError
from exporter.sandbox import hostile as hostility
from exporter.sandbox import nested
from exporter.sandbox.attributes import definitions
from exporter.sandbox.templates import STEP_S, Template, build, updated

EPOCH = 1_420_070_400
"""Approximate ``created_at`` of the first contact: 2015-01-01T00:00:00Z."""

TEMPLATES = 512
_STRIDE, _OFFSET = 197, 13  # odd numbers: so adjacent contacts differ, and contacts use all templates
_ID_STEP = 0xD1342543DE82EF95
_ID_INVERSE = pow(_ID_STEP, -1, 2**64)
_HEX_STEP = 0xDA942042E4DD58B5
_MASK = 2**64 - 1
_ID_DIGITS = 24
_MAX_CONTACTS = 2**63 - 1  # the maximum of len()
_FIRST_NEW_OWNER = 10_000_000  # no template has these owners: so an update always changes the owner
_YEAR_S = 365 * 86400  # longer than the time span of any template: an update has the latest time


class Workspace:
    """Synthetic contacts by index, generated on demand: any number of contacts needs the same memory.

    Contact ``i`` of a seed is the same in a workspace of 10 and of 10 million,
    on any machine and in any process.

    ``insert``, ``update``, ``delete`` and ``merge`` apply one change each. The
    index of a contact is its current position in the list. The first change
    creates the list in memory, with eight bytes per contact.

    Args:
        contacts: number of contacts, from 0.
        seed: random seed of the contacts.
        hostile: whether contacts 7, 1007, 2007, … have values that break naive
            exporters and loaders (the first 12,000 contacts have every kind);
            otherwise every contact matches Intercom's reference.

    Attributes:
        id_code: id of the workspace, eight letters and digits.
        seed: random seed of the contacts.
        changes: number of applied changes.

    Raises:
        ConfigError: ``contacts`` is out of range.
    """

    def __init__(self, contacts: int, seed: int = 1, hostile: bool = False) -> None:
        if not 0 <= contacts <= _MAX_CONTACTS:
            raise ConfigError(f"a workspace cannot have {contacts} contacts: give a number from 0")
        self._serials: range | array[int] = range(contacts)  # by index: the serial, which identifies a contact
        self._next_serial = contacts
        self._revisions: dict[int, int] = {}  # by serial: the serial of its latest update
        self._merged: dict[int, int] = {}  # by serial: the serial of the contact it was merged into
        self.changes = 0
        self.seed = seed
        self.hostile = hostile
        digest = hashlib.sha256(f"workspace:{seed}".encode()).hexdigest()
        self.id_code = digest[:8]
        self.name = f"Sandbox {seed}"
        self._id_prefix = f"6{digest[8:15]}".encode()
        self._id_mask = int(digest[16:32], 16)
        self._templates: list[Template | None] = [None] * TEMPLATES

    def __len__(self) -> int:
        return len(self._serials)

    def record(self, index: int) -> bytes:
        """Return the JSON bytes of one contact, exactly as the sandbox sends them.

        Raises:
            IndexError: no contact has that index.
        """
        return self._current(self._serial(index))

    def records(self, start: int, stop: int, *, text_owners: bool = False) -> list[bytes]:
        """Return the contacts from ``start`` up to ``stop``; fewer at the end of the workspace.

        Args:
            start: index of the first contact.
            stop: index after the last contact.
            text_owners: return the owners' ids as strings, same as the API from version 2.16 on.
        """
        render = self._current if self._revisions else self._render
        return [render(serial, text_owners) for serial in self._serials[max(start, 0) : max(stop, 0)]]

    def id_of(self, index: int) -> str:
        """Return the id of one contact: 24 hex digits.

        Raises:
            IndexError: no contact has that index.
        """
        return self._id(self._serial(index)).decode()

    def index_of(self, contact_id: str) -> int | None:
        """Return the index of the contact with an id, None if the workspace has no such contact."""
        serial = self._serial_of(contact_id)
        try:
            return None if serial is None else self._serials.index(serial)
        except ValueError:
            return None

    def survivor_of(self, contact_id: str) -> str | None:
        """Return the id of the contact that survived a merge; None without a merge, or if that contact is gone."""
        serial = self._serial_of(contact_id)
        if serial is None or serial not in self._merged:
            return None
        while serial in self._merged:
            serial = self._merged[serial]
        return self._id(serial).decode() if serial in self._serials else None

    def _serial_of(self, contact_id: str) -> int | None:
        prefix = self._id_prefix.decode()
        digits = contact_id.removeprefix(prefix)
        if len(contact_id) != _ID_DIGITS or len(digits) != _ID_DIGITS - len(prefix):
            return None
        try:
            serial = (int(digits, 16) ^ self._id_mask) * _ID_INVERSE & _MASK
        except ValueError:
            return None
        # int() accepts more spellings than the ids have ("+1", "F0"): only the exact id is valid.
        return serial if self._id(serial).decode() == contact_id else None

    def created_at(self, index: int) -> int:
        """Return when a contact was created, in UNIX seconds. It rises with the index until the first change."""
        return self._created_at(self._serial(index))

    def nested(self, index: int, name: nested.Nested) -> list[dict[str, Any]]:
        """Return one of a contact's nested lists, complete.

        Args:
            index: index of the contact.
            name: tags, notes, companies, subscriptions or segments.

        Raises:
            IndexError: no contact has that index.
            KeyError: no list has that name.
        """
        serial = self._serial(index)
        created_at, references = self._created_at(serial), self._template(serial).references
        match name:
            case "tags":
                return nested.applied_tags(references, created_at)
            case "notes":
                return nested.notes(references, self.id_of(index), serial + 1, created_at)
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

    def attributes(self) -> list[dict[str, Any]]:
        """Return the definitions of contact attributes, including archived ones."""
        return definitions(hostile=self.hostile)

    def insert(self, index: int) -> str:
        """Insert a new contact, and return its id.

        Args:
            index: index of the new contact; the length of the workspace appends it.

        Raises:
            IndexError: the index is beyond the end.
        """
        if index != len(self):
            self._serial(index)
        serial = self._next_change()
        self._materialise().insert(index, serial)
        return self._id(serial).decode()

    def update(self, index: int, to: int) -> str:
        """Change the owner of one contact, move the contact, and return its id.

        The API may also move a contact when its ``updated_at`` changes.

        Args:
            index: index of the contact.
            to: index of the contact after the change.

        Raises:
            IndexError: no contact has one of these indexes.
        """
        serial = self._serial(index)
        self._serial(to)
        self._revisions[serial] = self._next_change()
        serials = self._materialise()
        serials.insert(to, serials.pop(index))
        return self._id(serial).decode()

    def delete(self, index: int) -> str:
        """Delete one contact, and return its id.

        Raises:
            IndexError: no contact has that index.
        """
        serial = self._serial(index)
        self._next_change()
        self._revisions.pop(serial, None)
        self._materialise().pop(index)
        return self._id(serial).decode()

    def merge(self, index: int, into: int) -> str:
        """Merge one contact into another: delete it, and return its id.

        The surviving contact keeps its values.

        Args:
            index: index of the contact to merge.
            into: index of the surviving contact before the change.

        Raises:
            IndexError: no contact has one of these indexes, or they are equal.
        """
        serial, survivor = self._serial(index), self._serial(into)
        if serial == survivor:
            raise IndexError(f"contact {index} cannot be merged into itself")
        contact_id = self.delete(index)
        self._merged[serial] = survivor
        return contact_id

    def _next_change(self) -> int:
        """Count a change, and return its serial. The serial is new and determines the time of the change."""
        serial = self._next_serial
        self._next_serial += 1
        self.changes += 1
        return serial

    def _materialise(self) -> "array[int]":
        if isinstance(self._serials, range):
            self._serials = array("Q", self._serials)
        return self._serials

    def _serial(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"no contact {index} in a workspace of {len(self)} contacts")
        return self._serials[index]

    def _id(self, serial: int) -> bytes:
        # Multiplying by an odd number and applying the mask both permute the 64-bit integers.
        return b"%b%016x" % (self._id_prefix, (serial * _ID_STEP & _MASK) ^ self._id_mask)

    def _created_at(self, serial: int) -> int:
        return EPOCH + serial * STEP_S + self._template(serial).delays[0]

    def _template(self, serial: int) -> Template:
        number = (serial * _STRIDE + _OFFSET) % TEMPLATES
        template = self._templates[number]
        if template is None:
            template = self._templates[number] = build(self.seed, number, self.id_code)
        return template

    def _current(self, serial: int, text_owners: bool = False) -> bytes:
        record, revision = self._render(serial, text_owners), self._revisions.get(serial)
        if revision is None:
            return record
        owner = (b'"%d"' if text_owners else b"%d") % (_FIRST_NEW_OWNER + revision)
        return updated(record, owner, EPOCH + revision * STEP_S + _YEAR_S)

    def _render(self, serial: int, text_owners: bool = False) -> bytes:
        template = self._template(serial)
        slot = EPOCH + serial * STEP_S
        fillers: tuple[bytes | int, ...] = (
            self._id(serial),
            b"%d" % (serial + 1),
            b"%016x" % ((serial + 1) * _HEX_STEP & _MASK),
            *[slot + delay for delay in template.delays],
        )
        text = template.text_owners if text_owners else template.text
        record = text % template.pick(fillers)
        return hostility.make_hostile(record, serial) if self.hostile and hostility.is_hostile(serial) else record
