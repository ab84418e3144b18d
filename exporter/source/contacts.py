"""The contacts of a listing as dicts."""

import json
from collections import deque
from typing import Any, Self

import orjson

from exporter.errors import ContractError
from exporter.source.pages import Pages
from exporter.validation import AsyncItems


class Contacts(AsyncItems):
    """An asynchronous iterator over contacts, decoded one by one as they are taken."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._records: deque[bytes] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        while not self._records:
            self._records.extend((await anext(self._pages)).records)
        return _decode(self._records.popleft())

    async def aclose(self) -> None:
        """End the iteration."""
        self._records.clear()
        await self._pages.aclose()


def _decode(record: bytes) -> dict[str, Any]:
    try:
        contact: dict[str, Any] = orjson.loads(record)
    except orjson.JSONDecodeError:  # JSON that orjson refuses: lone surrogates, numbers beyond a float
        try:
            contact = json.loads(record, parse_int=_integer)
        except RecursionError:
            raise ContractError("a contact is nested too deeply for a dict; pages() still gives its bytes") from None
    return contact


def _integer(digits: str) -> int | float:
    """Convert an integer of any length; Python itself refuses those of more than 4,300 digits."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)
