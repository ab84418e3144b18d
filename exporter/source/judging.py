"""What an answer that is no page means: the class of the refusal, in words that say what to do."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import unquote

import msgspec

from exporter.errors import ApiError, CredentialsError, SourceError, one_line
from exporter.source.pacing import told_wait_s
from exporter.source.trial import Transient

_REDIRECTS, _REFUSALS, _SERVER_ERRORS = 300, 400, 500
_UNAUTHORIZED, _FORBIDDEN, _REQUEST_TIMEOUT, _TOO_MANY = 401, 403, 408, 429
_SHOWN_CHARACTERS = 200
_TELLING_CHARACTERS = 8


class _Item(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _ErrorList(msgspec.Struct):
    """Intercom's error envelope; gateways in front of it answer HTML instead."""

    errors: list[_Item] = []
    request_id: str | None = None


_decoder = msgspec.json.Decoder(_ErrorList)


def refusal(
    status: int, headers: Mapping[str, str], body: bytes, base_url: str, secret: str
) -> SourceError | Transient:
    """Say what an answer with another status than 200 means.

    Args:
        status: its HTTP status.
        headers: its headers.
        body: the beginning of its body, decompressed.
        base_url: the API's address, for the message.
        secret: the token, which a server may echo and a message must not.

    Returns:
        A `Transient` when trying again may help, else the error to raise.
    """
    try:
        envelope = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        envelope = _ErrorList()
    error = envelope.errors[0] if envelope.errors else _Item()
    code = printable(error.code or "", secret) or None
    request_id = printable(headers.get("X-Request-Id") or envelope.request_id or "", secret) or None
    message = printable(error.message or "", secret)
    said = ": ".join(filter(None, (f"{status} {code or ''}".rstrip(), message)))
    if status in (_REQUEST_TIMEOUT, _TOO_MANY) or status >= _SERVER_ERRORS:
        detail, wait_s = f"the API answered {said}", told_wait_s(headers)
        return Transient(f"http_{status}", detail, status=status, request_id=request_id, wait_s=wait_s)
    if status < _REDIRECTS:  # a success of another kind than the one that has a page
        detail = f"the API answered {said}, without a page"
        return Transient("broken_body", detail, status=status, request_id=request_id)
    kind, advice = _advice(status, base_url)
    return kind(f"the API answered {said}: {advice}", status=status, code=code, request_id=request_id)


def _advice(status: int, base_url: str) -> tuple[type[SourceError], str]:
    if status == _UNAUTHORIZED:
        return CredentialsError, (
            f"check that the token is whole, not revoked, and of the region of {base_url} "
            "(a token of another region is refused like a wrong one)"
        )
    if status == _FORBIDDEN:
        return CredentialsError, (
            "the token may not read contacts: give its app the permission to read and list users and companies"
        )
    if status < _REFUSALS:
        return ApiError, f"redirects are not followed, so that the token stays with {base_url}; check the base URL"
    return ApiError, "the request cannot succeed as it is"


def printable(text: str, secret: str) -> str:
    """Make text of a server's fit for terminals and logs: short, without control characters or the token."""
    text = text.replace(secret, "[token]")
    return "[withheld: it holds the token]" if _holds(text, secret) else one_line(text[:_SHOWN_CHARACTERS])


def _holds(text: str, secret: str) -> bool:
    """Whether the token is there in another spelling: cut, encoded, decoded, or with something in between."""
    spellings = [secret, b64encode(secret.encode()).decode()]
    with suppress(ValueError):
        spellings.append(b64decode(secret).decode())
    letters = _letters(unquote(text))
    # The end of base64 depends on what follows; what is too short would be found anywhere.
    cores = (_letters(spelling)[:-2] for spelling in spellings)
    return any(len(core) >= _TELLING_CHARACTERS and core in letters for core in cores)


def _letters(text: str) -> str:
    return "".join(character for character in text if character.isascii() and character.isalnum())
