"""Intercom's own SDK against the sandbox: the same contacts as an export."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx
from intercom import Intercom


def test_the_sdk_lists_the_contacts_that_are_exported(
    serve: Callable[..., AbstractContextManager[Any]], command: Any
) -> None:
    """The SDK's pager and the command find the same contacts, in the same order, with the same fields."""
    with serve("--contacts=1000") as served, httpx.Client() as connection:
        sdk = Intercom(token=served.token, base_url=served.base_url, httpx_client=connection)
        listed = list(sdk.contacts.list(per_page=100))
        done = command.run("contacts", "-q", served=served)
    exported = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(exported) == 1_000
    for field in ("id", "email", "name", "role", "created_at", "external_id"):
        assert [getattr(contact, field) for contact in listed] == [contact[field] for contact in exported], field
