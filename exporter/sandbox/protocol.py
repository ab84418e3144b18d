"""The API's rules, without network: cursors, versions, page sizes, rate limit and refusals."""

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

DEFAULT_PER_PAGE = 50
MAX_PER_PAGE = 150
DEFAULT_VERSION = "2.14"
VERSIONS = frozenset(
    [*(f"1.{minor}" for minor in range(5)), *(f"2.{minor}" for minor in range(18)), "Preview", "Unstable"],
)
"""The valid values of ``Intercom-Version`` (from the reference, and newer ones)."""

SINCE_2_16 = frozenset({"2.16", "2.17", "Preview", "Unstable"})
"""Versions with owners as text, and with status 410 for merged contacts (from the reference)."""

SINCE_2_17 = frozenset({"2.17", "Preview", "Unstable"})
"""Versions whose searches match dates by seconds (from the changelog of 2.17)."""

WINDOW_S = 10
UNLIMITED = 1_000_000
"""The reported calls per window of a sandbox without a rate limit."""

_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_COUNT = re.compile(r"[0-9]{1,9}")
_GZIP = re.compile(r"\s*(?:gzip|x-gzip|\*)\s*(?:;\s*q\s*=\s*(?P<q>[0-9.]+)\s*)?", re.IGNORECASE)


class Refusal(Exception):  # noqa: N818 - a response, no failure of the sandbox
    """A refused request, which gets Intercom's error envelope as its response.

    Attributes:
        status: HTTP status.
        code: ``errors[].code``.
        headers: additional headers of the response.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})

    def envelope(self, request_id: str) -> bytes:
        """Return the JSON body: ``{"type":"error.list",…}``."""
        errors = [{"code": self.code, "message": str(self)}]
        return compact({"type": "error.list", "request_id": request_id, "errors": errors})


class Cursors:
    """The cursors of one list: a position, signed with a key.

    Same as the API's cursors, they are opaque, contain ``+``, ``/``, ``=`` and
    newlines, and cannot be forged: a cursor of another list or workspace is refused.
    """

    # The Base64 of these three bytes is "++//", so each cursor needs percent-encoding.
    _PREFIX = b"\xfb\xef\xff"
    _SIGNATURE_BYTES = 39
    _LINE_CHARACTERS = 60

    def __init__(self, scope: str) -> None:
        self._key = hashlib.sha256(scope.encode()).digest()

    def write(self, position: int) -> str:
        """Return the cursor of a position, with newlines in the same positions as Ruby's Base64."""
        content = position.to_bytes(8, "big")
        signature = hashlib.blake2b(content, key=self._key, digest_size=self._SIGNATURE_BYTES).digest()
        text = base64.b64encode(self._PREFIX + content + signature).decode()
        starts = range(0, len(text), self._LINE_CHARACTERS)
        return "".join(f"{text[start : start + self._LINE_CHARACTERS]}\n" for start in starts)

    def read(self, cursor: str) -> int:
        """Return the position of a cursor.

        Raises:
            Refusal: 400 ``client_error``, the cursor does not belong to this list.
        """
        try:
            position = int.from_bytes(base64.b64decode(cursor)[3:11], "big")
        except (binascii.Error, ValueError):
            raise invalid_cursor() from None
        if not hmac.compare_digest(self.write(position).encode(), cursor.encode()):
            raise invalid_cursor()
        return position


@dataclass(frozen=True, slots=True)
class Call:
    """The rate limit's result for one call: whether it is allowed, and the reported state of the window."""

    allowed: bool
    limit: int
    remaining: int
    reset_at: int
    """The UNIX second in which the window ends."""

    def headers(self) -> dict[str, str]:
        """Return the three ``X-RateLimit`` headers."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_at),
        }


class RateWindow:
    """A rate limit with windows of ten seconds, aligned to UNIX time same as the API's.

    Args:
        limit: calls per window, from 1.
        clock: function that returns UNIX time in seconds.
    """

    def __init__(self, limit: int = UNLIMITED, clock: Callable[[], float] = time.time) -> None:
        self.limit = limit
        self._clock = clock
        self._window = -1
        self._calls = 0

    def call(self) -> Call:
        """Count one call. A call over the limit is not allowed."""
        window = int(self._clock() // WINDOW_S)
        if window != self._window:
            self._window, self._calls = window, 0
        self._calls += 1
        return Call(
            self._calls <= self.limit,
            self.limit,
            max(self.limit - self._calls, 0),
            (window + 1) * WINDOW_S,
        )

    def exhausted_headers(self) -> dict[str, str]:
        """Return the headers of a window without remaining calls that ends within one second."""
        return Call(False, self.limit, 0, int(self._clock()) + 1).headers()


def version_of(headers: Mapping[str, str]) -> str:
    """Return the requested API version; 2.14 if unspecified.

    Raises:
        Refusal: 400 ``intercom_version_invalid``, the version does not exist.
    """
    version = headers.get("Intercom-Version", DEFAULT_VERSION)
    if version not in VERSIONS:
        raise Refusal(400, "intercom_version_invalid", "The requested version could not be found")
    return version


def page_size(query: Mapping[str, str]) -> int:
    """Return a query's page size; 50 if unspecified.

    Raises:
        Refusal: 400 ``parameter_invalid``, it is not a number from 1 to 150.
    """
    return count_of(query, "per_page", default=DEFAULT_PER_PAGE, maximum=MAX_PER_PAGE)


def count_of(query: Mapping[str, str], name: str, *, default: int, maximum: int) -> int:
    """Return a number from a query.

    Raises:
        Refusal: 400 ``parameter_invalid``, it is not a number from 1 to ``maximum``.
    """
    text = query.get(name, str(default))
    if not _COUNT.fullmatch(text) or not 1 <= int(text) <= maximum:
        raise Refusal(400, "parameter_invalid", f"{name} must be a number between 1 and {maximum}")
    return int(text)


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an ``Accept-Encoding`` header allows gzip."""
    matches = (_GZIP.fullmatch(part) for part in accept_encoding.split(","))
    return any(match and match["q"] not in {"0", "0.0", "0.00", "0.000"} for match in matches)


def compact(value: object) -> bytes:
    """Return a value as JSON without spaces, UTF-8."""
    return _compact(value).encode()


def page_body(records: list[bytes], total: int, pages: Mapping[str, object]) -> bytes:
    """Return a page of contacts: ``{"type":"list","data":[…],"total_count":…,"pages":…}``."""
    first, *others = records or [b""]
    parts = [b'{"type":"list","data":[' + first, *others]
    parts[-1] += b'],"total_count":%d,"pages":%b}' % (total, compact(pages))
    return b",".join(parts)  # the only copy of a page, which has hundreds of kilobytes


def invalid_cursor() -> Refusal:
    """Return the refusal of a cursor that does not belong to its list."""
    message = "Invalid starting_after param. Please use the value of pages.next.starting_after."
    return Refusal(400, "client_error", message)


def token_of(seed: int | None) -> str:
    """Return the access token of a sandbox: the Base64 of ``tok:…``, same as a real one.

    Args:
        seed: random seed of synthetic contacts, whose token need not be secret;
            None for real contacts, whose token is random.
    """
    digest = secrets.token_hex(32) if seed is None else hashlib.sha256(f"token:{seed}".encode()).hexdigest()
    return base64.b64encode(f"tok:{digest[:8]}_{digest[8:40]}".encode()).decode()
