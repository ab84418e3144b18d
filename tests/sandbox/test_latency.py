"""Requests that waited at the same time: they are handled in turn."""

import asyncio

from exporter.sandbox import Sandbox
from exporter.sandbox.latency import Latency


async def test_requests_that_waited_together_are_handled_in_different_steps_of_the_event_loop() -> None:
    """Between two of them, the event loop reads what has arrived."""
    latency, steps = Latency(), 0
    numbers: list[int] = []
    loop = asyncio.get_running_loop()

    def count() -> None:
        nonlocal steps
        steps += 1
        if len(numbers) < 20:
            loop.call_soon(count)

    async def handle() -> None:
        await latency.wait(0)
        numbers.append(steps)

    loop.call_soon(count)
    await asyncio.gather(*(handle() for _ in range(20)))
    assert numbers == sorted(set(numbers))


async def test_cancelled_request_does_not_delay_the_next_ones() -> None:
    """A client may close its connection while its request waits for its turn."""
    latency = Latency()
    first, second, third = (asyncio.create_task(latency.wait(0)) for _ in range(3))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(first, third)
    assert second.cancelled()


def test_sandbox_with_latency_can_run_again_in_another_event_loop() -> None:
    """Each run has its own turns."""
    sandbox = Sandbox(10, latency_ms=0.01)

    async def wait_three_times() -> None:
        async with sandbox:
            await asyncio.gather(*(sandbox._latency.wait(0) for _ in range(3)))

    asyncio.run(wait_three_times())
    asyncio.run(wait_three_times())
