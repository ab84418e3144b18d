"""Messages for connection failures: chosen by error type and number, without any text that the server sent."""

import errno
import os
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

import exporter
from exporter.source.connection_errors import Route, failure_of
from exporter.source.proxy import parse_proxy
from exporter.source.retry import Transient
from tests.support.api import Api

SECRET = "S3CRET"
HOST = "api.example.test"
KEY = ConnectionKey(HOST, 443, True, True, URL(f"http://kim:{SECRET}@proxy.test:3128"), None, None)
PROXY = parse_proxy(f"http://kim:{SECRET}@proxy.test:3128")
DIRECT, TUNNEL = Route(HOST, tls=True, proxy=None), Route(HOST, tls=True, proxy=PROXY)


def connector_error(number: int, text: str = SECRET) -> aiohttp.ClientConnectorError:
    """Return the error that aiohttp raises when it cannot connect."""
    return aiohttp.ClientConnectorError(KEY, OSError(number, text))


def with_cause(error: Exception, cause: BaseException) -> Exception:
    """Return an error with a cause."""
    error.__cause__ = cause
    return error


TLS_EOF = ssl.SSLEOFError(8, f"[SSL: UNEXPECTED_EOF_WHILE_READING] {SECRET}")
SENTENCES: dict[str, tuple[Exception, str]] = {
    "refused": (connector_error(errno.ECONNREFUSED), "{} refuses it"),
    "no way": (connector_error(errno.EHOSTUNREACH), "{} cannot be reached from here"),
    "no network": (connector_error(errno.ENETUNREACH), "{} cannot be reached from here"),
    "no answer": (connector_error(errno.ETIMEDOUT), "{} does not respond"),
    "firewall": (connector_error(errno.EPERM), "this machine does not allow it to {}"),
    "too many files": (connector_error(errno.EMFILE), "this process has too many open files"),
    "no address": (connector_error(errno.EADDRNOTAVAIL), f"{{}}: {os.strerror(errno.EADDRNOTAVAIL).lower()}"),
    "no number": (aiohttp.ClientConnectorError(KEY, OSError(SECRET)), "{} closed it"),
    "reset": (aiohttp.ClientOSError(errno.ECONNRESET, SECRET), "{} reset it"),
    "broken pipe": (BrokenPipeError(errno.EPIPE, SECRET), "{} closed it"),
    "closing": (aiohttp.ClientConnectionResetError(SECRET), "{} closed it"),
    "hung up": (aiohttp.ServerDisconnectedError(SECRET), "{} closed it without a response"),
    "cut": (aiohttp.ClientPayloadError(SECRET), "{} closed it within a response, or broke its framing"),
    "TLS ended": (with_cause(aiohttp.ClientOSError(8, SECRET), TLS_EOF), "{} broke TLS off"),
    "malformed": (
        with_cause(aiohttp.ClientResponseError(None, (), message=SECRET), ValueError(SECRET)),  # type: ignore[arg-type]
        "{} sent a malformed response",
    ),
    "anything": (aiohttp.ClientError(SECRET), "{} did not answer as HTTP asks for"),
    "sent once": (
        with_cause(aiohttp.ClientConnectionError(SECRET), aiohttp.ServerDisconnectedError(SECRET)),
        "{} closed it without a response",
    ),
}


@pytest.mark.parametrize(("error", "sentence"), SENTENCES.values(), ids=SENTENCES)
@pytest.mark.parametrize(
    ("route", "peer"),
    [(DIRECT, HOST), (TUNNEL, f"{HOST} (through the proxy proxy.test:3128)")],
    ids=["direct", "through a proxy"],
)
def test_connection_failure_is_transient_and_has_our_own_message(
    route: Route, peer: str, error: Exception, sentence: str
) -> None:
    """The message says what the peer did, without the library's text and without the server's bytes."""
    failure = failure_of(error, route)
    assert isinstance(failure, Transient)
    assert failure.cause == "network"
    assert str(failure) == f"the connection failed: {sentence.format(peer)}"
    assert failure.__cause__ is failure.__context__ is None
    assert failure.attempts is None


REFUSALS = {name: error for name, (error, _) in SENTENCES.items() if isinstance(error, aiohttp.ClientConnectorError)}


@pytest.mark.parametrize("error", REFUSALS.values(), ids=REFUSALS)
def test_failure_to_connect_to_the_proxy_names_the_proxy(error: aiohttp.ClientConnectorError) -> None:
    """If the client cannot connect to the proxy, the message is about the proxy, and the request gets few attempts."""
    key = KEY._replace(host="proxy.test", port=3128)
    failure = failure_of(aiohttp.ClientProxyConnectionError(key, error.os_error), Route(HOST, tls=True, proxy=PROXY))
    assert isinstance(failure, Transient)
    assert HOST not in str(failure)
    assert "the proxy proxy.test:3128" in str(failure) or "too many open files" in str(failure)
    assert SECRET not in str(failure)
    assert failure.attempts == 4


@pytest.mark.parametrize(
    ("number", "unknown"),
    [(socket.EAI_NONAME, True), (socket.EAI_NODATA, True), (socket.EAI_AGAIN, False), (socket.EAI_FAIL, False)],
)
def test_unknown_host_is_permanent_unless_it_worked_before(number: int, unknown: bool) -> None:
    """During an export, the client waits for a name server that no longer resolves the host."""
    error = aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(number, SECRET))
    fresh = failure_of(error, Route(HOST, tls=True, proxy=None))
    worked = failure_of(error, Route(HOST, tls=True, proxy=None, worked=True))
    assert isinstance(fresh, Transient)
    assert isinstance(worked, Transient)
    assert (fresh.attempts, fresh.lasting) == ((4, exporter.ApiError) if unknown else (None, None))
    assert (worked.attempts, worked.lasting) == (None, None)
    assert SECRET not in f"{fresh}{worked}"


async def test_attributes_and_workspace_with_permanent_connection_failure_raise() -> None:
    """An endpoint that the token may not read can be left out; a connection that fails is an error."""
    async with Api(lambda _request: b"\x15\x03\x03\0\x02\x02\x46") as server:
        async with exporter.Intercom("dG9rOnRlc3Q=", base_url=server.base_url) as intercom:
            for fetch in (intercom.attributes, intercom.workspace):
                with pytest.raises(exporter.ApiError, match="speaks TLS"):
                    await fetch(intercom.pages().traffic)
