"""--fields, --drop, --pseudonymise."""

import json
from pathlib import Path
from typing import Any

import pytest


def key_file(folder: Path, content: bytes = b"a key of more than sixteen bytes\n", mode: int = 0o600) -> str:
    """Write a key."""
    path = folder / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_fields_are_selected_dropped_and_pseudonymised(command: Any, tmp_path: Path) -> None:
    """Each option as in its help; a list may also come in several options."""
    done = command.run(
        *("demo", "--contacts", "5", "--quiet", "--fields", "email, id", "--fields", "location.country,location.city"),
        *("--drop", "location.city", "--pseudonymise", "email", "--key-file", key_file(tmp_path)),
    )
    assert (done.returncode, done.stderr) == (0, b"")
    for line in done.stdout.splitlines():
        contact = json.loads(line)
        assert list(contact) == ["email", "id", "location"]
        assert contact["email"] is None or len(contact["email"]) == 64
        assert set(contact["location"]) == {"country"}


def test_field_that_no_contact_has_is_a_warning(command: Any) -> None:
    """Early and at the end; not an error, since other workspaces may have it."""
    done = command.run("demo", "--contacts", "500", "--fields", "id,emial")
    assert done.returncode == 0
    assert done.stderr.count(b"emial") == 2
    assert done.stdout.count(b"\n") == 500


def test_fields_may_come_from_the_environment(command: Any) -> None:
    """As every option may."""
    done = command.run("demo", "--contacts", "1", INTERCOM_EXPORTER_FIELDS="id,role")
    assert list(json.loads(done.stdout)) == ["id", "role"]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--pseudonymise", "email"], "--key-file"),
        (["--key-file", "key"], "--pseudonymise"),
        (["--pseudonymise", "email", "--key-file", "missing"], "key file"),
        (["--fields", "id,,email"], "fields"),
        (["--fields", "id,id"], "a duplicate path"),
        (["--drop", "a."], "dot"),
    ],
)
def test_invalid_record_options_are_refused(command: Any, options: list[str], hint: str) -> None:
    """In one line, with exit code 2, before anything is written."""
    done = command.run("demo", *options)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert hint in done.stderr.decode()


@pytest.mark.parametrize(("content", "mode", "hint"), [(b"short\n", 0o600, "16 bytes"), (b"k" * 32, 0o644, "chmod")])
def test_weak_or_readable_key_is_refused(command: Any, tmp_path: Path, content: bytes, mode: int, hint: str) -> None:
    """Too short, or readable by others."""
    done = command.run("demo", "--pseudonymise", "email", "--key-file", key_file(tmp_path, content, mode))
    assert (done.returncode, done.stdout) == (2, b"")
    assert hint in done.stderr.decode()


def test_key_is_in_no_output(command: Any, tmp_path: Path) -> None:
    """Nor in any file."""
    key = b"CANARY0123456789CANARY"
    done = command.run(
        *("demo", "--contacts", "300", "--verbose", "--pseudonymise", "email,name", "--output", "contacts.ndjson"),
        *("--key-file", key_file(tmp_path, key)),
    )
    assert done.returncode == 0
    written = b"".join(path.read_bytes() for path in command.folder.iterdir() if path.name != "key")
    assert b"CANARY" not in written + done.stdout + done.stderr


def test_expand_fetches_full_lists(command: Any) -> None:
    """All of them, or some, with the names of tags; the manifest lists them."""
    done = command.run("demo", "--contacts", "60", "--quiet", "--expand", "all", "--tag-names", "--output", "a.ndjson")
    assert (done.returncode, done.stderr) == (0, b"")
    contacts = list(map(json.loads, (command.folder / "a.ndjson").read_bytes().splitlines()))
    for contact in contacts:
        assert {"subscriptions", "segments"} <= contact.keys()
        for name in ("tags", "notes", "companies"):
            assert not (contact[name] or {}).get("has_more")
        assert all(tag["name"] for tag in (contact["tags"] or {"data": ()})["data"])
    manifest = json.loads((command.folder / "a.ndjson.manifest.json").read_text())
    assert manifest["expanded"] == ["tags", "notes", "companies", "subscriptions", "segments"]
    assert manifest["tag_names"] is True
    assert manifest["lists_expanded"] >= 120


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--expand", "tag"], "tags, notes"),
        (["--expand", "tags,all"], "all"),
        (["--expand", "tags", "--expand-concurrency", "0"], "from 1 to 100"),
        (["--expand", "tags", "--expand-concurrency", "many"], "whole number"),
    ],
)
def test_unknown_expansion_is_refused(command: Any, options: list[str], hint: str) -> None:
    """One line and exit code 2."""
    done = command.run("demo", *options)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert hint in done.stderr.decode()
