"""What an answer that is no page means: the class of the refusal, in words that say what to do."""

import string
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import unquote

import msgspec

from exporter.errors import ApiError, CredentialsError, SourceError, one_line
from exporter.source.pacing import told_wait_s
from exporter.source.trial import Transient, is_transient

_REDIRECTS, _REFUSALS = 300, 400
_UNAUTHORIZED, _FORBIDDEN = 401, 403
_SHOWN_CHARACTERS = 200
_NOT_LETTERS = bytes(set(range(256)) - set(f"{string.ascii_letters}{string.digits}".encode()))
_TELLING_CHARACTERS, _PIECE_CHARACTERS = 8, 12
_MAX_ENCODINGS = 3


class _Item(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _ErrorList(msgspec.Struct):
    """Intercom's error envelope; gateways in front of it answer HTML instead."""

    errors: list[_Item] = []
    request_id: str | None = None


_decoder = msgspec.json.Decoder(_ErrorList)

# The permissions are called so in the settings of an app ("OAuth scopes" in Intercom's documentation).
_CONTACTS, _ONE_CONTACT, _TAGS = "Read and list users and companies", "Read one user and one company", "Read tags"
_PERMISSIONS = {
    "/contacts": _CONTACTS,
    "/contacts/{id}/companies": _CONTACTS,
    "/contacts/{id}/notes": _ONE_CONTACT,
    "/contacts/{id}/segments": _CONTACTS,
    "/contacts/{id}/subscriptions": _ONE_CONTACT,
    "/contacts/{id}/tags": _TAGS,
    "/tags": _TAGS,
    "/data_attributes": "Read content data",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a refused request asked for.

    Attributes:
        base_url: the API's address, for messages.
        path: the endpoint, with ``{id}`` in the place of a contact's id.
        secret: the token, which a server may echo and a message must not hold.
        answerer: who may have sent the response, for messages.
    """

    base_url: str
    path: str
    secret: str = field(repr=False)
    answerer: str = "the API"


def refusal(status: int, headers: Mapping[str, str], body: bytes, asked: Asked) -> SourceError | Transient:
    """Say what an answer with another status than 200 means.

    Args:
        status: its HTTP status.
        headers: its headers.
        body: the beginning of its body, decompressed.
        asked: what was asked for.

    Returns:
        A `Transient` when trying again may help, else the error to raise.
    """
    try:
        envelope = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        envelope = _ErrorList()
    error = envelope.errors[0] if envelope.errors else _Item()
    code = printable(error.code or "", asked.secret) or None
    request_id = printable(headers.get("X-Request-Id") or envelope.request_id or "", asked.secret) or None
    message = printable(error.message or "", asked.secret)
    said = ": ".join(filter(None, (f"{status} {code or ''}".rstrip(), message)))
    if is_transient(status):
        detail, wait_s = f"{asked.answerer} answered {said}", told_wait_s(headers)
        return Transient(f"http_{status}", detail, status=status, request_id=request_id, wait_s=wait_s)
    if status < _REDIRECTS:  # a success of another kind than the one that has a page
        detail = f"{asked.answerer} answered {said}, without a page"
        return Transient("broken_body", detail, status=status, request_id=request_id)
    kind, advice = _advice(status, asked, code, is_html=_is_html(headers, body))
    return kind(f"{asked.answerer} answered {said}: {advice}", status=status, code=code, request_id=request_id)


def _advice(status: int, asked: Asked, code: str | None, *, is_html: bool) -> tuple[type[SourceError], str]:
    if status in (_UNAUTHORIZED, _FORBIDDEN):
        return CredentialsError, _advice_on_access(status, asked, code, is_html=is_html)
    if status < _REFUSALS:
        advice = f"redirects are not followed, so that the token stays with {asked.base_url}; check the base URL"
        return ApiError, advice
    return ApiError, "the request cannot succeed as it is"


def _advice_on_access(status: int, asked: Asked, code: str | None, *, is_html: bool) -> str:
    """Say why access is refused, and what to do about it."""
    if is_html:
        return (
            f"a firewall or gateway refused the request for {asked.path}, not Intercom (the response is a web page): "
            f"check what stands between this machine and {asked.base_url}"
        )
    if status == _UNAUTHORIZED:
        return (
            f"check that the token is complete, not revoked, and of the region of {asked.base_url} "
            "(a token of another region is refused like a wrong one)"
        )
    if code == "api_plan_restricted":
        return f"the workspace's plan does not include {asked.path}"
    what = "contacts" if asked.path == "/contacts" else asked.path
    permission = _PERMISSIONS.get(asked.path)
    needed = f"the permission {permission!r}" if permission else "that permission"
    return f"the token may not read {what}: give its app {needed}"


def _is_html(headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether a response is a web page: Intercom itself answers JSON."""
    return "html" in headers.get("Content-Type", "").lower() or body.lstrip()[:1] == b"<"


def printable(text: str, secret: str) -> str:
    """Make text of a server's fit for terminals and logs: short, without control characters or the token."""
    text = text.replace(secret, "[token]")
    return "[withheld: it holds the token]" if echoes(text, secret) else one_line(text[:_SHOWN_CHARACTERS])


def echoes(text: str, secret: str) -> bool:
    """Return whether text holds the token, or a good part of it: encoded, decoded, or with something in between."""
    spellings = [secret, b64encode(secret.encode()).decode()]
    with suppress(ValueError):
        spellings.append(b64decode(secret).decode())
    readings = [_letters(reading) for reading in _readings(text)]
    # The end of base64 depends on what follows.
    cores = (_letters(spelling)[:-2] for spelling in spellings)
    return any(piece in reading for core in cores for piece in _pieces(core) for reading in readings)


def _readings(text: str) -> list[str]:
    """Return a text as it is, and as it is once the escapes of URLs and of HTML are undone, several times over."""
    readings = [text]
    while len(readings) <= _MAX_ENCODINGS and (decoded := unescape(unquote(readings[-1]))) != readings[-1]:
        readings.append(decoded)
    return readings


def _pieces(core: bytes) -> Iterator[bytes]:
    """Yield all runs of letters that give a token away; none of a token so short that it would be found anywhere."""
    if len(core) >= _TELLING_CHARACTERS:
        length = min(len(core), _PIECE_CHARACTERS)
        for at in range(len(core) - length + 1):
            yield core[at : at + length]


def _letters(text: str) -> bytes:
    return text.encode("ascii", "ignore").translate(None, _NOT_LETTERS)
