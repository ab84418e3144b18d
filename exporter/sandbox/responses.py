"""HTTP responses: complete ones and broken ones. Other modules decide which response is sent."""

import socket
import struct
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from exporter.sandbox.faults import Fault
from exporter.sandbox.protocol import WINDOW_S, RateWindow, Refusal

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, with a timeout of 0 s: close() sends RST
_CODES = {400: "client_error", 401: "unauthorized", 403: "forbidden", 404: "not_found", 500: "server_error"}


def complete(status: int, body: bytes, content_type: str, headers: Mapping[str, str]) -> web.Response:
    """Return a response with a correct length."""
    return web.Response(status=status, body=body, headers={**headers, "Content-Type": content_type})


async def truncated(
    request: web.Request, body: bytes, headers: Mapping[str, str], *, has_full_length: bool
) -> web.StreamResponse:
    """Send half of a body. With the length of the complete body, close the connection after it."""
    if not has_full_length:
        return complete(HTTPStatus.OK, _half(body), JSON, headers)
    response = web.StreamResponse(headers={**headers, "Content-Type": JSON})
    response.content_length = len(body)
    response.force_close()
    await response.prepare(request)
    await response.write(_half(body))
    return response


def reset(request: web.Request) -> web.Response:
    """Close the connection with RST. aiohttp ignores the returned response."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    return web.Response()


def maintenance(headers: Mapping[str, str]) -> web.Response:
    """Return a response with status 200 and an HTML page, which does not come from the API."""
    return complete(HTTPStatus.OK, _html("We'll be back soon"), HTML, headers)


def failure(status: int, headers: Mapping[str, str]) -> web.Response:
    """Return a response with an error status: an HTML page for a status that a gateway sends.

    Raises:
        Refusal: the status comes from the API itself, not from a gateway.
    """
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Error"
    if status > HTTPStatus.INTERNAL_SERVER_ERROR:
        return complete(status, _html(f"{status} {reason}"), HTML, headers)
    raise Refusal(status, _CODES.get(status, "client_error"), reason)


def of_fault(request: web.Request, fault: Fault, headers: Mapping[str, str], window: RateWindow) -> web.Response:
    """Return the response of a fault that replaces a page.

    Raises:
        Refusal: the response is one of the API itself.
    """
    match fault.name, fault.status:
        case "reset", _:
            return reset(request)
        case "empty_200", _:
            return complete(HTTPStatus.OK, b"", JSON, headers)
        case _, HTTPStatus.TOO_MANY_REQUESTS:
            raise rate_limited(window.limit, window.exhausted_headers())
        case _, int(status):
            return failure(status, headers)
        case _:
            return maintenance(headers)


def rate_limited(limit: int, headers: Mapping[str, str] | None = None) -> Refusal:
    """Return the refusal of a call over the rate limit. The API sends no Retry-After (users' captures)."""
    message = f"Exceeded rate limit of {limit} in {WINDOW_S}_seconds"
    return Refusal(HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_exceeded", message, headers)


def _html(title: str) -> bytes:
    page = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return page.encode()


def _half(body: bytes) -> bytes:
    return body[: len(body) // 2]
