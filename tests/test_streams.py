"""stream(): a workspace as chunks of bytes."""

import asyncio
import gzip
from collections.abc import AsyncGenerator, AsyncIterator

import anyio
import pytest

import exporter
from exporter.source.envelope import parse
from tests.support.exports import lines_of


@pytest.mark.parametrize("consumers", [1, 3])
async def test_chunks_are_the_export(intercom: exporter.Intercom, sandbox: exporter.Sandbox, consumers: int) -> None:
    """The chunks together are the contacts as lines, one chunk a page."""
    async with exporter.stream(intercom, consumers=consumers) as chunks:
        received = [chunk async for chunk in chunks]
    assert len(received) == 7
    assert b"".join(received) == lines_of(sandbox.workspace.records(0, 1_000))


async def test_compressed_chunks_decompress_to_the_same(intercom: exporter.Intercom, sandbox: exporter.Sandbox) -> None:
    """Each compressed chunk is a gzip member of its own."""
    async with exporter.stream(intercom, compression="gzip") as chunks:
        received = [gzip.decompress(chunk) async for chunk in chunks]
    assert b"".join(received) == lines_of(sandbox.workspace.records(0, 1_000))


CHANGED = exporter.FieldSelection(
    fields=("id", "email", "tags.data.id"), pseudonymise=("email",), key=b"0123456789abcdef"
)
EXPANDED = exporter.ListExpansion(("tags", "notes"), tag_names=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("compression", "file_format"), [(None, None), ("gzip", None), ("zstd", None), (None, "csv"), ("gzip", "csv")]
)
@pytest.mark.parametrize(
    ("selection", "expansion"),
    [(exporter.FieldSelection(), exporter.ListExpansion()), (CHANGED, EXPANDED)],
    ids=["as sent", "changed"],
)
async def test_stream_of_any_kind_yields_bytes(
    intercom: exporter.Intercom,
    compression: str | None,
    file_format: str | None,
    selection: exporter.FieldSelection,
    expansion: exporter.ListExpansion,
) -> None:
    """Each chunk is `bytes`: web frameworks look at the type, and take anything else for text."""
    async with exporter.stream(
        intercom, compression=compression, file_format=file_format, selection=selection, expansion=expansion
    ) as chunks:
        kinds = {type(chunk) async for chunk in chunks}
    assert kinds == {bytes}


async def test_records_of_pages_are_bytes(intercom: exporter.Intercom) -> None:
    """Each record is `bytes`, also those of a page that only the slow path can read."""
    kinds = {type(record) async for page in intercom.pages() for record in page.records}
    assert kinds == {bytes}
    assert {type(record) for record in parse(b'{"data":[{"id":"\\ud800"}]}', "").records} == {bytes}


async def test_stream_of_an_empty_workspace_is_valid_gzip() -> None:
    """No contacts still make a gzip stream, and no plain chunk at all."""
    async with (
        exporter.Sandbox(0) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom,
    ):
        async with exporter.stream(intercom, compression="gzip") as chunks:
            assert gzip.decompress(b"".join([chunk async for chunk in chunks])) == b""
        async with exporter.stream(intercom) as chunks:
            assert [chunk async for chunk in chunks] == []


async def test_leaving_early_stops_the_requests(sandbox: exporter.Sandbox, intercom: exporter.Intercom) -> None:
    """After a break nothing runs on: no request, no task."""
    before = asyncio.all_tasks()
    async with exporter.stream(intercom, consumers=1, queue_pages=1) as chunks:
        async for _chunk in chunks:
            break
    requests = sandbox.requests
    await asyncio.sleep(0.05)
    assert sandbox.requests == requests <= 4
    left = {task for task in asyncio.all_tasks() - before if "RequestHandler" not in repr(task.get_coro())}
    assert left == set()


async def test_nobody_reading_stops_the_requests() -> None:
    """Requests end when the queue is full: queue, consumers, one in the producer's hand."""
    async with (
        exporter.Sandbox(6_000) as sandbox,
        exporter.Intercom(sandbox.token, base_url=sandbox.base_url, per_page=10) as intercom,
        exporter.stream(intercom, consumers=2, queue_pages=3),
    ):
        for _ in range(100):
            await asyncio.sleep(0.01)
            if sandbox.requests == 6:
                break
        await asyncio.sleep(0.1)
        assert sandbox.requests == 3 + 2 + 1


async def test_stream_failure_is_raised_by_the_iterator() -> None:
    """The pages before a failure are delivered; then the iteration raises it, as itself."""
    async with exporter.Sandbox(1_000, faults=["http_403@4x9"]) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
            received = []
            async with exporter.stream(intercom) as chunks:
                with pytest.raises(exporter.CredentialsError):
                    async for chunk in chunks:
                        received.append(chunk)  # noqa: PERF401 - it must survive the error
            assert len(received) == 3


async def test_stream_failure_leaves_the_block_unchanged() -> None:
    """A failure that nobody catches inside the block leaves it without a group around it."""
    async with (
        exporter.Sandbox(10) as sandbox,
        exporter.Intercom("wrong", base_url=sandbox.base_url) as intercom,
    ):
        with pytest.raises(exporter.CredentialsError):
            async with exporter.stream(intercom) as chunks:
                async for _chunk in chunks:
                    pass


@pytest.mark.parametrize("error", [KeyError("mine"), ExceptionGroup("mine", [ValueError("a")])])
async def test_error_of_the_caller_leaves_the_stream_unchanged(intercom: exporter.Intercom, error: Exception) -> None:
    """An exception of the block's body, even a group, passes through unchanged."""
    with pytest.raises(type(error)) as caught:
        async with exporter.stream(intercom) as chunks:
            async for _chunk in chunks:
                raise error
    assert caught.value is error


async def test_cancelling_does_not_wait_for_a_silent_server() -> None:
    """A stream whose server says nothing is left at once when cancelled, by anyio or by asyncio."""
    async with exporter.Sandbox(10, latency_ms=60_000) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:

            async def read() -> None:
                async with exporter.stream(intercom) as chunks:
                    async for _chunk in chunks:
                        pass

            with anyio.move_on_after(0.2) as scope, anyio.fail_after(20):
                await read()
            assert scope.cancelled_caught
            task = asyncio.create_task(read())
            await asyncio.sleep(0.1)
            task.cancel()
            with anyio.fail_after(20), pytest.raises(asyncio.CancelledError):
                await task


async def test_dropped_generator_around_a_stream_is_harmless(
    intercom: exporter.Intercom, sandbox: exporter.Sandbox
) -> None:
    """A generator that streams, and is broken out of, cancels no innocent task and leaves none."""

    async def chunks_of() -> AsyncIterator[bytes]:
        async with exporter.stream(intercom) as chunks:
            async for chunk in chunks:
                yield chunk

    tasks = asyncio.all_tasks()
    async for _chunk in chunks_of():
        break
    await asyncio.sleep(0.05)
    requests = sandbox.requests
    await asyncio.sleep(0.05)
    assert sandbox.requests == requests
    left = {task for task in asyncio.all_tasks() - tasks if "RequestHandler" not in repr(task.get_coro())}
    assert left == set()


async def test_stream_ends_with_its_client(sandbox: exporter.Sandbox) -> None:
    """A generator that is kept but never finished holds nothing once the client's block has ended."""

    async def chunks_of(intercom: exporter.Intercom) -> AsyncGenerator[bytes]:
        async with exporter.stream(intercom) as chunks:
            async for chunk in chunks:
                yield chunk

    before = asyncio.all_tasks()
    async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
        kept = chunks_of(intercom)
        await anext(kept)
    with pytest.raises(exporter.ConfigError, match="closed before its end"):
        await anext(kept)
    left = {task for task in asyncio.all_tasks() - before if "RequestHandler" not in repr(task.get_coro())}
    assert left == set()
    await kept.aclose()


async def test_chunks_end_with_their_block(intercom: exporter.Intercom) -> None:
    """Chunks taken after the block are refused: they would look like the end."""
    async with exporter.stream(intercom) as chunks:
        pass
    with pytest.raises(exporter.ConfigError, match="block"):
        await anext(chunks)


async def test_stream_with_unknown_compression_is_refused(intercom: exporter.Intercom) -> None:
    """Only gzip and None are compressions."""
    with pytest.raises(exporter.ConfigError, match="gzip"):
        async with exporter.stream(intercom, compression="zip"):
            pass


async def test_stream_notifies_its_observer(intercom: exporter.Intercom, sandbox: exporter.Sandbox) -> None:
    """Its requests and its pages, as of any export."""
    told: list[exporter.Event] = []
    async with exporter.stream(intercom, observer=told.append) as chunks:
        async for _chunk in chunks:
            pass
    names = [type(event).__name__ for event in told]
    assert (names.count("PageWritten"), names.count("RequestFinished")) == (7, sandbox.requests)
