"""A synthetic workspace: a sandbox serves it, and tests compare exports with it."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from exporter.errors import ConfigError
from exporter.sandbox import nested
from exporter.sandbox.attributes import definitions
from exporter.sandbox.calendar import Calendar, DateField
from exporter.sandbox.contact_ids import ContactIds
from exporter.sandbox.protocol import SINCE_2_16
from exporter.sandbox.synthetic import SyntheticContacts

_MAX_CONTACTS = 2**63 - 1  # the maximum of len()


class ChangeListener(Protocol):
    """Is notified of each change of a contact, by the contact's serial number."""

    def before_change(self, serial: int, /) -> None:
        """The contact is about to be inserted, updated or removed."""

    def after_change(self, serial: int, /) -> None:
        """The contact was inserted, updated or removed."""


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
        calendar: times of the contacts; None for one contact each 30 seconds.

    Attributes:
        id_code: id of the workspace, eight letters and digits.
        seed: random seed of the contacts.
        changes: number of applied changes.
        listener: is notified of each change; None for no notifications.

    Raises:
        ConfigError: ``contacts`` is out of range.
    """

    def __init__(self, contacts: int, seed: int = 1, hostile: bool = False, calendar: Calendar | None = None) -> None:
        if not 0 <= contacts <= _MAX_CONTACTS:
            raise ConfigError(f"a workspace cannot have {contacts} contacts: give a number from 0")
        self._serials: range | array[int] = range(contacts)  # by index: the serial, which identifies a contact
        self._count = self._next_serial = contacts
        self._inserted: set[int] = set()  # serials
        self._removed: set[int] = set()
        self._revisions: dict[int, int] = {}  # by serial: the serial of its latest update
        self._merged: dict[int, int] = {}  # by serial: the serial of the contact it was merged into
        self.changes = 0
        self.listener: ChangeListener | None = None
        self.seed = seed
        self.hostile = hostile
        self._ids = ContactIds(seed)
        self.id_code = self._ids.workspace_id
        self.name = f"Sandbox {seed}"
        self._calendar = Calendar(contacts) if calendar is None else calendar
        self._contacts = SyntheticContacts(seed, self._ids, self._calendar, hostile=hostile)

    def __len__(self) -> int:
        return len(self._serials)

    def record(self, index: int) -> bytes:
        """Return the JSON bytes of one contact, exactly as the sandbox sends them.

        Raises:
            IndexError: no contact has that index.
        """
        return self._render((self._serial(index),))[0]

    def records(self, start: int, stop: int, *, text_owners: bool = False) -> list[bytes]:
        """Return the contacts from ``start`` up to ``stop``; fewer at the end of the workspace.

        Args:
            start: index of the first contact.
            stop: index after the last contact.
            text_owners: return the owners' ids as strings, same as the API from version 2.16 on.
        """
        return self._render(self._serials[max(start, 0) : max(stop, 0)], text_owners)

    def _render(self, serials: Sequence[int], text_owners: bool = False) -> list[bytes]:
        return self._contacts.render(serials, self._revisions, text_owners=text_owners)

    def id_of(self, index: int) -> str:
        """Return the id of one contact: 24 hex digits.

        Raises:
            IndexError: no contact has that index.
        """
        return self._ids.of(self._serial(index)).decode()

    def index_of(self, contact_id: str) -> int | None:
        """Return the index of the contact with an id, None if the workspace has no such contact."""
        serial = self._ids.serial_of(contact_id)
        try:
            return None if serial is None else self._serials.index(serial)
        except ValueError:
            return None

    def survivor_of(self, contact_id: str) -> str | None:
        """Return the id of the contact that survived a merge; None without a merge, or if that contact is gone."""
        serial = self._ids.serial_of(contact_id)
        if serial is None or serial not in self._merged:
            return None
        while serial in self._merged:
            serial = self._merged[serial]
        return self._ids.of(serial).decode() if serial in self._serials else None

    def created_at(self, index: int) -> int:
        """Return when a contact was created, in UNIX seconds. It rises with the index until the first change."""
        return self._contacts.created_at(self._serial(index))

    def references(self) -> Sequence[int]:
        """Return the serial numbers of all contacts that exist now."""
        return self._serials[:]

    def dates(self, field: DateField) -> Callable[[], tuple[list[int], Sequence[int]]]:
        """Return a function that returns one date of every contact, and the contacts' serial numbers.

        They are the contacts and the dates of now, whenever and in whichever thread the function is called.
        """
        serials, revisions = self._serials[:], dict(self._revisions)
        return lambda: (self._contacts.dates(field, serials, revisions), serials)

    def date_of(self, serial: int, field: DateField) -> int | None:
        """Return one date of a contact; None if it does not exist."""
        if serial in self._removed or not (serial < self._count or serial in self._inserted):
            return None
        return self._contacts.dates(field, (serial,), self._revisions)[0]

    def ids_at(self, serials: Sequence[int]) -> list[str]:
        """Return the ids of serial numbers."""
        return [one.decode() for one in self._ids.of_all(serials)]

    def records_at(self, serials: Sequence[int], version: str) -> list[bytes]:
        """Return contacts by serial number, in the form of an API version."""
        return self._render(serials, version in SINCE_2_16)

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
        created_at, references = self._contacts.created_at(serial), self._contacts.references(serial)
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
        with self._changing(serial):
            self._materialise().insert(index, serial)
            self._inserted.add(serial)
        return self._ids.of(serial).decode()

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
        with self._changing(serial):
            self._revisions[serial] = self._next_change()
            serials = self._materialise()
            serials.insert(to, serials.pop(index))
        return self._ids.of(serial).decode()

    def delete(self, index: int) -> str:
        """Delete one contact, and return its id.

        Raises:
            IndexError: no contact has that index.
        """
        serial = self._serial(index)
        self._next_change()
        with self._changing(serial):
            self._revisions.pop(serial, None)
            self._materialise().pop(index)
            self._removed.add(serial)
        return self._ids.of(serial).decode()

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

    @contextmanager
    def _changing(self, serial: int) -> Iterator[None]:
        """Notify the listener before and after a change of a contact."""
        if self.listener is not None:
            self.listener.before_change(serial)
        yield
        if self.listener is not None:
            self.listener.after_change(serial)

    def _next_change(self) -> int:
        """Count a change, and return its serial. The serial is new and determines the time of the change."""
        serial = self._next_serial
        self._next_serial += 1
        self.changes += 1
        self._calendar.changed_at(serial)  # now, if the calendar has a clock
        return serial

    def _materialise(self) -> "array[int]":
        if isinstance(self._serials, range):
            self._serials = array("Q", self._serials)
        return self._serials

    def _serial(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"no contact {index} in a workspace of {len(self)} contacts")
        return self._serials[index]
