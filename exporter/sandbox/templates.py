"""Templates of contacts: complete JSON with placeholders for the values that are unique to a contact.

A few hundred templates suffice for any number of contacts. Filling a template
takes microseconds, so a sandbox is never the bottleneck of a measurement.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from exporter.sandbox import nested, values
from exporter.sandbox.attributes import custom_attributes

STEP_S = 30
"""Seconds between the ``created_at`` of two contacts; a template adds less than this."""

ID, NUMBER, HEX = "<<0>>", "<<1>>", "<<2>>"
_HEX, _FIRST_STAMP = 2, 3
_PLACEHOLDER = re.compile(r'"<<@(\d+)>>"|<<(\d)>>')
# All of them are before the custom attributes, which may contain any text.
_OWNER = re.compile(rb'("owner_id":)(\d+)')
_OWNER_AND_UPDATE = re.compile(rb'("owner_id"\s*:\s*)[\w"]+(.*?"updated_at"\s*:\s*)\d+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Template:
    """A template of contacts.

    Attributes:
        text: JSON with one ``%`` placeholder per value, for ``bytes %``.
        text_owners: same as ``text``, with the owner's id as a string.
        pick: function that returns the values of the placeholders, given
            ``(id, number, hex, *stamps)``.
        has_hex: whether ``hex`` is one of them.
        delays: seconds from the contact's slot in time to each of its
            timestamps.
        created_s: the delay of ``created_at``.
        updated_s: the delay of ``updated_at``.
        references: references to the items of the nested lists.
    """

    text: bytes
    text_owners: bytes
    pick: Callable[[Sequence[bytes | int]], tuple[bytes | int, ...]]
    has_hex: bool
    delays: tuple[int, ...]
    created_s: int
    updated_s: int
    references: nested.References


def build(seed: int, number: int, workspace_id: str) -> Template:
    """Return template ``number`` of a seed: the same for the same arguments, on any machine."""
    dice = values.Dice(f"{seed}:{number}")
    references = nested.References.draw(dice, number)
    stamps = _Stamps(dice)
    contact = {
        **_identity(dice, number, workspace_id),
        **_engagement(dice, stamps),
        **_devices(dice, stamps),
        "custom_attributes": custom_attributes(dice),
        **_lists(dice, number, references),
        **_marketing(dice),
    }
    # One template in eight escapes all non-ASCII characters, same as some parts of the API.
    text = json.dumps(contact, ensure_ascii=number % 8 == 0, separators=(",", ":"))
    indexes = [int(stamp or plain) for stamp, plain in _PLACEHOLDER.findall(text)]
    text = _PLACEHOLDER.sub(lambda match: "%d" if match[1] else "%b", text.replace("%", "%%"))
    encoded = text.encode()
    text_owners = _OWNER.sub(rb'\1"\2"', encoded, count=1)
    delays = tuple(stamps.delays)
    return Template(
        encoded,
        text_owners,
        itemgetter(*indexes),
        _HEX in indexes,
        delays,
        created_s=delays[0],
        updated_s=max(delays),
        references=references,
    )


def updated(record: bytes, owner_id: bytes, updated_at: int) -> bytes:
    """Return a contact with another owner.

    Args:
        record: JSON of the contact, hostile or not.
        owner_id: JSON of the new owner's id.
        updated_at: time of the change, in UNIX seconds.
    """
    return _OWNER_AND_UPDATE.sub(rb"\g<1>%b\g<2>%d" % (owner_id, updated_at), record, count=1)


class _Stamps:
    """The timestamps of one template, all within the lifetime of the contact."""

    def __init__(self, dice: values.Dice) -> None:
        self._dice = dice
        self._birth_s = dice.randrange(STEP_S)
        self._life_s = dice.randrange(3600, 300 * 86400)
        self.delays: list[int] = []

    def at(self, share: float) -> str:
        """Return a placeholder for a share of the lifetime: 0 for the creation, 1 for the last update."""
        self.delays.append(self._birth_s + int(share * self._life_s))
        return f"<<@{_FIRST_STAMP + len(self.delays) - 1}>>"

    def optional(self, low: float, high: float, chance: float = 0.7) -> str | None:
        """Return, with probability ``chance``, a placeholder for a random share of the lifetime; otherwise None."""
        return self.at(self._dice.uniform(low, high)) if self._dice.likely(chance) else None


def _identity(dice: values.Dice, number: int, workspace_id: str) -> dict[str, Any]:
    locale = dice.choice(values.LOCALES)
    region, city = dice.choice(locale.places)
    lead = dice.likely(0.25)
    name = locale.order.format(given=dice.choice(locale.given), family=dice.choice(locale.family))
    if number % 17 == 0:
        name = f"{name} {dice.choice('🌊🚀🧵🍀')}"
    keys = (NUMBER, f"f3b87a2e{HEX}", f"acct_{NUMBER}", f"{HEX}-ü/{NUMBER}")
    domain = dice.choice(values.DOMAINS)
    known = dice.likely(0.9)
    return {
        "type": "contact",
        "id": ID,
        "workspace_id": workspace_id,
        "external_id": None if lead else dice.choice(keys),
        "role": "lead" if lead else "user",
        "email": f"{dice.choice(values.HANDLES)}.{NUMBER}@{domain}",
        "email_domain": domain,
        "phone": f"{locale.dial}{dice.randrange(20, 99)}{NUMBER}" if dice.likely(0.6) else None,
        "name": name if dice.likely(0.95) else None,
        "owner_id": (None, 127, 814860, 9_007_199_254_740_993)[number % 4],
        "avatar": {"type": "avatar", "image_url": f"https://static.example.net/avatars/{ID}/128.jpg"}
        if dice.likely(0.5)
        else None,
        "location": {
            "type": "location",
            "country": locale.country if known else None,
            "region": region if known else None,
            "city": city if known else None,
            "country_code": locale.country_code if known else None,
        },
        "language_override": locale.language if dice.likely(0.3) else None,
        "browser_language": locale.language if known else None,
    }


def _engagement(dice: values.Dice, stamps: _Stamps) -> dict[str, Any]:
    return {
        "has_hard_bounced": dice.likely(0.03),
        "marked_email_as_spam": dice.likely(0.02),
        "unsubscribed_from_emails": dice.likely(0.2),
        "unsubscribed_from_sms": dice.likely(0.1),
        "sms_consent": dice.likely(0.2),
        "created_at": stamps.at(0),
        "signed_up_at": stamps.optional(0, 0.1),
        "last_contacted_at": stamps.optional(0.1, 0.6),
        "last_email_opened_at": stamps.optional(0.2, 0.7, 0.5),
        "last_email_clicked_at": stamps.optional(0.7, 0.8, 0.3),
        "last_replied_at": stamps.optional(0.2, 0.9, 0.5),
        "last_seen_at": stamps.optional(0.9, 1),
        "updated_at": stamps.at(1),
    }


def _devices(dice: values.Dice, stamps: _Stamps) -> dict[str, Any]:
    browser, browser_version = dice.choice((*values.BROWSERS, (None, None)))
    device, os_version, sdk_version = dice.choice((*values.ANDROID_DEVICES, *[(None, None, None)] * 4))
    phone, ios_version = dice.choice((*values.IOS_DEVICES, *[(None, None)] * 4))
    return {
        "browser": browser,
        "browser_version": browser_version,
        "os": dice.choice((*values.SYSTEMS, None)),
        "android_app_name": "Intercom" if device else None,
        "android_app_version": "5.0.0" if device else None,
        "android_device": device,
        "android_os_version": os_version,
        "android_sdk_version": sdk_version,
        "android_last_seen_at": stamps.at(0.85) if device else None,
        "ios_app_name": "Intercom" if phone else None,
        "ios_app_version": "5.0.0" if phone else None,
        "ios_device": phone,
        "ios_os_version": ios_version,
        "ios_sdk_version": ios_version,
        "ios_last_seen_at": stamps.at(0.8) if phone else None,
        "enabled_push_messaging": dice.choice((True, False, None)),
    }


def _lists(dice: values.Dice, number: int, refs: nested.References) -> dict[str, Any]:
    profiles = dice.sample(values.SOCIAL, dice.choice((0, 0, 0, 1)))
    return {
        "social_profiles": {
            "type": "list",
            "data": [{"type": "social_profile", "name": name, "url": url} for name, url in profiles],
        },
        "tags": _embedded("tags", map(nested.tag_id, refs.tags)) if refs.tags or number % 2 else None,
        "notes": _embedded("notes", (nested.note_id(NUMBER, position) for position in range(refs.notes))),
        "companies": _embedded("companies", map(nested.company_id, refs.companies)),
        "opted_out_subscription_types": _embedded("subscriptions", map(nested.subscription_id, refs.opted_out)),
        "opted_in_subscription_types": _embedded("subscriptions", map(nested.subscription_id, refs.opted_in)),
    }


def _embedded(plural: nested.Nested, ids: Iterable[str]) -> dict[str, Any]:
    items = [{"id": key, "type": nested.TYPES[plural], "url": f"/{plural}/{key}"} for key in ids]
    return {
        "type": "list",
        "data": items[: nested.EMBEDDED],
        "url": f"/contacts/{ID}/{plural}",
        "total_count": len(items),
        "has_more": len(items) > nested.EMBEDDED,
    }


def _marketing(dice: values.Dice) -> dict[str, Any]:
    tracked = dice.likely(0.3)
    return {
        "utm_campaign": dice.choice(values.CAMPAIGNS) if tracked else None,
        "utm_content": dice.choice(("banner-a", "banner-b", "")) if tracked else None,
        "utm_medium": dice.choice(("cpc", "email", "social")) if tracked else None,
        "utm_source": dice.choice(values.SOURCES) if tracked else None,
        "utm_term": dice.choice(("crm export", "müşteri", "客服")) if tracked else None,
        "referrer": dice.choice((*values.REFERRERS, None)),
    }
