"""Synthetic contacts by their serial numbers, generated on demand."""

from exporter.sandbox import hostile as hostility
from exporter.sandbox.calendar import YEAR_S, Calendar
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
        return self._calendar.created_at(serial) + self._template(serial).delays[0]

    def updated_at(self, serial: int, revision: int | None) -> int:
        """Return when a contact was updated, in UNIX seconds; see `render`."""
        if revision is None:
            return self._calendar.created_at(serial) + max(self._template(serial).delays)
        # Without a clock, an update is later than any time in a template.
        return self._calendar.changed_at(revision) + (YEAR_S if self._calendar.now is None else 0)

    def references(self, serial: int) -> References:
        """Return the references to the items of a contact's nested lists."""
        return self._template(serial).references

    def render(self, serial: int, revision: int | None, *, text_owners: bool) -> bytes:
        """Return the JSON of a contact.

        Args:
            serial: number of the contact.
            revision: number of its latest update; None if it was never updated.
            text_owners: whether the owner's id is a string.
        """
        template = self._template(serial)
        slot = self._calendar.created_at(serial)
        fillers: tuple[bytes | int, ...] = (
            self._ids.of(serial),
            b"%d" % (serial + 1),
            b"%016x" % ((serial + 1) * _HEX_STEP & _MASK),
            *[slot + delay for delay in template.delays],
        )
        text = template.text_owners if text_owners else template.text
        record = text % template.pick(fillers)
        if self._hostile and hostility.is_hostile(serial):
            record = hostility.make_hostile(record, serial)
        if revision is None:
            return record
        owner = (b'"%d"' if text_owners else b"%d") % (_FIRST_NEW_OWNER + revision)
        return updated(record, owner, self.updated_at(serial, revision))

    def _template(self, serial: int) -> Template:
        number = (serial * _STRIDE + _OFFSET) % TEMPLATES
        template = self._templates[number]
        if template is None:
            template = self._templates[number] = build(self._seed, number, self._ids.workspace_id)
        return template
