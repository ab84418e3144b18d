"""What is known of a contact: every field of the API's reference, and those that real contacts carry besides.

Data, not code: the command ``schema``, the tables that contacts are flattened
into and the tests of the sandbox are made from it. An export does not depend
on it: a contact that does not fit is written all the same.

The first list is that of the reference of ``GET /contacts``, version 2.14; what
is marked as seen comes from captured traffic and from other exporters' issues.
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
        path: keys with dots between; below a list they are those of its items.
        type: what its value is, where it is not null.
        meaning: in a few words.
        nullable: whether the reference says that it may be null.
        documented: whether the reference has it; else it was seen.
        since: the first version of the API that has it, None where nobody says.
        also: other types that its value is known to have.
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
        """The path of the field that it is part of, empty for those of the contact itself."""
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
    yield Field("workspace_id", "string", "id of the workspace it belongs to")
    yield Field("external_id", "string", "the id you gave it", nullable=True)
    yield Field("role", "string", "user or lead")
    yield Field("email", "string", "email address", nullable=True)
    yield Field("email_domain", "string", "what follows the @ of its email", nullable=True, since_version=None)
    yield Field("phone", "string", "phone number", nullable=True)
    yield Field("name", "string", "full name", nullable=True)
    owner = "id of the admin who owns it; a string on some contacts"
    yield Field("owner_id", "integer", owner, nullable=True, alternative_types=("string",))


def _engagement() -> Iterator[Field]:
    yield Field("has_hard_bounced", "boolean", "an email to it bounced for good")
    yield Field("marked_email_as_spam", "boolean", "it called an email spam")
    yield Field("unsubscribed_from_emails", "boolean", "it wants no emails")
    yield Field("created_at", "timestamp", "when it was created")
    yield Field("updated_at", "timestamp", "when it last changed")
    yield Field("signed_up_at", "timestamp", "when it signed up, as you said", nullable=True)
    yield Field("last_seen_at", "timestamp", "when it was last seen", nullable=True)
    yield Field("last_replied_at", "timestamp", "when it last wrote", nullable=True)
    yield Field("last_contacted_at", "timestamp", "when it was last written to", nullable=True)
    yield Field("last_email_opened_at", "timestamp", "when it last opened an email", nullable=True)
    yield Field("last_email_clicked_at", "timestamp", "when it last followed a link of an email", nullable=True)


def _devices() -> Iterator[Field]:
    yield Field("language_override", "string", "language it is to be addressed in", nullable=True)
    yield Field("browser", "string", "browser it uses", nullable=True)
    yield Field("browser_version", "string", "version of the browser", nullable=True)
    yield Field("browser_language", "string", "language of the browser", nullable=True)
    yield Field("os", "string", "operating system it uses", nullable=True)
    for system, shown in (("android", "Android"), ("ios", "iOS")):
        yield Field(f"{system}_app_name", "string", f"your {shown} app that it uses", nullable=True)
        yield Field(f"{system}_app_version", "string", "version of that app", nullable=True)
        yield Field(f"{system}_device", "string", f"{shown} device it uses", nullable=True)
        yield Field(f"{system}_os_version", "string", f"version of {shown} on it", nullable=True)
        yield Field(f"{system}_sdk_version", "string", "version of Intercom's SDK in the app", nullable=True)
        yield Field(f"{system}_last_seen_at", "timestamp", "when it last used the app", nullable=True)


def _nested() -> Iterator[Field]:
    yield Field("custom_attributes", "object", "your own attributes, by their names")
    yield Field("avatar", "object", "its picture", nullable=True)
    yield Field("avatar.type", "string", "always avatar")
    yield Field("avatar.image_url", "string", "where the picture is", nullable=True)
    yield Field("tags", "object", "at most ten of its tags, by id", nullable=True)
    yield from _embedded("tags", "tag")
    yield Field("tags.url", "string", "where all of them are")
    yield Field("tags.total_count", "integer", "how many there are")
    yield Field("tags.has_more", "boolean", "whether there are more than these")
    yield Field("notes", "object", "at most ten of its notes, by id")
    yield from _embedded("notes", "note")
    yield Field("notes.total_count", "integer", "how many there are")
    yield Field("companies", "object", "at most ten of its companies, by id")
    yield from _embedded("companies", "company")
    yield Field("companies.total_count", "integer", "how many there are")
    yield Field("location", "object", "where it is")
    yield Field("location.type", "string", "always location", nullable=True)
    yield Field("location.country", "string", "country", nullable=True)
    yield Field("location.region", "string", "region", nullable=True)
    yield Field("location.city", "string", "city", nullable=True)
    yield Field("social_profiles", "object", "its social profiles")
    yield Field("social_profiles.data", "list", "the profiles")
    yield Field("social_profiles.data.type", "string", "always social_profile")
    yield Field("social_profiles.data.name", "string", "name of the network")
    yield Field("social_profiles.data.url", "string", "address of the profile")


def _embedded(name: str, kind: str, *, documented: bool = True) -> Iterator[Field]:
    yield Field(f"{name}.data", "list", "the first ten", documented=documented)
    yield Field(f"{name}.data.type", "string", f"always {kind}", documented=documented)
    yield Field(f"{name}.data.id", "string", f"id of the {kind}", documented=documented)
    yield Field(f"{name}.data.url", "string", f"where the {kind} is", documented=documented)


def _expanded(name: str) -> Iterator[Field]:
    def field(path: str, kind: Type, meaning: str) -> Field:
        return Field(f"{name}.{path}".rstrip("."), kind, meaning, nullable=True, documented=False, since_version=None)

    match name:
        case "tags":
            yield field("data.name", "string", "name of the tag")
        case "notes":
            yield field("data.body", "string", "the note, in HTML")
            yield field("data.created_at", "timestamp", "when it was written")
        case "companies":
            yield field("data.name", "string", "name of the company")
            yield field("data.company_id", "string", "the id you gave it")
        case "subscriptions" | "segments":
            kind = name.removesuffix("s")
            yield field("", "object", f"all of its {name}")
            yield field("data", "list", "the list")
            yield field("data.type", "string", f"always {kind}")
            yield field("data.id", "string", f"id of the {kind}")
            if name == "segments":
                yield field("data.name", "string", "name of the segment")
            else:
                yield field("data.state", "string", "live, draft or archived")
                yield field("data.consent_type", "string", "opt_in or opt_out")
            yield field("total_count", "integer", "how many there are")


def _observed_fields() -> Iterator[Field]:
    def seen(path: str, kind: Type, meaning: str) -> Field:
        return Field(path, kind, meaning, nullable=True, documented=False, since_version=None)

    yield seen("unsubscribed_from_sms", "boolean", "it wants no text messages")
    yield seen("sms_consent", "boolean", "it agreed to text messages")
    yield seen("enabled_push_messaging", "boolean", "it can get push messages")
    yield seen("referrer", "string", "page that led to it")
    for name in ("campaign", "content", "medium", "source", "term"):
        yield seen(f"utm_{name}", "string", f"UTM parameter {name}")
    for name in ("notes", "companies"):
        yield seen(f"{name}.type", "string", "always list")
        yield seen(f"{name}.url", "string", "where all of them are")
        yield seen(f"{name}.has_more", "boolean", "whether there are more than these")
    for name in ("tags", "social_profiles"):
        yield seen(f"{name}.type", "string", "always list")
    for direction in ("in", "out"):
        name = f"opted_{direction}_subscription_types"
        yield seen(name, "object", f"at most ten subscriptions that it opted {direction}, by id")
        yield from _embedded(name, "subscription", documented=False)
        yield seen(f"{name}.type", "string", "always list")
        yield seen(f"{name}.url", "string", "where all of them are")
        yield seen(f"{name}.total_count", "integer", "how many there are")
        yield seen(f"{name}.has_more", "boolean", "whether there are more than these")
    yield seen("location.country_code", "string", "country in three letters")


CONTACT_FIELDS: tuple[Field, ...] = tuple(_fields())
"""Every field that is known, those of the reference first."""


def fields_with(lists: Iterable[str]) -> tuple[Field, ...]:
    """Give every field that is known, with those that contacts have once their lists are completed.

    Args:
        lists: names of the completed lists: tags, notes, companies, subscriptions, segments.
    """
    return (*CONTACT_FIELDS, *(field for name in lists for field in _expanded(name)))


BY_PATH = {field.path: field for field in fields_with(("tags", "notes", "companies", "subscriptions", "segments"))}
"""Every field by its path, those of completed lists too."""

_JSON_TYPES = {"timestamp": "integer", "list": "array"}


def json_schema() -> dict[str, Any]:
    """Give the schema of a contact, as JSON Schema (2020-12).

    Nothing is required, and nothing forbidden: the API leaves fields out and
    adds others without notice.
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
    below = _properties(field.path, fields)
    if field.type == "list":
        schema["items"] = {"type": "object", "properties": below}
    elif below:
        schema["properties"] = below
    return schema
