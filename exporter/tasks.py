"""Ending tasks."""

import asyncio
from typing import Any


async def cancel_and_wait(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and wait until they have unwound."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
