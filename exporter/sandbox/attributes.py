"""Custom attributes: free-text keys, every JSON type, and values as in real workspaces."""

from collections.abc import Callable
from typing import Any

from exporter.sandbox import values

_ATTRIBUTES: tuple[tuple[str, Callable[[values.Dice], Any]], ...] = (
    ("plan", lambda dice: dice.choice(("free", "pro", "Größe L", "企業"))),
    ("billing cycle", lambda dice: dice.choice(("Monthly", "Yearly", None))),
    ("PLAN_LEVEL", lambda dice: dice.randrange(5)),
    ("Monthly fee (€)", lambda dice: round(dice.uniform(0, 5000), 2)),
    ("Lifetime value $", lambda dice: round(dice.uniform(0, 1e6), 4)),
    ("Preis in £/Jahr", lambda dice: dice.choice((0.1, 99.0, 1e-07, 2.5e21, -3.75))),
    ("ledger_id", lambda dice: dice.randrange(2**53 + 1, 2**63)),
    ("snowflake", lambda dice: dice.randrange(2**62, 2**63)),
    ("balance", lambda dice: -dice.randrange(2**53, 2**62)),
    ("is_admin", lambda dice: dice.likely(0.1)),
    ("accepted terms?", lambda dice: dice.choice((True, False, None))),
    ("trial_ends_at", lambda dice: dice.randrange(1_400_000_000, 1_750_000_000)),
    ("last_invoice_ms", lambda dice: dice.randrange(1_400_000_000_000, 1_750_000_000_000)),
    ("renewal date", lambda dice: f"202{dice.randrange(4, 9)}-0{dice.randrange(1, 9)}-1{dice.randrange(9)}"),
    ("first_order", lambda dice: f"2023-11-0{dice.randrange(1, 9)}T23:59:59.{dice.randrange(1000):03}+02:00"),
    ("order", lambda dice: _reference(dice, "Order")),
    ("Fahrzeug", lambda dice: _reference(dice, "Vehicle")),
    ("remark", lambda dice: dice.choice(values.PHRASES)),
    ("history", lambda dice: " / ".join(dice.sample(values.PHRASES, 3))),
    ("メモ", lambda dice: dice.choice(values.PHRASES)),
    ("город", lambda dice: dice.choice(("Київ", "Ташкент", ""))),
    ("name", lambda dice: dice.choice(("shadowed", "type", "id", "data"))),
    ("seats", lambda dice: dice.randrange(1, 2000)),
    ("NPS", lambda dice: dice.randrange(-1, 11)),
    ("job title", lambda dice: dice.choice(("CEO", "Sachbearbeiter*in", "Ingénieure R&D", "部長", "n/a"))),
    ("zip", lambda dice: f"{dice.randrange(100000):05}"),
    ("emoji 🙂", lambda dice: dice.choice(("👍🏽", "👩‍👩‍👧‍👦", "🇮🇪", "🏳️‍🌈"))),
    ("json", lambda dice: '{"nested":"' + dice.choice(("text", "}]", '\\"')) + '"}'),
    ('path\\to\\"it"', lambda _: "C:\\temp\\new"),
)


def custom_attributes(dice: values.Dice) -> dict[str, Any]:
    """Return random custom attributes of one template: some of the known ones, in any order."""
    selected = dice.sample(_ATTRIBUTES, dice.randrange(2, 9))
    return {name: draw(dice) for name, draw in selected}


def definitions(*, hostile: bool = False) -> list[dict[str, Any]]:
    """Return the definitions of contact attributes: the custom ones, one of them archived, and two standard ones.

    Args:
        hostile: whether there are attributes whose names differ only by case.
    """
    custom = [
        describe(name, draw(values.Dice(f"attribute:{number}")), number) | {"archived": name == _ARCHIVED}
        for number, (name, draw) in enumerate(_ATTRIBUTES)
    ]
    numbered = enumerate(_SAME_NAMES.items(), len(custom))
    same_names = [describe(name, value, number) for number, (name, value) in numbered]
    return [
        _definition("email", "email", "string", custom=False),
        *custom,
        *(same_names if hostile else ()),
        _definition("city_name", "location_data.city_name", "string", custom=False),
    ]


_ARCHIVED = "NPS"
_SAME_NAMES = {"size": "L", "Size": "XL", "SIZE": 3}
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "float", dict: "object"}


def describe(name: str, value: Any, number: int) -> dict[str, Any]:
    """Return the definition of a custom attribute, from one of its values and a number for its id."""
    kind = _TYPES.get(type(value), "string")
    return _definition(name, f"custom_attributes.{name}", kind, custom=True) | {"id": 1000 + number}


def _definition(name: str, full_name: str, data_type: str, *, custom: bool) -> dict[str, Any]:
    return {
        "type": "data_attribute",
        "model": "contact",
        "name": name,
        "full_name": full_name,
        "label": name,
        "description": "",
        "data_type": data_type,
        "api_writable": custom,
        "messenger_writable": False,
        "ui_writable": custom,
        "custom": custom,
        "archived": False,
    }


def _reference(dice: values.Dice, kind: str) -> dict[str, Any]:
    """Return a reference to a custom object, in the API's form: a nested object."""
    key = dice.randrange(10**9)
    instance = {"type": kind, "id": str(key), "external_id": f"{kind[:1]}-{key:09}", "open": key % 2 == 0}
    return {"type": f"{kind}.list", "instances": [instance]}
