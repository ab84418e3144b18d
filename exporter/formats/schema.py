"""The known fields of a contact: every field of the API's reference, and further fields of real contacts.

Data, not code: the command ``schema``, the columns of tables and the tests of
the sandbox use it. An export does not depend on it: a contact that differs from
the schema is still written.

The documented fields are those of the reference of ``GET /contacts``, version
2.14. Observed fields come from captured traffic and from issues of other exporters.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Type: TypeAlias = Literal["string", "integer", "boolean", "timestamp", "object", "list"]
"""``timestamp``: an integer of UNIX seconds. ``list``: an array whose items are objects."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a contact.

    Attributes:
        path: keys separated by dots; below a list, the keys of its items.
        type: type of its value, if that is not null.
        meaning: short description.
        nullable: whether its value can be null, according to the reference.
        documented: whether the reference lists it; otherwise it was observed in real contacts.
        since_version: first version of the API that has it; None if unknown.
        alternative_types: further types that its value can have.
    """

    path: str
    type: Type
    meaning: str
    nullable: bool = False
    documented: bool = True
    since_version: str | None = "2.0"
    alternative_types: tuple[Type, ...] = ()

    @property
    def name(self) -> str:
        """The last key of the path."""
        return self.path.rpartition(".")[2]

    @property
    def parent(self) -> str:
        """The path of the field that contains it; empty for a top-level field."""
        return self.path.rpartition(".")[0]


def _fields() -> Iterator[Field]:
    yield from _identity()
    yield from _engagement()
    yield from _devices()
    yield from _nested()
    yield from _observed_fields()


def _identity() -> Iterator[Field]:
    yield Field("type", "string", "always contact")
    yield Field("id", "string", "Intercom's id of the contact")
    yield Field("workspace_id", "string", "id of the workspace")
    yield Field("external_id", "string", "your own id of the contact", nullable=True)
    yield Field("role", "string", "user or lead")
    yield Field("email", "string", "email address", nullable=True)
    yield Field("email_domain", "string", "domain of the email address", nullable=True, since_version=None)
    yield Field("phone", "string", "phone number", nullable=True)
    yield Field("name", "string", "full name", nullable=True)
    owner = "id of the admin who owns the contact; a string in some contacts"
    yield Field("owner_id", "integer", owner, nullable=True, alternative_types=("string",))


def _engagement() -> Iterator[Field]:
    yield Field("has_hard_bounced", "boolean", "whether an email to the contact bounced permanently")
    yield Field("marked_email_as_spam", "boolean", "whether the contact marked an email as spam")
    yield Field("unsubscribed_from_emails", "boolean", "whether the contact unsubscribed from emails")
    yield Field("created_at", "timestamp", "when the contact was created")
    yield Field("updated_at", "timestamp", "when the contact was last updated")
    yield Field("signed_up_at", "timestamp", "when the contact signed up, as set by you", nullable=True)
    yield Field("last_seen_at", "timestamp", "when the contact was last seen", nullable=True)
    yield Field("last_replied_at", "timestamp", "when the contact last replied", nullable=True)
    yield Field("last_contacted_at", "timestamp", "when the contact was last contacted", nullable=True)
    yield Field("last_email_opened_at", "timestamp", "when the contact last opened an email", nullable=True)
    yield Field("last_email_clicked_at", "timestamp", "when the contact last clicked a link in an email", nullable=True)


def _devices() -> Iterator[Field]:
    yield Field("language_override", "string", "language for messages to the contact, as set by you", nullable=True)
    yield Field("browser", "string", "browser of the contact", nullable=True)
    yield Field("browser_version", "string", "version of the browser", nullable=True)
    yield Field("browser_language", "string", "language of the browser", nullable=True)
    yield Field("os", "string", "operating system of the contact", nullable=True)
    for system, title in (("android", "Android"), ("ios", "iOS")):
        yield Field(f"{system}_app_name", "string", f"name of your {title} app on the device", nullable=True)
        yield Field(f"{system}_app_version", "string", f"version of your {title} app", nullable=True)
        yield Field(f"{system}_device", "string", f"{title} device of the contact", nullable=True)
        yield Field(f"{system}_os_version", "string", f"version of {title} on the device", nullable=True)
        yield Field(f"{system}_sdk_version", "string", "version of Intercom's SDK in the app", nullable=True)
        yield Field(f"{system}_last_seen_at", "timestamp", "when the contact last used the app", nullable=True)


def _nested() -> Iterator[Field]:
    yield Field("custom_attributes", "object", "your custom attributes, by name")
    yield Field("avatar", "object", "picture of the contact", nullable=True)
    yield Field("avatar.type", "string", "always avatar")
    yield Field("avatar.image_url", "string", "URL of the picture", nullable=True)
    yield Field("tags", "object", "at most ten tags of the contact, by id", nullable=True)
    yield from _embedded("tags", "tag")
    yield Field("tags.url", "string", "path of the complete list")
    yield Field("tags.total_count", "integer", "number of tags")
    yield Field("tags.has_more", "boolean", "whether the list is truncated")
    yield Field("notes", "object", "at most ten notes of the contact, by id")
    yield from _embedded("notes", "note")
    yield Field("notes.total_count", "integer", "number of notes")
    yield Field("companies", "object", "at most ten companies of the contact, by id")
    yield from _embedded("companies", "company")
    yield Field("companies.total_count", "integer", "number of companies")
    yield Field("location", "object", "location of the contact")
    yield Field("location.type", "string", "always location", nullable=True)
    yield Field("location.country", "string", "country", nullable=True)
    yield Field("location.region", "string", "region", nullable=True)
    yield Field("location.city", "string", "city", nullable=True)
    yield Field("social_profiles", "object", "social profiles of the contact")
    yield Field("social_profiles.data", "list", "the profiles")
    yield Field("social_profiles.data.type", "string", "always social_profile")
    yield Field("social_profiles.data.name", "string", "name of the network")
    yield Field("social_profiles.data.url", "string", "URL of the profile")


def _embedded(name: str, kind: str, *, documented: bool = True) -> Iterator[Field]:
    yield Field(f"{name}.data", "list", "the first ten items", documented=documented)
    yield Field(f"{name}.data.type", "string", f"always {kind}", documented=documented)
    yield Field(f"{name}.data.id", "string", f"id of the {kind}", documented=documented)
    yield Field(f"{name}.data.url", "string", f"path of the {kind}", documented=documented)


def _expanded(name: str) -> Iterator[Field]:
    def field(path: str, kind: Type, meaning: str) -> Field:
        return Field(f"{name}.{path}".rstrip("."), kind, meaning, nullable=True, documented=False, since_version=None)

    match name:
        case "tags":
            yield field("data.name", "string", "name of the tag")
        case "notes":
            yield field("data.body", "string", "text of the note, in HTML")
            yield field("data.created_at", "timestamp", "when the note was written")
        case "companies":
            yield field("data.name", "string", "name of the company")
            yield field("data.company_id", "string", "your own id of the company")
        case "subscriptions" | "segments":
            kind = name.removesuffix("s")
            yield field("", "object", f"all {name} of the contact")
            yield field("data", "list", "all items")
            yield field("data.type", "string", f"always {kind}")
            yield field("data.id", "string", f"id of the {kind}")
            if name == "segments":
                yield field("data.name", "string", "name of the segment")
            else:
                yield field("data.state", "string", "live, draft or archived")
                yield field("data.consent_type", "string", "opt_in or opt_out")
            yield field("total_count", "integer", f"number of {name}")


def _observed_fields() -> Iterator[Field]:
    def observed(path: str, kind: Type, meaning: str) -> Field:
        return Field(path, kind, meaning, nullable=True, documented=False, since_version=None)

    yield observed("unsubscribed_from_sms", "boolean", "whether the contact unsubscribed from text messages")
    yield observed("sms_consent", "boolean", "whether the contact agreed to text messages")
    yield observed("enabled_push_messaging", "boolean", "whether the contact can receive push messages")
    yield observed("referrer", "string", "page from which the contact came")
    for name in ("campaign", "content", "medium", "source", "term"):
        yield observed(f"utm_{name}", "string", f"UTM parameter {name}")
    for name in ("notes", "companies"):
        yield observed(f"{name}.type", "string", "always list")
        yield observed(f"{name}.url", "string", "path of the complete list")
        yield observed(f"{name}.has_more", "boolean", "whether the list is truncated")
    for name in ("tags", "social_profiles"):
        yield observed(f"{name}.type", "string", "always list")
    for direction in ("in", "out"):
        name = f"opted_{direction}_subscription_types"
        yield observed(name, "object", f"at most ten subscriptions that the contact opted {direction}, by id")
        yield from _embedded(name, "subscription", documented=False)
        yield observed(f"{name}.type", "string", "always list")
        yield observed(f"{name}.url", "string", "path of the complete list")
        yield observed(f"{name}.total_count", "integer", "number of subscriptions")
        yield observed(f"{name}.has_more", "boolean", "whether the list is truncated")
    yield observed("location.country_code", "string", "three-letter code of the country")


CONTACT_FIELDS: tuple[Field, ...] = tuple(_fields())
"""Every known field, documented fields first."""


def fields_with(lists: Iterable[str]) -> tuple[Field, ...]:
    """Return every known field, and the further fields of expanded lists.

    Args:
        lists: names of the expanded lists: tags, notes, companies, subscriptions, segments.
    """
    return (*CONTACT_FIELDS, *(field for name in lists for field in _expanded(name)))


BY_PATH = {field.path: field for field in fields_with(("tags", "notes", "companies", "subscriptions", "segments"))}
"""Every known field by its path, including the fields of expanded lists."""

_JSON_TYPES = {"timestamp": "integer", "list": "array"}


def json_schema() -> dict[str, Any]:
    """Return the schema of a contact as JSON Schema (2020-12).

    It requires no fields and forbids none: the API omits fields and adds others
    without notice.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Intercom contact",
        "type": "object",
        "properties": _properties("", CONTACT_FIELDS),
    }


def _properties(parent: str, fields: Sequence[Field]) -> dict[str, Any]:
    return {field.name: _schema_of(field, fields) for field in fields if field.parent == parent}


def _schema_of(field: Field, fields: Sequence[Field]) -> dict[str, Any]:
    types = [_JSON_TYPES.get(kind, kind) for kind in (field.type, *field.alternative_types)] + ["null"] * field.nullable
    schema: dict[str, Any] = {"type": types if len(types) > 1 else types[0], "description": field.meaning}
    if field.type == "timestamp":
        schema["format"] = "unix-time"
    properties = _properties(field.path, fields)
    if field.type == "list":
        schema["items"] = {"type": "object", "properties": properties}
    elif properties:
        schema["properties"] = properties
    return schema
