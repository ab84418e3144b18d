"""The body of ``POST /contacts/search``: its filters, its sort order and its page. Pure.

Facts about the API (its OpenAPI descriptions, changes 576, 625 and 627): AND and OR combine filters in at most two
levels, with at most 15 filters each. Up to version 2.16 a date matches by whole days in the workspace's time zone;
from 2.17 on it matches by seconds, and more operators are allowed.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeAlias, get_args

from exporter.sandbox.calendar import DateField
from exporter.sandbox.protocol import DEFAULT_PER_PAGE, MAX_PER_PAGE, Refusal

Precision: TypeAlias = Literal["day", "second"]
"""How exactly dates match: by whole days in the workspace's time zone, or by seconds."""

MAX_LEVELS, MAX_FILTERS = 2, 15
DATES = frozenset(
    f"{name}_at"
    for name in (
        *("created", "signed_up", "updated", "last_seen", "last_contacted", "last_replied", "last_email_opened"),
        *("last_email_clicked", "ios_last_seen", "android_last_seen"),
    )
)
SORTABLE: tuple[DateField, ...] = get_args(DateField)
NUMBERS = frozenset({"owner_id"})
FLAGS = frozenset({"unsubscribed_from_emails", "marked_email_as_spam", "has_hard_bounced"})
STRINGS = frozenset(
    {
        *("id", "role", "name", "avatar", "email", "email_domain", "phone", "external_id", "language_override"),
        *("browser", "browser_version", "browser_language", "os", "segment_id", "tag_id"),
        *("location.country", "location.region", "location.city"),
        *(f"ios_{name}" for name in ("app_name", "app_version", "device", "os_version", "sdk_version")),
        *(f"android_{name}" for name in ("app_name", "app_version", "device", "os_version", "sdk_version")),
    }
)
CUSTOM = "custom_attributes."
_FIELDS = STRINGS | DATES | NUMBERS | FLAGS
_EQUALITY, _LISTS, _ORDER, _ORDER_OR_EQUAL = ("=", "!="), ("IN", "NIN"), (">", "<"), (">=", "<=")
_STRING_OPERATORS = (*_EQUALITY, *_LISTS, "~", "!~", "^", "$")
_NUMBER_OPERATORS = (*_EQUALITY, *_LISTS, *_ORDER)
_DAY_OPERATORS = ("=", *_ORDER)
_SECOND_OPERATORS = (*_NUMBER_OPERATORS, *_ORDER_OR_EQUAL)
_INTEGER = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Condition:
    """One filter: a field, an operator and a value, which is a tuple for IN and NIN."""

    field: str
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class Group:
    """Filters combined by ``AND`` or ``OR``."""

    operator: str
    filters: tuple["Condition | Group", ...]


Filter: TypeAlias = Condition | Group


@dataclass(frozen=True, slots=True)
class Search:
    """One request of ``POST /contacts/search``.

    Attributes:
        filter: the filter, None for all contacts.
        sort: field of the sort order.
        descending: whether the largest value is first.
        per_page: contacts per page.
        starting_after: cursor of the page, None for the first.
    """

    filter: Filter | None
    sort: DateField
    descending: bool
    per_page: int
    starting_after: str | None


@dataclass(frozen=True, slots=True)
class Rules:
    """What differs between API versions and workspaces.

    Attributes:
        precision: how exactly dates match.
        has_id_suffix: whether the operator ``$`` is accepted for ``id``.
    """

    precision: Precision = "day"
    has_id_suffix: bool = True


def parse_search(body: bytes, rules: Rules) -> Search:
    """Parse and check the body of a request.

    Raises:
        Refusal: 400, with the API's code.
    """
    try:
        content = json.loads(body)
    except ValueError:
        _refuse("bad_request", "the body is not JSON")
    if not isinstance(content, dict):
        _refuse("bad_request", "the body is not a JSON object")
    query = content.get("query")
    sort, descending = _sort(content.get("sort"))
    per_page, cursor = _pagination(content.get("pagination"))
    return Search(None if query is None else _filter(query, rules, 1), sort, descending, per_page, cursor)


def _sort(sort: object) -> tuple[DateField, bool]:
    """Return the field and the direction; without a sort, the latest contact is first."""
    if sort is None:
        return "created_at", True
    if not isinstance(sort, Mapping):
        _refuse("parameter_invalid", "sort must be an object")
    field, order = sort.get("field", "created_at"), sort.get("order", "descending")
    if field not in SORTABLE:
        _refuse("invalid_sort_field", f"{field} is not a field to sort by: use {' or '.join(SORTABLE)}")
    if order not in ("ascending", "descending"):
        _refuse("invalid_sort_order", "sort order must be ascending or descending")
    return field, order == "descending"


def _pagination(pagination: object) -> tuple[int, str | None]:
    if pagination is None:
        return DEFAULT_PER_PAGE, None
    if not isinstance(pagination, Mapping):
        _refuse("parameter_invalid", "pagination must be an object")
    per_page, cursor = pagination.get("per_page", DEFAULT_PER_PAGE), pagination.get("starting_after")
    if type(per_page) is not int or not 1 <= per_page <= MAX_PER_PAGE:
        _refuse("parameter_invalid", f"per_page must be a number between 1 and {MAX_PER_PAGE}")
    if cursor is not None and not isinstance(cursor, str):
        _refuse("parameter_invalid", "starting_after must be a string")
    return per_page, cursor or None


def _filter(query: object, rules: Rules, level: int) -> Filter:
    if not isinstance(query, Mapping):
        _refuse("invalid_query", "a query must be an object")
    operator, value = query.get("operator"), query.get("value")
    if operator in ("AND", "OR"):
        return _group(str(operator), value, rules, level)
    return _condition(query.get("field"), operator, value, rules)


def _group(operator: str, value: object, rules: Rules, level: int) -> Group:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        _refuse("invalid_query", f"the value of {operator} must be a list of filters")
    if level > MAX_LEVELS:
        _refuse("invalid_query", f"a query has at most {MAX_LEVELS} levels of AND and OR")
    if len(value) > MAX_FILTERS:
        _refuse("invalid_query", f"{operator} has at most {MAX_FILTERS} filters")
    return Group(operator, tuple(_filter(one, rules, level + 1) for one in value))


def _condition(field: object, operator: object, value: object, rules: Rules) -> Condition:
    if not isinstance(field, str) or not _is_field(field):
        _refuse("invalid_field", f"{field} is not a searchable field")
    allowed = _operators(field, rules)
    if operator not in allowed:
        _refuse("invalid_operator", f"{operator} is not a valid operator for {field}: use one of {' '.join(allowed)}")
    if operator in _LISTS:
        if not isinstance(value, Sequence) or isinstance(value, str):
            _refuse("invalid_value", f"the value of {operator} must be a list")
        return Condition(field, str(operator), tuple(_value(field, one) for one in value))
    return Condition(field, str(operator), _value(field, value))


def _is_field(field: str) -> bool:
    return field in _FIELDS or (field.startswith(CUSTOM) and field != CUSTOM)


def _operators(field: str, rules: Rules) -> tuple[str, ...]:
    """Return the operators that a field accepts."""
    if field in DATES:
        return _DAY_OPERATORS if rules.precision == "day" else _SECOND_OPERATORS
    if field in NUMBERS:
        return _NUMBER_OPERATORS
    if field in FLAGS:
        return _EQUALITY
    if field == "id" and not rules.has_id_suffix:
        return tuple(one for one in _STRING_OPERATORS if one != "$")
    return _STRING_OPERATORS


def _value(field: str, value: object) -> int | bool | str | None:
    """Return a value in the type of its field; the API accepts numbers and flags as text, too."""
    if value is None and field not in DATES:
        return None
    if field in DATES or field in NUMBERS:
        return _number(field, value)
    if field in FLAGS:
        if value not in (True, False, "true", "false"):
            _refuse("invalid_value", f"the value of {field} must be true or false")
        return value in (True, "true")
    if not isinstance(value, str | int | float):
        _refuse("invalid_value", f"the value of {field} must be text")
    return value if isinstance(value, str) else json.dumps(value)


def _number(field: str, value: object) -> int:
    if not _INTEGER.fullmatch(value if isinstance(value, str) else str(value) if type(value) is int else ""):
        _refuse("invalid_value", f"the value of {field} must be a whole number")
    return int(str(value))


def _refuse(code: str, message: str) -> NoReturn:
    raise Refusal(400, code, message)
