"""Exports through HTTP proxies: what a proxy gets to see, which one is taken, and whose failure is whose."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

import exporter
from exporter.sandbox.faults import NAMES
from tests.scenarios.network import HOST, Authority, Proxy, closed_port, relay_to
from tests.scenarios.test_secrets import CANARY, leaks
from tests.support.server import RawServer

PER_PAGE = 8
CREDENTIALS = "kim:p%40ss%3A%C3%A9@"
PROXY_AUTHORIZATION = f"Basic {b64encode('kim:p@ss:é'.encode()).decode()}"
QUICK = exporter.RetryPolicy(request_timeout_s=20, initial_backoff_s=0.001, max_attempts=6)
VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@pytest.fixture(autouse=True)
def _trust_it(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))


@asynccontextmanager
async def api(authority: Authority, *faults: str, contacts: int = 20) -> AsyncIterator[tuple[exporter.Sandbox, int]]:
    """Serve a sandbox behind TLS; yield it and the port."""
    async with exporter.Sandbox(contacts, token=CANARY, faults=list(faults)) as sandbox:
        port = int(sandbox.base_url.rpartition(":")[2])
        async with RawServer(relay_to(port), authority.server()) as front:
            yield sandbox, front.port


def intercom(base_url: str = f"https://{HOST}", **settings: Any) -> exporter.Intercom:
    """Return a client with the canary for a token."""
    return exporter.Intercom(CANARY, base_url=base_url, per_page=PER_PAGE, **{"retry_policy": QUICK} | settings)


@pytest.mark.parametrize("secure", [False, True], ids=["http proxy", "https proxy"])
@pytest.mark.parametrize("credentials", ["", CREDENTIALS], ids=["anonymous", "with a password"])
@pytest.mark.parametrize("variable", VARIABLES)
async def test_proxy_of_https_sees_only_the_host(
    variable: str, credentials: str, secure: bool, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request for the tunnel names the host and the proxy's own user; the token is within TLS alone."""
    async with (
        api(authority) as (sandbox, port),
        Proxy(port, tls=authority.server("127.0.0.1") if secure else None) as proxy,
    ):
        monkeypatch.setenv(variable, proxy.url(credentials))
        async with intercom() as client:
            contacts = [record async for page in client.pages() for record in page.records]
    assert contacts == list(sandbox.workspace.records(0, 20))
    assert len(proxy.received) > sum(map(len, proxy.heads))  # the tunnel's bytes were recorded as well
    assert leaks(proxy.received.decode("latin-1")) == []
    assert b"Bearer" not in proxy.received
    lines = {line for head in proxy.heads for line in head.split("\r\n") if line}
    expected = {f"CONNECT {HOST}:443 HTTP/1.1", f"Host: {HOST}", "User-Agent: intercom-exporter"}
    expected |= {"Accept: */*"} | ({f"Proxy-Authorization: {PROXY_AUTHORIZATION}"} if credentials else set())
    assert {line for line in lines if not line.startswith("Accept-Encoding: ")} == expected


async def test_proxy_sees_the_token_only_over_allowed_plain_http(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without TLS the proxy reads the request: refused, unless plain http is asked for, which says so."""
    page = b'{"data":[],"total_count":0}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(page), page)
    async with Proxy(refusal=answer) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url(CREDENTIALS))
        with pytest.raises(
            exporter.ConfigError, match="plain http would show the token to the network and its proxies"
        ):
            intercom(f"http://{HOST}")
        assert proxy.connections == 0
        async with intercom(f"http://{HOST}", insecure_http=True) as client:
            await anext(client.pages())
    assert proxy.heads[0].startswith(f"GET http://{HOST}/contacts?per_page={PER_PAGE} HTTP/1.1\r\n")
    assert f"\r\nProxy-Authorization: {PROXY_AUTHORIZATION}\r\n" in proxy.heads[0]
    assert f"\r\nAuthorization: Bearer {CANARY}\r\n" in proxy.heads[0]


FAULTS = (*NAMES, "http_401", "http_403", "http_404", "http_502")


@pytest.mark.slow
async def test_token_is_secret_in_faults_behind_a_proxy(authority: Authority, command: Any) -> None:
    """Whatever goes wrong in the tunnel: the token is in no byte outside TLS, in no line, event or file."""
    texts: list[str] = []
    limit = anyio.CapacityLimiter(3)

    async def run(fault: str, variable: str) -> None:
        async with limit, api(authority, f"{fault}@2x3", contacts=40) as (_, port), Proxy(port) as proxy:
            arguments = ("contacts", "-v", "--progress=json", f"--base-url=https://{HOST}", "--per-page=8")
            environment = {variable: proxy.url(CREDENTIALS), "INTERCOM_ACCESS_TOKEN": CANARY}
            bounds = ("--timeout=1", "--max-retry-time=2")
            export = partial(command.run, *arguments, *bounds, "-o", f"{fault}.ndjson", **environment)
            done = await anyio.to_thread.run_sync(export)
            texts.extend((done.stderr.decode(), proxy.received.decode("latin-1")))
            assert b'"event": "request"' in done.stderr
            assert proxy.heads

    async with anyio.create_task_group() as tasks:
        for number, fault in enumerate(FAULTS):
            tasks.start_soon(run, fault, VARIABLES[number % len(VARIABLES)])
    texts += [path.read_text(errors="surrogateescape") for path in Path(command.folder).iterdir()]
    assert len(texts) > 3 * len(FAULTS)
    assert leaks("\n".join(texts)) == []


def refusing(status: str, *lines: str) -> bytes:
    """Return what a proxy answers instead of opening a tunnel."""
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "Content-Length: 9", "", "no tunnel"]).encode()


LASTING: dict[str, tuple[bytes, str, str]] = {
    "407": (refusing("407 Who"), "", "asks for a user and a password"),
    "407 with a password": (refusing("407 Who"), CREDENTIALS, "refuses the user or password of its address"),
    "403": (refusing("403 Forbidden"), "", f"does not allow connections to {HOST}"),
    "404": (refusing("404 Not Found"), "", f"refuses to connect to {HOST}"),
    "a redirect": (refusing("302 Found", "Location: http://login.test"), "", f"refuses to connect to {HOST}"),
    "TLS": (b"\x15\x03\x03\0\x02\x02\x46", "", "speaks TLS: its address must begin with https://"),
}
PASSING: dict[str, tuple[bytes, str]] = {
    "502": (refusing("502 Bad Gateway"), f"cannot connect to {HOST}"),
    "503": (refusing("503 Busy"), f"cannot connect to {HOST}"),
    "504": (refusing("504 Timeout"), f"cannot connect to {HOST}"),
    "429": (refusing("429 Too Many"), f"cannot connect to {HOST}"),
    "hanging up": (b"", "closed it"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.9\r\n", "sent something that is not HTTP"),
    "malformed": (b"HTTP/1.1 abc\r\n\r\n", "sent a malformed response"),
}


async def ending(base_url: str = f"https://{HOST}", start: str | None = None, **settings: Any) -> exporter.SourceError:
    """Return what asking for a page ends with."""
    async with intercom(base_url, **settings) as client:
        with pytest.raises(exporter.SourceError) as caught:
            await anext(client.pages(start))
    message = str(caught.value)
    assert "p%40ss" not in message
    assert "p@ss" not in message
    assert caught.value.status is None
    return caught.value


@pytest.mark.parametrize(("answer", "credentials", "message"), LASTING.values(), ids=LASTING)
async def test_lasting_refusal_of_a_proxy_ends_at_once(
    answer: bytes, credentials: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One attempt, and a line that names the proxy, also where a cursor could be meant."""
    async with Proxy(refusal=answer) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url(credentials))
        error = await ending(start="a cursor")
        assert type(error) is exporter.ApiError
        assert f"the proxy 127.0.0.1:{proxy.port} {message}" in str(error)
        assert proxy.connections == 1


@pytest.mark.parametrize(("answer", "message"), PASSING.values(), ids=PASSING)
async def test_passing_refusal_of_a_proxy_is_tried_a_few_times(
    answer: bytes, message: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is retried, a few times only where the proxy never worked, and named as the proxy's."""
    async with Proxy(refusal=answer) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url())
        error = await ending()
        assert type(error) is exporter.RetriesExhausted
        assert f"the proxy 127.0.0.1:{proxy.port} {message}" in str(error)
        assert 2 <= proxy.connections <= 6
    async with api(authority) as (_, port), Proxy(port, refusal=answer, refusals=2) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url())
        async with intercom() as client:
            pages = client.pages()
            await anext(pages)
    assert pages.traffic.retries == {"network": 2}


async def test_proxy_that_worked_before_gets_the_whole_retry_budget(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that restarts in the middle of an export is waited for like the API itself."""
    async with api(authority) as (_, port):
        async with Proxy(port) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url())
            client = intercom()
            await client.__aenter__()
            pages = client.pages()
            await anext(pages)
        try:
            with pytest.raises(exporter.RetriesExhausted, match=f"the proxy 127.0.0.1:{proxy.port} .* 6 attempts"):
                await anext(pages)
        finally:
            await client.__aexit__(None, None, None)


async def test_proxy_that_refuses_connections_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens there: the proxy is at fault, not the API."""
    with closed_port() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{CREDENTIALS}127.0.0.1:{port}")
        error = await ending()
    assert type(error) is exporter.RetriesExhausted
    assert f"the proxy 127.0.0.1:{port} refuses it; gave up after 4 attempts" in str(error)


async def test_tls_trouble_with_a_proxy_is_told_apart_from_the_apis(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy without TLS behind https://, a proxy's wrong certificate, and the API's behind a proxy."""

    async def speak_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(9)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with RawServer(speak_plainly) as plain:
        monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{plain.port}")
        error = await ending()
        assert type(error) is exporter.ApiError
        assert f"the proxy 127.0.0.1:{plain.port} does not speak TLS" in str(error)
    async with Proxy(tls=authority.server("proxy.test")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url())
        error = await ending()
        assert type(error) is exporter.ApiError
        assert f"certificate of the proxy 127.0.0.1:{proxy.port} is for another name" in str(error)
    async with RawServer(relay_to(1), authority.server("other.test")) as front, Proxy(front.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url())
        error = await ending()
        assert type(error) is exporter.ApiError
        assert f"certificate of {HOST} (through the proxy 127.0.0.1:{proxy.port}) is for another name" in str(error)


async def test_silence_of_a_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that takes the request and never answers counts as a time-out, and the line says by which way."""

    async def wait(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with RawServer(wait) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        for timeout_s, idle_s in ((0.2, 30), (20, 0.2)):
            retry_policy = exporter.RetryPolicy(
                request_timeout_s=timeout_s, idle_timeout_s=idle_s, initial_backoff_s=0.001, max_attempts=2
            )
            assert f"through the proxy 127.0.0.1:{proxy.port}" in str(await ending(retry_policy=retry_policy))


async def test_plain_proxy_that_wants_a_password_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over plain http the proxy's refusal comes as the response, and is still the proxy's."""
    async with Proxy(refusal=refusing("407 Who", "Proxy-Authenticate: Basic")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url())
        error = await ending(f"http://{HOST}", insecure_http=True)
    assert type(error) is exporter.ApiError
    assert f"the proxy 127.0.0.1:{proxy.port} asks for a user and a password" in str(error)


@pytest.mark.parametrize(
    ("status", "kind"), [("403 No", exporter.CredentialsError), ("502 Bad Gateway", exporter.RetriesExhausted)]
)
async def test_refusal_over_plain_http_may_be_the_proxys(
    status: str, kind: type[exporter.SourceError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a tunnel nobody can tell who answered: the line names both."""
    async with Proxy(refusal=refusing(status)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url(CREDENTIALS))
        async with intercom(f"http://{HOST}", insecure_http=True) as client:
            with pytest.raises(kind, match=f"the API or the proxy 127.0.0.1:{proxy.port} answered {status[:3]}"):
                await anext(client.pages())


async def test_tunnel_with_large_headers_opens(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy's headers are read as patiently as the API's."""
    async with api(authority) as (_, port), Proxy(port, lines=f"Via: {'x' * 20_000}\r\n") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url())
        async with intercom() as client:
            assert len((await anext(client.pages())).records) == PER_PAGE


@pytest.mark.parametrize(
    ("proxy", "code", "message"),
    [
        ("socks5://kim:S3CRET@127.0.0.1:1080", 2, b"HTTPS_PROXY names a SOCKS proxy, which is not supported"),
        ("http://kim:S3CRET@127.0.0.1:99999", 2, b"the proxy in HTTPS_PROXY must look like http://host:port"),
        ("refusing", 4, b"asks for a user and a password (407)"),
    ],
)
async def test_command_names_a_proxys_trouble_in_one_line(proxy: str, code: int, message: bytes, command: Any) -> None:
    """A wrong setting ends with 2, a proxy that refuses with 4; no password is shown."""
    async with Proxy(refusal=refusing("407 Who")) as refuser:
        environment = {"HTTPS_PROXY": refuser.url() if proxy == "refusing" else proxy, "INTERCOM_ACCESS_TOKEN": CANARY}
        export = partial(command.run, "contacts", "-q", "--base-url", f"https://{HOST}", **environment)
        done = await anyio.to_thread.run_sync(export)
    assert (done.returncode, done.stderr.count(b"\n")) == (code, 1)
    assert message in done.stderr
    assert b"S3CRET" not in done.stderr
