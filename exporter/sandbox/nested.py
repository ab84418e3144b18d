"""The lists of a contact: tags, notes, companies, subscriptions and segments.

A contact embeds at most ten items of a list; the complete list has a separate
endpoint. Both use the same references, so they match.
"""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from exporter.sandbox import values

Nested: TypeAlias = Literal["tags", "notes", "companies", "subscriptions", "segments"]
NESTED: tuple[Nested, ...] = get_args(Nested)

TYPES: dict[Nested, str] = {
    "tags": "tag",
    "notes": "note",
    "companies": "company",
    "subscriptions": "subscription",
    "segments": "segment",
}
"""The ``type`` of the items of each list."""

ADMIN = {"type": "admin", "id": "814860", "email": "ops@example.com", "name": "Ciarán Ó Súilleabháin"}
"""The only admin of every workspace, who owns the token, writes the notes and applies the tags."""

TAGS = 600
COMPANIES = 5000
EMBEDDED = 10
"""The maximum number of items of one list in a contact (documented)."""

_LONG_LISTS_INTERVAL = 20
_LONG_LIST_LENGTHS = (11, 500, 12, 25, 60, 14, 130)
_COMPANY_STEP = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class References:
    """The items of one contact's lists, as numbers of tags, companies and so on."""

    tags: tuple[int, ...]
    notes: int
    companies: tuple[int, ...]
    opted_in: tuple[int, ...]
    opted_out: tuple[int, ...]
    segments: tuple[int, ...]

    @classmethod
    def draw(cls, dice: values.Dice, template: int) -> "References":
        """Return random references: usually at most five per list, more than ten in one template of twenty."""
        group = template // _LONG_LISTS_INTERVAL
        is_long = template % _LONG_LISTS_INTERVAL == 0
        length = _LONG_LIST_LENGTHS[group % len(_LONG_LIST_LENGTHS)] if is_long else 0
        notes = min(length, 130) if group % 2 else 0
        companies = min(length, 130) if group % 3 == 1 else 0
        return cls(
            tags=tuple(sorted(dice.sample(range(TAGS), length or dice.choice((0, 0, 0, 1, 1, 2, 3, 5))))),
            notes=notes or dice.choice((0, 0, 0, 0, 0, 1, 1, 2, 4)),
            companies=tuple(dice.sample(range(COMPANIES), companies or dice.choice((0, 0, 0, 0, 1, 1, 2)))),
            opted_in=_draw_subscriptions(dice, "opt_in"),
            opted_out=_draw_subscriptions(dice, "opt_out"),
            segments=tuple(sorted(dice.sample(range(len(values.SEGMENTS)), dice.randint(0, 3)))),
        )


def tag(number: int) -> dict[str, Any]:
    """Return a tag of the workspace in the form of ``GET /tags``: type, id, name."""
    return {"type": "tag", "id": tag_id(number), "name": f"{_word(values.TAG_WORDS, number)} {number}"}


def tag_id(number: int) -> str:
    """Return a tag's id: digits in a string."""
    return str(7_000_000 + number)


def company_id(number: int) -> str:
    """Return a company's id: 24 hex digits."""
    return f"5f{number:06x}{number * _COMPANY_STEP % 2**64:016x}"


def subscription_id(number: int) -> str:
    """Return a subscription type's id: digits in a string."""
    return str(91 + number)


def applied_tags(references: References, created_at: int) -> list[dict[str, Any]]:
    """Return every tag of a contact, with the time and the admin of its application."""
    admin = {"type": "admin", "id": ADMIN["id"]}
    return [
        {**tag(number), "applied_at": created_at + 60 * position, "applied_by": admin}
        for position, number in enumerate(references.tags)
    ]


def notes(references: References, contact: str, number: int, created_at: int) -> list[dict[str, Any]]:
    """Return every note of a contact.

    Args:
        references: references of the contact.
        contact: id of the contact.
        number: number of the contact, from 1; the ids of its notes begin with it.
        created_at: time of the contact's creation, in UNIX seconds.
    """
    return [
        {
            "type": "note",
            "id": note_id(str(number), position),
            "created_at": created_at + 3600 * position,
            "contact": {"type": "contact", "id": contact},
            "author": ADMIN,
            "body": f"<p>{_word(values.PHRASES, number + position)}</p>",
        }
        for position in range(references.notes)
    ]


def note_id(number: str, position: int) -> str:
    """Return the id of a note: the number of the contact, then the position of the note in three digits."""
    return f"{number}{position:03}"


def companies(references: References) -> list[dict[str, Any]]:
    """Return every company of a contact."""
    return [
        {
            "type": "company",
            "id": company_id(number),
            "company_id": f"org-{number}",
            "name": f"{_word(values.COMPANY_WORDS, number)} {_word(values.COMPANY_FORMS, number // 7)}",
            "created_at": 1_400_000_000 + 3600 * number,
            "updated_at": 1_410_000_000 + 3600 * number,
            "monthly_spend": number % 997,
            "session_count": number % 31,
            "user_count": 1 + number % 400,
            "plan": {"type": "plan", "id": str(number % 4), "name": f"Plan {number % 4}"},
            "custom_attributes": {"Sector (NACE)": f"{number % 99:02}.1"},
        }
        for number in references.companies
    ]


def subscriptions(references: References) -> list[dict[str, Any]]:
    """Return every subscription type that a contact opted in to or out of."""
    return [
        {
            "type": "subscription",
            "id": subscription_id(number),
            "state": "live",
            "default_translation": {"name": values.SUBSCRIPTIONS[number][0], "locale": "en"},
            "translations": [],
            "consent_type": values.SUBSCRIPTIONS[number][1],
            "content_types": ["email"],
        }
        for number in references.opted_in + references.opted_out
    ]


def segments(references: References) -> list[dict[str, Any]]:
    """Return every segment of a contact. Contacts do not embed this list."""
    return [
        {
            "type": "segment",
            "id": f"56203d253cba154d3901{number:04x}",
            "name": values.SEGMENTS[number],
            "created_at": 1_394_621_988,
            "updated_at": 1_394_622_004,
            "person_type": "contact",
        }
        for number in references.segments
    ]


def _draw_subscriptions(dice: values.Dice, consent: str) -> tuple[int, ...]:
    return tuple(n for n, (_, kind) in enumerate(values.SUBSCRIPTIONS) if kind == consent and dice.likely(0.2))


def _word(words: tuple[str, ...], number: int) -> str:
    return words[number % len(words)]
