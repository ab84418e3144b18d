"""What newcomers get wrong: each mistake is refused with one sentence that says what to do."""

import asyncio
import gc
import warnings
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import trio
from prometheus_client import CollectorRegistry

import exporter

TOKEN = "dG9rOnNlY3JldA=="


def opened() -> exporter.Intercom:
    """Return an Intercom that nobody entered."""
    return exporter.Intercom(TOKEN, base_url="http://127.0.0.1:9")


async def enter(block: Any) -> None:
    """Enter a block, and leave it."""
    async with block:
        pass


async def take_one(items: Any) -> None:
    """Take the first of some items."""
    async for _item in items:
        break


VERBS: dict[str, Callable[[], Awaitable[object]]] = {
    "Intercom": lambda: enter(opened()),
    "Sandbox": lambda: enter(exporter.Sandbox(10)),
    "stream": lambda: enter(exporter.stream(opened())),
    "export": lambda: exporter.export(opened(), "contacts.ndjson"),
    "check": lambda: exporter.check(opened()),
    "pages": lambda: take_one(opened().pages()),
    "contacts": lambda: take_one(opened().contacts()),
}
"""All that runs in an event loop."""


@pytest.mark.parametrize("verb", ["Intercom", "Sandbox"])
@pytest.mark.parametrize("runner", ["trio", "anyio"])
def test_block_entered_under_trio_is_refused(verb: str, runner: str) -> None:
    """The sentence names asyncio and how to start the program."""
    with pytest.raises(exporter.ConfigError, match=r"needs asyncio.*asyncio\.run\(\)"):
        if runner == "trio":
            trio.run(VERBS[verb])
        else:
            anyio.run(VERBS[verb], backend="trio")


@pytest.mark.parametrize("verb", sorted(VERBS.keys() - {"Intercom", "Sandbox"}))
def test_use_under_trio_is_a_config_error(verb: str) -> None:
    """Nothing else can be entered before, so the block is what is missing first."""
    with pytest.raises(exporter.ConfigError, match="block"):
        trio.run(VERBS[verb])


async def test_trio_inside_asyncio_is_refused() -> None:
    """Where trio runs as a guest, an asyncio loop runs too, but its tasks are none of asyncio's."""
    ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    trio.lowlevel.start_guest_run(
        VERBS["Intercom"],
        run_sync_soon_threadsafe=asyncio.get_running_loop().call_soon_threadsafe,
        done_callback=ended.set_result,
        host_uses_signal_set_wakeup_fd=True,
    )
    with pytest.raises(exporter.ConfigError, match="needs asyncio"):
        (await ended).unwrap()


@pytest.mark.parametrize("verb", sorted(VERBS.keys() - {"Intercom", "Sandbox"}))
async def test_use_outside_the_block_is_refused(verb: str) -> None:
    """An Intercom works inside its block alone."""
    with pytest.raises(exporter.ConfigError, match="this Intercom is not open: use it inside its 'async with' block"):
        await VERBS[verb]()


async def test_use_after_the_block_is_refused(sandbox: exporter.Sandbox) -> None:
    """Also by an iterator that began inside it."""
    async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
        contacts = intercom.contacts()
    with pytest.raises(exporter.ConfigError, match="is not open"):
        await anext(contacts)


def test_plain_with_is_refused(tmp_path: Path) -> None:
    """Each block says that it is entered with 'async with'."""
    asyncio.run(_export_to(tmp_path / "a.ndjson"))
    blocks: dict[str, Any] = {
        "Intercom is entered with 'async with'": opened(),
        "Sandbox is entered with 'async with'": exporter.Sandbox(10),
        "Stream is entered with 'async with'": exporter.stream(opened()),
        "Replay has no block": exporter.Replay(tmp_path / "a.ndjson"),
    }
    for sentence, block in blocks.items():
        with pytest.raises(exporter.ConfigError, match=sentence), block:
            pass


async def test_async_with_around_a_replay_is_refused(tmp_path: Path) -> None:
    """A Replay is handed to a Sandbox as it is."""
    await _export_to(tmp_path / "a.ndjson")
    replay: Any = await asyncio.to_thread(exporter.Replay, tmp_path / "a.ndjson")
    with pytest.raises(exporter.ConfigError, match="Replay has no block"):
        async with replay:
            pass


async def _export_to(path: Path) -> None:
    async with exporter.Sandbox(10) as sandbox:
        async with exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
            await exporter.export(intercom, path)


def test_plain_for_is_refused() -> None:
    """Iterators say that they need 'async for'; a page says where its contacts are."""
    items: dict[str, Any] = {
        "Contacts is iterated over with 'async for'": opened().contacts(),
        "Pages is iterated over with 'async for'": opened().pages(),
        "async with exporter.stream": exporter.stream(opened()),
        "use page.records": exporter.Page(1, (b"{}",), None, 1),
    }
    for sentence, iterator in items.items():
        with pytest.raises(exporter.ConfigError, match=sentence):
            list(iterator)


async def test_stream_without_its_block_is_refused() -> None:
    """Neither awaiting it nor iterating over it gives chunks."""
    stream: Any = exporter.stream(opened())
    with pytest.raises(exporter.ConfigError, match="async with"):
        await stream
    with pytest.raises(exporter.ConfigError, match="async with"):
        await take_one(stream)


async def test_chunks_are_no_plain_iterable(intercom: exporter.Intercom) -> None:
    """HTTP clients and web frameworks look for that first, and would never come to 'async for'."""
    async with exporter.stream(intercom) as chunks:
        assert not isinstance(chunks, Iterable)
        request = httpx.Request("POST", "http://127.0.0.1/", content=chunks)
        assert isinstance(request.stream, httpx.AsyncByteStream)
        with pytest.raises(TypeError):
            iter(chunks)  # type: ignore[call-overload]


async def test_entering_twice_is_refused(sandbox: exporter.Sandbox) -> None:
    """One after the other, and both at once."""
    intercom = exporter.Intercom(sandbox.token, base_url=sandbox.base_url)
    results = await asyncio.gather(intercom.__aenter__(), intercom.__aenter__(), return_exceptions=True)
    assert [type(result) for result in results] == [exporter.Intercom, exporter.ConfigError]
    with pytest.raises(exporter.ConfigError, match="enter its block once"):
        await enter(intercom)
    assert await anext(intercom.contacts())
    stream = exporter.stream(intercom)
    async with stream:
        with pytest.raises(exporter.ConfigError, match="entered already"):
            await enter(stream)
    with pytest.raises(exporter.ConfigError, match="entered already"):
        await enter(stream)
    with pytest.raises(exporter.ConfigError, match="running already"):
        await enter(sandbox)
    await intercom.__aexit__(None, None, None)


async def test_intercom_can_be_entered_again_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that could not be entered is not open."""
    intercom = exporter.Intercom(TOKEN)
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:9")
    with pytest.raises(exporter.ConfigError, match="proxy"):
        await enter(intercom)
    monkeypatch.delenv("https_proxy")
    await enter(intercom)


async def test_use_in_another_event_loop_is_refused(intercom: exporter.Intercom, tmp_path: Path) -> None:
    """An Intercom belongs to the loop that it was opened in."""

    def elsewhere(verb: Callable[[], Awaitable[object]]) -> str:
        async def run() -> None:
            await verb()

        with pytest.raises(exporter.ConfigError) as refused:
            asyncio.run(run())
        return str(refused.value)

    for verb in (
        lambda: exporter.export(intercom, tmp_path / "a.ndjson"),
        lambda: enter(exporter.stream(intercom)),
        lambda: take_one(intercom.contacts()),
        lambda: take_one(intercom.pages()),
    ):
        assert "opened in another event loop" in await asyncio.to_thread(elsewhere, verb)


def test_export_without_await_is_named_by_python() -> None:
    """It is a plain coroutine function: Python itself says that it was never awaited."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exporter.export(opened(), "a.ndjson")  # type: ignore[unused-coroutine]
        gc.collect()
    assert "coroutine 'export' was never awaited" in [str(warning.message) for warning in caught]


def of_any(verb: Callable[..., Any], *arguments: Any, **named: Any) -> Callable[[Any], Awaitable[object]]:
    """Call something with what no type checker would let pass."""

    async def call(intercom: exporter.Intercom) -> None:
        given = [intercom if argument is Ellipsis else argument for argument in arguments]
        result = verb(*given, **named)
        if hasattr(result, "__aenter__"):
            await enter(result)
        elif isinstance(result, Awaitable):
            await result

    return call


EXPORT, STREAM, SHAPE, EXPANSION = exporter.export, exporter.stream, exporter.FieldSelection, exporter.ListExpansion
MISTAKES: dict[str, tuple[Callable[[Any], Awaitable[object]], str]] = {
    "token for Intercom": (of_any(EXPORT, TOKEN, "a.ndjson"), "must be an exporter.Intercom"),
    "class for Intercom": (of_any(EXPORT, exporter.Intercom, "a.ndjson"), "must be an exporter.Intercom"),
    "stream of a token": (of_any(STREAM, TOKEN), "must be an exporter.Intercom"),
    "check of None": (of_any(exporter.check, None), "must be an exporter.Intercom"),
    "no path": (of_any(EXPORT, ..., None), "the path must be text or a pathlib.Path, not None"),
    "path of bytes": (of_any(EXPORT, ..., b"a.ndjson"), "the path must be text .* not bytes"),
    "path of check": (of_any(exporter.check, ..., 5), "the path must be text .* not a whole number"),
    "path of verify": (of_any(exporter.verify, None), "the path must be text"),
    "path of Replay": (of_any(exporter.Replay, 5), "the path must be text"),
    "overwrite as text": (of_any(EXPORT, ..., "a.ndjson", overwrite="no"), "overwrite must be True or False, not text"),
    "restart as text": (of_any(EXPORT, ..., "a.ndjson", restart="no"), "restart must be True or False"),
    "consumers as text": (of_any(EXPORT, ..., "a.ndjson", consumers="2"), "consumers must be a whole number"),
    "observer": (of_any(EXPORT, ..., "a.ndjson", observer=None), "observer must be a function, not None"),
    "observer of a stream": (of_any(STREAM, ..., observer=[]), "observer must be a function"),
    "observer of pages": (of_any(lambda intercom: intercom.pages(observer=5), ...), "observer must be a function"),
    "observer of verify": (of_any(exporter.verify, "a.ndjson", 5), "observer must be a function"),
    "selection of an export": (
        of_any(EXPORT, ..., "a.ndjson", selection=("id",)),
        "selection must be FieldSelection, not tuple",
    ),
    "selection of a stream": (of_any(STREAM, ..., selection=None), "selection must be FieldSelection, not None"),
    "expansion": (of_any(EXPORT, ..., "a.ndjson", expansion="tags"), "expansion must be ListExpansion, not text"),
    "csv_raw": (of_any(STREAM, ..., file_format="csv", csv_raw="yes"), "csv_raw must be True or False"),
    **{
        f"allow_shortfall={value!r} of {name}": (
            of_any(verb, ..., *arguments, allow_shortfall=value),
            f"allow_shortfall must be True or False, not {kind}",
        )
        for value, kind in (("false", "text"), ("no", "text"), (1, "a whole number"), (None, "None"))
        for name, verb, arguments in (
            ("an export", EXPORT, ("a.ndjson",)),
            ("an export to stdout", EXPORT, ("-",)),
            ("a stream", STREAM, ()),
            ("check", exporter.check, ()),
            ("pages", exporter.Intercom.pages, ()),
            ("contacts", exporter.Intercom.contacts, ()),
        )
    },
    "csv_bom": (of_any(EXPORT, ..., "a.csv", csv_bom="no"), "csv_bom must be True or False, not text"),
    "csv_bom of check": (of_any(exporter.check, ..., "a.csv", csv_bom=0), "csv_bom must be True or False"),
    "csv_raw of check": (of_any(exporter.check, ..., "a.csv", csv_raw="no"), "csv_raw must be True or False"),
    "min_free_bytes of check": (
        of_any(exporter.check, ..., min_free_bytes="1"),
        "min_free_bytes must be a whole number",
    ),
    "compression": (of_any(STREAM, ..., compression=["gzip"]), "compression must be text or None, not list"),
    "file_format": (of_any(EXPORT, ..., "a/", file_format=["csv"]), "file_format must be text or None"),
    "file_format of check": (of_any(exporter.check, ..., "a/", file_format=5), "file_format must be text or None"),
    "fields as text": (of_any(SHAPE, fields="id"), "fields must be a tuple or a list of texts, not text"),
    "fields of numbers": (of_any(SHAPE, fields=(1,)), "fields must be a tuple or a list of texts"),
    "drop": (of_any(SHAPE, drop=5), "drop must be a tuple or a list of texts"),
    "key as text": (of_any(SHAPE, pseudonymise=("email",), key="x" * 16), "key must be bytes, not text"),
    "lists as text": (of_any(EXPANSION, "tags"), "lists must be a tuple or a list of texts, not text"),
    "tag_names": (of_any(EXPANSION, tag_names="yes"), "tag_names must be True or False"),
    "api_version": (of_any(exporter.Intercom, TOKEN, api_version=2.14), "api_version must be text, not a number"),
    "insecure_http": (of_any(exporter.Intercom, TOKEN, insecure_http="no"), "insecure_http must be True or False"),
    "token": (of_any(exporter.Intercom, None), "no access token was given"),
    "per_page": (of_any(exporter.Intercom, TOKEN, per_page="50"), "must be a whole number from 1 to 150"),
    "contacts": (of_any(exporter.Sandbox, "10"), "contacts must be a whole number, not text"),
    "latency_ms": (of_any(exporter.Sandbox, latency_ms="1"), "latency_ms must be a number, not text"),
    "rate_limit": (of_any(exporter.Sandbox, rate_limit=1.5), "rate_limit must be a whole number or None"),
    "port": (of_any(exporter.Sandbox, port=None), "port must be a whole number, not None"),
    "faults": (of_any(exporter.Sandbox, faults=5), "faults and changes must be a tuple or a list of texts"),
    "changes": (of_any(exporter.Sandbox, changes=[5]), "faults and changes must be a tuple or a list of texts"),
    "replay": (of_any(exporter.Sandbox, replay="a.ndjson"), r"replay must be an exporter\.Replay"),
    "clock": (of_any(exporter.Sandbox, clock=5), "clock must be a function"),
    "registry": (of_any(exporter.Metrics, None), "registry must be one of prometheus_client"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_argument_of_the_wrong_type_is_refused(intercom: exporter.Intercom, mistake: str) -> None:
    """With one sentence that names the argument, quotes no value, and is a ConfigError."""
    call, sentence = MISTAKES[mistake]
    with pytest.raises(exporter.ConfigError, match=sentence) as refused:
        await call(intercom)
    assert TOKEN not in str(refused.value)


def test_second_metrics_of_a_registry_is_refused() -> None:
    """A registry takes each name once."""
    registry = CollectorRegistry()
    exporter.Metrics(registry)
    with pytest.raises(exporter.ConfigError, match=r"share one exporter\.Metrics"):
        exporter.Metrics(registry)


async def test_lists_are_as_good_as_tuples(intercom: exporter.Intercom) -> None:
    """Fields and lists may be given in any collection that has an order."""
    selection: Any = exporter.FieldSelection(fields=["id", "tags.data.id"], drop=["name"])  # type: ignore[arg-type]
    assert selection == exporter.FieldSelection(fields=("id", "tags.data.id"), drop=("name",))
    expansion = exporter.ListExpansion(["tags"])  # type: ignore[arg-type]
    async with exporter.stream(intercom, selection=selection, expansion=expansion) as chunks:
        assert [chunk async for chunk in chunks]
