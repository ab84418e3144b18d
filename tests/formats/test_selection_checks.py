"""Checks for field selections that are certainly mistakes."""

from typing import Any

import pytest

import exporter
from exporter.formats.selection_checks import check_selection


@pytest.mark.parametrize(
    "fields",
    [("nope",), ("nope", "emial"), ("location.contry",), ("custom_attributes.",), ("Email",), ("custom.plan",)],
)
def test_check_selection_of_only_unknown_fields_is_refused(fields: tuple[str, ...]) -> None:
    """Every contact would be empty."""
    if fields == ("custom_attributes.",):
        with pytest.raises(exporter.ConfigError):
            exporter.FieldSelection(fields=fields)
        return
    with pytest.raises(exporter.ConfigError, match="fields must name at least one field of a contact, not "):
        check_selection(exporter.FieldSelection(fields=fields))


@pytest.mark.parametrize(
    ("fields", "drop"),
    [
        (("id",), ("id",)),
        (("location.city", "id"), ("location", "id")),
        (("custom_attributes.a.b",), ("custom_attributes",)),
    ],
)
def test_check_selection_of_only_dropped_fields_is_refused(fields: tuple[str, ...], drop: tuple[str, ...]) -> None:
    """A field of a dropped object is dropped too."""
    with pytest.raises(exporter.ConfigError, match="fields and drop name the same fields"):
        check_selection(exporter.FieldSelection(fields=fields, drop=drop))


@pytest.mark.parametrize(
    "selection",
    [
        exporter.FieldSelection(),
        exporter.FieldSelection(drop=("nope",)),
        exporter.FieldSelection(fields=("id", "nope")),
        exporter.FieldSelection(fields=("custom_attributes.anything at all",)),
        exporter.FieldSelection(fields=("utm_source",)),
        exporter.FieldSelection(fields=("sms_consent", "referrer")),
        exporter.FieldSelection(fields=("tags.data.name",)),
        exporter.FieldSelection(fields=("location", "id"), drop=("location.city", "id")),
    ],
)
def test_check_selection_of_fields_that_can_exist_passes(selection: exporter.FieldSelection) -> None:
    """Documented, observed, custom and expanded fields pass, and so do unknown fields beside a known one."""
    check_selection(selection)


@pytest.mark.parametrize("options", [("--fields", "nope"), ("--fields", "id", "--drop", "id")])
def test_command_refuses_fields_before_the_first_request(command: Any, options: tuple[str, ...]) -> None:
    """The exit code is 2, whether or not a server responds."""
    done = command.run(
        "contacts", *options, INTERCOM_ACCESS_TOKEN="dG9r", INTERCOM_EXPORTER_BASE_URL="http://127.0.0.1:9"
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"field" in done.stderr


async def test_export_and_check_report_fields_missing_on_the_first_page(
    intercom: exporter.Intercom, tmp_path: Any
) -> None:
    """The export reports them once, after that page."""
    events: list[exporter.Event] = []
    selection = exporter.FieldSelection(fields=("id", "custom_attributes.no such"), drop=("nope",))
    await exporter.export(intercom, tmp_path / "a.ndjson", selection=selection, observer=events.append)
    found = [event for event in events if isinstance(event, exporter.FieldsNotFound)]
    assert found == [exporter.FieldsNotFound(("custom_attributes.no such", "nope"))]
    checked = await exporter.check(intercom, selection=selection)
    assert any(
        "no contact of the first page has 'custom_attributes.no such', 'nope'" in line for line in checked.warnings
    )
