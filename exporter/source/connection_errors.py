"""Turn failures of connections into errors: transient or permanent, with a message that says what to do.

The HTTP library's own messages are not used: they quote what servers send.
"""

import errno
import os
import socket
import ssl
from dataclasses import dataclass

import aiohttp

from exporter.errors import ApiError, ContractError, SourceError
from exporter.source.http_parser import MAX_HEAD_BYTES, HeadTooLargeError, NotHttpError, SpeaksTlsError
from exporter.source.proxy import Proxy
from exporter.source.retry import Transient, is_transient

Failure = Transient | SourceError

_UNKNOWN_HOST = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
_MAX_ATTEMPTS_UNPROVEN = 4  # while no response has ever come: a wrong setting is likelier than a fault
_FORBIDDEN, _PROXY_AUTHENTICATION = 403, 407

_REASONS = {
    errno.ECONNREFUSED: "{} refuses it",
    errno.ECONNRESET: "{} reset it",
    errno.ECONNABORTED: "{} reset it",
    errno.EPIPE: "{} closed it",
    errno.ETIMEDOUT: "{} does not respond",
    errno.EHOSTUNREACH: "{} cannot be reached from here",
    errno.ENETUNREACH: "{} cannot be reached from here",
    errno.EHOSTDOWN: "{} cannot be reached from here",
    errno.ENETDOWN: "{} cannot be reached from here",
    errno.EACCES: "this machine does not allow it to {}",
    errno.EPERM: "this machine does not allow it to {}",
    errno.EMFILE: "this process has too many open files",
    errno.ENFILE: "this machine has too many open files",
}

_SPEAKS_TLS = "{} speaks TLS: its address must begin with https:// instead of http://"
_HANG_UPS = (errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE)

_OTHER_NAME = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_NOT_YET_VALID, _EXPIRED = 9, 10
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL")
_NO_AGREEMENT = (
    "HANDSHAKE_FAILURE",
    "PROTOCOL_VERSION",
    "UNSUPPORTED_PROTOCOL",
    "CERTIFICATE_REQUIRED",
    "BAD_CERTIFICATE",
    "UNKNOWN_CA",
    "UNRECOGNIZED_NAME",
    "INSUFFICIENT_SECURITY",
    "LEGACY_RENEGOTIATION_DISABLED",
    "KEY_TOO_SMALL",
)
"""Ends of OpenSSL's names for disagreements that another attempt does not change."""


class ProxyError(aiohttp.ClientError):
    """The proxy did not connect us; the cause says why."""


@dataclass(slots=True)
class Route:
    """How requests reach the API.

    Attributes:
        host: host of the base URL, with its port if it names one.
        tls: whether the base URL is https.
        proxy: the proxy between, None without one.
        worked: whether any response has arrived.
    """

    host: str
    tls: bool
    proxy: Proxy | None
    worked: bool = False

    @property
    def proxy_name(self) -> str:
        """The proxy, for messages."""
        return f"the proxy {self.proxy.name}" if self.proxy else "a proxy"

    @property
    def peer(self) -> str:
        """The other end of a connection, for messages."""
        if self.proxy is None:
            return self.host
        return f"{self.host} (through {self.proxy_name})" if self.tls else self.proxy_name

    @property
    def answerer(self) -> str:
        """Who may have sent a response, for messages: without a tunnel a proxy can answer instead of the API."""
        return f"the API or {self.proxy_name}" if self.proxy and not self.tls else "the API"

    @property
    def detour(self) -> str:
        """The end of a message about a failure that the proxy may have caused."""
        return f" through {self.proxy_name}" if self.proxy else ""


def failure_of(error: Exception, route: Route) -> Failure:
    """Return what to raise for a failed connection: a `Transient`, or the permanent error.

    Args:
        error: the exception of aiohttp. It must not become a cause: it holds the request, and so the token.
        route: how requests reach the API.
    """
    error = _unwrapped(error)
    if isinstance(error, ProxyError):
        return _from_proxy(error.__cause__, route)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _unresolved(error, route)
    at_proxy = _is_at_proxy(error, route)
    peer = route.proxy_name if at_proxy else route.peer
    if (trouble := _tls_error(error)) is not None:
        return _from_tls(trouble, peer, at_proxy=at_proxy)
    if isinstance(error, aiohttp.ClientResponseError):
        return _malformed(error.__cause__, peer)
    failure = Transient("network", f"the connection failed: {_reason(error, peer)}")
    if at_proxy:
        _with_few_attempts(failure, route)
    return failure


def may_speak_tls(error: Exception, route: Route) -> bool:
    """Return whether the server may have closed the connection because it expects TLS: some send no error."""
    if route.tls or route.proxy is not None or route.worked:
        return False
    error = _unwrapped(error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return False
    return isinstance(error, aiohttp.ServerDisconnectedError) or getattr(error, "errno", None) in _HANG_UPS


def speaks_tls(route: Route) -> ApiError:
    """Return what to raise where a server expects TLS and the base URL has none."""
    return _permanent(_SPEAKS_TLS.format(route.peer))


def _unwrapped(error: Exception) -> Exception:
    while type(error) is aiohttp.ClientConnectionError and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


def proxy_refusal(status: int, route: Route) -> Failure:
    """Return what to raise when a proxy refuses."""
    proxy = route.proxy_name
    if status == _PROXY_AUTHENTICATION and route.proxy and route.proxy.authorization:
        return _permanent(
            f"{proxy} refuses the user or password of its address, or requires another kind of login (407)"
        )
    if status == _PROXY_AUTHENTICATION:
        return _permanent(
            f"{proxy} asks for a user and a password (407): write its address as http://user:password@host:port"
        )
    if is_transient(status):
        failure = Transient("network", f"the connection failed: {proxy} cannot connect to {route.host} ({status})")
        return _with_few_attempts(failure, route)
    if status == _FORBIDDEN:
        return _permanent(
            f"{proxy} does not allow connections to {route.host} (403): have it allowed, or list the host in NO_PROXY"
        )
    return _permanent(f"{proxy} refuses to connect to {route.host} ({status})")


def _permanent(reason: str) -> ApiError:
    return ApiError(f"the connection failed: {reason}")


def _with_few_attempts(failure: Transient, route: Route) -> Transient:
    """Allow a failure only a few attempts, unless a response has arrived before."""
    if not route.worked:
        failure.attempts = _MAX_ATTEMPTS_UNPROVEN
    return failure


def _is_at_proxy(error: Exception, route: Route) -> bool:
    """Return whether the connection to the proxy itself failed."""
    if route.proxy is None or not isinstance(error, aiohttp.ClientConnectorError):
        return False
    host = f"[{error.host}]" if ":" in error.host else error.host
    return f"{host}:{error.port}" == route.proxy.name


def _from_proxy(error: BaseException | None, route: Route) -> Failure:
    """Return what to raise when the proxy did not connect us to the API."""
    proxy = route.proxy_name
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return proxy_refusal(error.status, route)
    if isinstance(error, aiohttp.ClientResponseError):
        return _malformed(error.__cause__, proxy)
    reason = _reason(error, proxy) if isinstance(error, Exception) else f"{proxy} closed it"
    return _with_few_attempts(Transient("network", f"the connection failed: {reason}"), route)


def _unresolved(error: aiohttp.ClientConnectorDNSError, route: Route) -> Failure:
    at_proxy = _is_at_proxy(error, route)
    host = f"the proxy's host name {error.host}" if at_proxy else f"the host name {error.host}"
    if error.os_error.errno not in _UNKNOWN_HOST:
        return Transient("network", f"the connection failed: {host} cannot be looked up at the moment")
    check = "the address of the proxy" if at_proxy else "the base URL"
    failure = Transient("network", f"the connection failed: {host} is unknown: check {check}")
    if not route.worked:
        failure.lasting = ApiError
    return _with_few_attempts(failure, route)


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """Find OpenSSL's error among an exception and its causes."""
    while error is not None:
        if isinstance(error, ssl.SSLError) and not isinstance(error, aiohttp.ClientError):
            return error
        error = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error.__cause__
    return None


def _from_tls(error: ssl.SSLError, peer: str, *, at_proxy: bool) -> Failure:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _permanent(_distrust(getattr(error, "verify_code", 0), peer))
    reason = getattr(error, "reason", None) or ""  # some have none
    if reason in _NO_TLS:
        return _permanent(
            f"{peer} does not speak TLS: its address must begin with http:// instead of https://"
            if at_proxy
            else f"{peer} does not speak TLS: check the scheme and the port of the base URL"
        )
    if reason.endswith(_NO_AGREEMENT):
        return _permanent(f"{peer} and this machine do not agree on TLS ({reason.lower()})")
    return Transient("network", f"the connection failed: {peer} broke TLS off")


def _distrust(code: int, peer: str) -> str:
    if code in _OTHER_NAME:
        return f"the TLS certificate of {peer} is for another name: check the base URL"
    if code == _EXPIRED:
        return f"the TLS certificate of {peer} has expired, or this machine's clock is wrong"
    if code == _NOT_YET_VALID:
        return f"the TLS certificate of {peer} is not valid yet, or this machine's clock is wrong"
    return (
        f"the TLS certificate of {peer} is not trusted: if it comes from a private authority, name a PEM file with "
        "that authority's certificate in SSL_CERT_FILE, or a folder in SSL_CERT_DIR"
    )


def _malformed(cause: BaseException | None, peer: str) -> Failure:
    if isinstance(cause, HeadTooLargeError):
        return ContractError(f"{peer} sent response headers of more than {MAX_HEAD_BYTES >> 10} KiB")
    if isinstance(cause, SpeaksTlsError):
        return _permanent(_SPEAKS_TLS.format(peer))
    what = "something that is not HTTP" if isinstance(cause, NotHttpError) else "a malformed response"
    return Transient("network", f"the connection failed: {peer} sent {what}")


def _reason(error: Exception, peer: str) -> str:
    """Describe why a connection failed, by the type and number of the error."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return f"{peer} closed it without a response"
    if isinstance(error, aiohttp.ClientPayloadError):
        return f"{peer} closed it within a response, or broke its framing"
    number = error.errno if isinstance(error, OSError) else None
    if number in _REASONS:
        return _REASONS[number].format(peer)
    if number is not None and number > 0:
        return f"{peer}: {os.strerror(number).lower()}"
    return f"{peer} closed it" if isinstance(error, OSError) else f"{peer} did not answer as HTTP asks for"
