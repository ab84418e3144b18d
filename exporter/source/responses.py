"""Turn a response that is not a page into an error, with a message that says what to do."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from exporter.errors import ApiError, CredentialsError, SourceError
from exporter.source.rate_limit import retry_after_s
from exporter.source.redaction import Redaction
from exporter.source.retry import Transient, is_transient

_REDIRECTS, _REFUSALS = 300, 400
_UNAUTHORIZED, _FORBIDDEN = 401, 403


class _Item(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _ErrorList(msgspec.Struct):
    """Intercom's error envelope; gateways in front of it send HTML instead."""

    errors: list[_Item] = []
    request_id: str | None = None


_decoder = msgspec.json.Decoder(_ErrorList)

# Names of the permissions in the settings of an app ("OAuth scopes" in Intercom's documentation).
_CONTACTS, _ONE_CONTACT, _TAGS = "Read and list users and companies", "Read one user and one company", "Read tags"
_PERMISSIONS = {
    "/contacts": _CONTACTS,
    "/contacts/search": _CONTACTS,
    "/contacts/{id}/companies": _CONTACTS,
    "/contacts/{id}/notes": _ONE_CONTACT,
    "/contacts/{id}/segments": _CONTACTS,
    "/contacts/{id}/subscriptions": _ONE_CONTACT,
    "/contacts/{id}/tags": _TAGS,
    "/tags": _TAGS,
    "/data_attributes": "Read content data",
}


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The request that was refused.

    Attributes:
        base_url: the API's address, for messages.
        path: the endpoint, with ``{id}`` instead of a contact's id.
        redaction: removes the token, which a server may repeat and a message must not hold.
        answerer: who may have sent the response, for messages.
    """

    base_url: str
    path: str
    redaction: Redaction
    answerer: str = "the API"


def error_from_response(
    status: int, headers: Mapping[str, str], body: bytes, request: RequestContext
) -> SourceError | Transient:
    """Return the error for a response that is not a page.

    Args:
        status: HTTP status of the response.
        headers: its headers.
        body: the beginning of its body, decompressed.
        request: the request that was refused.

    Returns:
        A `Transient` if another attempt may succeed, else the error to raise.
    """
    try:
        envelope = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        envelope = _ErrorList()
    error = envelope.errors[0] if envelope.errors else _Item()
    printable = request.redaction.printable
    code = printable(error.code or "") or None
    request_id = printable(headers.get("X-Request-Id") or envelope.request_id or "") or None
    message = printable(error.message or "")
    reason = ": ".join(filter(None, (f"{status} {code or ''}".rstrip(), message)))
    if is_transient(status):
        detail, wait_s = f"{request.answerer} answered {reason}", retry_after_s(headers)
        return Transient(f"http_{status}", detail, status=status, request_id=request_id, wait_s=wait_s)
    if status < _REDIRECTS:  # a success without a page, such as 204
        detail = f"{request.answerer} answered {reason}, without a page"
        return Transient("broken_body", detail, status=status, request_id=request_id)
    kind, advice = _advice(status, request, code, is_html=_is_html(headers, body))
    return kind(f"{request.answerer} answered {reason}: {advice}", status=status, code=code, request_id=request_id)


def _advice(status: int, request: RequestContext, code: str | None, *, is_html: bool) -> tuple[type[SourceError], str]:
    if status in (_UNAUTHORIZED, _FORBIDDEN):
        return CredentialsError, _advice_on_access(status, request, code, is_html=is_html)
    if status < _REFUSALS:
        advice = f"redirects are not followed, so that the token stays with {request.base_url}; check the base URL"
        return ApiError, advice
    return ApiError, "the request cannot succeed as it is"


def _advice_on_access(status: int, request: RequestContext, code: str | None, *, is_html: bool) -> str:
    """Say why access is refused, and what to do about it."""
    if is_html:
        return (
            f"a firewall or gateway refused the request for {request.path}, not Intercom (the response is a web page): "
            f"check what stands between this machine and {request.base_url}"
        )
    if status == _UNAUTHORIZED:
        return (
            f"check that the token is complete, not revoked, and of the region of {request.base_url} "
            "(a token of another region is refused like a wrong one)"
        )
    if code == "api_plan_restricted":
        return f"the workspace's plan does not include {request.path}"
    what = "contacts" if request.path in ("/contacts", "/contacts/search") else request.path
    permission = _PERMISSIONS.get(request.path)
    needed = f"the permission {permission!r}" if permission else "that permission"
    return f"the token may not read {what}: give its app {needed}"


def _is_html(headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether a response is a web page: Intercom itself sends JSON."""
    return "html" in headers.get("Content-Type", "").lower() or body.lstrip()[:1] == b"<"
