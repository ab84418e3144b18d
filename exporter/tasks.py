"""Running and ending tasks."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


async def cancel_and_wait(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and wait until they have unwound."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def for_each(
    items: Iterable[T], work: Callable[[T], Coroutine[Any, Any, object]], at_once: int | None = None
) -> None:
    """Call a coroutine function with each item, and wait for all calls. The first error ends the others.

    Args:
        items: the items.
        work: the function.
        at_once: maximum number of calls at once, so that memory does not depend on the number of items; None for all.
    """
    waiting = iter(items)

    async def work_on() -> None:
        for item in waiting:
            await work(item)

    with collapse_exception_groups():
        async with anyio.create_task_group() as tasks:
            if at_once is None:
                for item in waiting:
                    tasks.start_soon(work, item)
            else:
                for _ in range(at_once):
                    tasks.start_soon(work_on)


async def run_in_task(job: Callable[[], Awaitable[T]]) -> T:
    """Run a job in a separate task, and wait for it.

    In a separate task, a shield protects the job from every cancellation: from
    anyio's, and from a plain ``task.cancel()``.
    """
    results: list[T] = []

    async def run() -> None:
        results.append(await job())

    with collapse_exception_groups():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
    return results[0]


@contextmanager
def collapse_exception_groups() -> Iterator[None]:
    """Raise the first error of a task group itself instead of an exception group."""
    try:
        yield
    except BaseExceptionGroup as group:
        failure: BaseException = group
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        raise failure from failure.__cause__
