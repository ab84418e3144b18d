"""Iterators that are only broken out of."""

import asyncio
from typing import Any

import exporter


async def test_iterators_after_break_leave_no_task(serve: Any) -> None:
    """Nothing runs on behind a loop that was left, also before the block of its Intercom ends."""
    with serve("--contacts=1000") as served:
        async with exporter.Intercom(served.token, base_url=served.base_url) as intercom:
            before = asyncio.all_tasks()
            async for _contact in intercom.contacts():
                break
            async for _page in intercom.pages():
                break
            assert asyncio.all_tasks() == before
