"""The API's rules that need no socket: cursors, versions, page sizes, the rate limit, refusals."""

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
"""What ``Intercom-Version`` may say (the reference's list, and what has come out since)."""

SINCE_2_16 = frozenset({"2.16", "2.17", "Preview", "Unstable"})
"""Versions with owners as text, and with 410 for contacts that were merged (the reference)."""

WINDOW_S = 10
UNLIMITED = 1_000_000
"""Calls per window announced where there is no limit in practice."""

_COUNT = re.compile(r"[0-9]{1,9}")
_GZIP = re.compile(r"\s*(?:gzip|x-gzip|\*)\s*(?:;\s*q\s*=\s*(?P<q>[0-9.]+)\s*)?", re.IGNORECASE)


class Refusal(Exception):  # noqa: N818 - an answer, no failure of ours
    """A request that gets Intercom's error envelope instead of what it asked for.

    Attributes:
        status: HTTP status.
        code: ``errors[].code``.
        headers: further headers of the answer.
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
    """Writes and reads cursors: a position in a list, sealed with a key.

    Like the API's they are opaque, hold ``+``, ``/``, ``=`` and newlines, and
    cannot be made up: one of another list or workspace is refused.
    """

    # Base64 of these three bytes is "++//", so that each cursor needs percent-encoding.
    _MARK = b"\xfb\xef\xff"
    _SEAL_BYTES = 39
    _LINE = 60

    def __init__(self, scope: str) -> None:
        self._key = hashlib.sha256(scope.encode()).digest()

    def write(self, position: int) -> str:
        """Return the cursor of a position, with newlines where Ruby's Base64 puts them."""
        where = position.to_bytes(8, "big")
        seal = hashlib.blake2b(where, key=self._key, digest_size=self._SEAL_BYTES).digest()
        text = base64.b64encode(self._MARK + where + seal).decode()
        return "".join(f"{text[at : at + self._LINE]}\n" for at in range(0, len(text), self._LINE))

    def read(self, cursor: str) -> int:
        """Return a cursor's position.

        Raises:
            Refusal: 400 ``client_error``, it is not one of this list's.
        """
        try:
            position = int.from_bytes(base64.b64decode(cursor)[3:11], "big")
        except (binascii.Error, ValueError):
            raise _bad_cursor() from None
        if not hmac.compare_digest(self.write(position).encode(), cursor.encode()):
            raise _bad_cursor()
        return position


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the rate limit sees it: allowed or not, and what the headers announce."""

    allowed: bool
    limit: int
    remaining: int
    reset_at: int
    """UNIX second in which the window ends."""

    def headers(self) -> dict[str, str]:
        """Return the three ``X-RateLimit`` headers."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_at),
        }


class RateWindow:
    """Counts calls in windows of ten seconds, aligned to UNIX time as the API's are.

    Args:
        limit: calls per window, from 1.
        clock: UNIX time in seconds.
    """

    def __init__(self, limit: int = UNLIMITED, clock: Callable[[], float] = time.time) -> None:
        self.limit = limit
        self._clock = clock
        self._window = -1
        self._calls = 0

    def call(self) -> Call:
        """Count one call; over the limit it is not allowed."""
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

    def spent(self) -> dict[str, str]:
        """Return the headers of a window without calls left that ends within a second."""
        return Call(False, self.limit, 0, int(self._clock()) + 1).headers()


def version_of(headers: Mapping[str, str]) -> str:
    """Return the API version a request asks for, 2.14 when it does not say.

    Raises:
        Refusal: 400 ``intercom_version_invalid``, no such version.
    """
    version = headers.get("Intercom-Version", DEFAULT_VERSION)
    if version not in VERSIONS:
        raise Refusal(400, "intercom_version_invalid", "The requested version could not be found")
    return version


def page_size(query: Mapping[str, str]) -> int:
    """Return a query's page size, 50 when absent.

    Raises:
        Refusal: 400 ``parameter_invalid``, it is no number from 1 to 150.
    """
    return count_of(query, "per_page", default=DEFAULT_PER_PAGE, maximum=MAX_PER_PAGE)


def count_of(query: Mapping[str, str], name: str, *, default: int, maximum: int) -> int:
    """Return a number from a query.

    Raises:
        Refusal: 400 ``parameter_invalid``, it is no number from 1 to ``most``.
    """
    text = query.get(name, str(default))
    if not _COUNT.fullmatch(text) or not 1 <= int(text) <= maximum:
        raise Refusal(400, "parameter_invalid", f"{name} must be a number between 1 and {maximum}")
    return int(text)


def accepts_gzip(accept_encoding: str) -> bool:
    """Tell whether an ``Accept-Encoding`` header allows gzip."""
    found = (_GZIP.fullmatch(part) for part in accept_encoding.split(","))
    return any(match and match["q"] not in {"0", "0.0", "0.00", "0.000"} for match in found)


def compact(value: object) -> bytes:
    """Return a value as JSON without spaces, UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _bad_cursor() -> Refusal:
    message = "Invalid starting_after param. Please use the value of pages.next.starting_after."
    return Refusal(400, "client_error", message)


def token_of(seed: int | None) -> str:
    """Return the access token a sandbox asks for: base64 of ``tok:…``, as real ones are.

    Args:
        seed: of made-up contacts, whose token everybody may know; None for
            real ones, whose token nobody can guess.
    """
    digest = secrets.token_hex(32) if seed is None else hashlib.sha256(f"token:{seed}".encode()).hexdigest()
    return base64.b64encode(f"tok:{digest[:8]}_{digest[8:40]}".encode()).decode()
