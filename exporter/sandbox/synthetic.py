"""Synthetic contacts by their serial numbers, generated on demand."""

from collections.abc import Mapping, Sequence
from operator import attrgetter

from exporter.sandbox import hostile as hostility
from exporter.sandbox.calendar import YEAR_S, Calendar, DateField
from exporter.sandbox.contact_ids import ContactIds
from exporter.sandbox.nested import References
from exporter.sandbox.templates import Template, build, updated

TEMPLATES = 512
_STRIDE, _OFFSET = 197, 13  # odd numbers: so adjacent contacts differ, and contacts use all templates
_HEX_STEP = 0xDA942042E4DD58B5
_MASK = 2**64 - 1
_FIRST_NEW_OWNER = 10_000_000  # no template has these owners: so an update always changes the owner


class SyntheticContacts:
    """The contacts of one seed. Any number of them needs the same memory.

    Args:
        seed: random seed.
        ids: ids of the contacts.
        calendar: times of the contacts.
        hostile: whether some contacts have values that break naive parsers.
    """

    def __init__(self, seed: int, ids: ContactIds, calendar: Calendar, *, hostile: bool) -> None:
        self._seed, self._ids, self._calendar, self._hostile = seed, ids, calendar, hostile
        self._templates: list[Template | None] = [None] * TEMPLATES

    def created_at(self, serial: int) -> int:
        """Return when a contact was created, in UNIX seconds."""
        return self.dates("created_at", (serial,), {})[0]

    def dates(self, field: DateField, serials: Sequence[int], revisions: Mapping[int, int]) -> list[int]:
        """Return one date of contacts, in UNIX seconds.

        Args:
            field: name of the date.
            serials: numbers of the contacts.
            revisions: number of a contact's latest update, by the number of the contact.
        """
        delay_of = attrgetter("created_s" if field == "created_at" else "updated_s")
        slots, templates = self._calendar.created_at_all(serials), self._templates
        stamps = [
            slot + delay_of(templates[(serial * _STRIDE + _OFFSET) % TEMPLATES] or self._template(serial))
            for serial, slot in zip(serials, slots, strict=True)
        ]
        if field == "created_at" or not revisions:
            return stamps
        return [
            self._updated_at(revisions[serial]) if serial in revisions else stamp
            for serial, stamp in zip(serials, stamps, strict=True)
        ]

    def _updated_at(self, revision: int) -> int:
        """Return the time of an update. Without a clock, it is later than any time in a template."""
        return self._calendar.changed_at(revision) + (YEAR_S if self._calendar.now is None else 0)

    def references(self, serial: int) -> References:
        """Return the references to the items of a contact's nested lists."""
        return self._template(serial).references

    def render(self, serials: Sequence[int], revisions: Mapping[int, int], *, text_owners: bool) -> list[bytes]:
        """Return the JSON of contacts.

        Args:
            serials: numbers of the contacts.
            revisions: number of a contact's latest update, by the number of the contact.
            text_owners: whether the owner's id is a string.
        """
        records = []
        slots, ids = self._calendar.created_at_all(serials), self._ids.of_all(serials)
        for serial, slot, contact_id in zip(serials, slots, ids, strict=True):
            template = self._templates[(serial * _STRIDE + _OFFSET) % TEMPLATES] or self._template(serial)
            number = serial + 1
            digits = b"%016x" % (number * _HEX_STEP & _MASK) if template.has_hex else b""
            stamps = [slot + delay for delay in template.delays]
            text = template.text_owners if text_owners else template.text
            records.append(text % template.pick((contact_id, b"%d" % number, digits, *stamps)))
        if self._hostile or revisions:
            changed = zip(serials, records, strict=True)
            return [self._changed(record, serial, revisions.get(serial), text_owners) for serial, record in changed]
        return records

    def _changed(self, record: bytes, serial: int, revision: int | None, text_owners: bool) -> bytes:
        """Return a contact in its hostile form, if it has one, and after its latest update."""
        if self._hostile and hostility.is_hostile(serial):
            record = hostility.make_hostile(record, serial)
        if revision is None:
            return record
        owner = (b'"%d"' if text_owners else b"%d") % (_FIRST_NEW_OWNER + revision)
        return updated(record, owner, self._updated_at(revision))

    def _template(self, serial: int) -> Template:
        number = (serial * _STRIDE + _OFFSET) % TEMPLATES
        template = self._templates[number]
        if template is None:
            template = self._templates[number] = build(self._seed, number, self._ids.workspace_id)
        return template
