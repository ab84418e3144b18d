"""Checks of the arguments of `Intercom`: each error names its keyword."""

import math

from exporter.errors import ConfigError
from exporter.source.retry import RetryPolicy

_MAX_WAIT_S = 10**8
_MIN_S = 0.001
_BYTE_ORDER_MARK = "\ufeff"
_QUOTES = "\"'`\u201c\u201d\u2018\u2019"  # env files and word processors put them around a token
_RANGES: dict[str, tuple[float, float]] = {
    "request_timeout_s": (_MIN_S, _MAX_WAIT_S),
    "idle_timeout_s": (_MIN_S, _MAX_WAIT_S),
    "page_budget_s": (0, math.inf),
    "run_budget_s": (0, math.inf),
    "initial_backoff_s": (_MIN_S, _MAX_WAIT_S),
}

API_VERSIONS = (
    *(f"1.{minor}" for minor in range(5)),
    *(f"2.{minor}" for minor in range(18)),
    *("Preview", "Unstable"),
)


def check_api_version(version: str) -> None:
    """Check that the API has a version.

    Raises:
        ConfigError: it has not.
    """
    if version not in API_VERSIONS:
        raise ConfigError(
            f"api_version must be one of 1.0-1.4, 2.0-2.17, Preview, Unstable, not {version!r}", "api_version"
        )


def is_within(value: object, minimum: float, maximum: float) -> bool:
    """Return whether a value is a number in a range; NaN is not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and minimum <= value <= maximum


def checked_retry_policy(policy: object) -> RetryPolicy:
    """Return a `RetryPolicy` whose fields are all within their ranges.

    Raises:
        ConfigError: it is not a `RetryPolicy`, or a field is out of range.
    """
    if not isinstance(policy, RetryPolicy):
        raise ConfigError("retry_policy must be a RetryPolicy", "retry_policy")
    if type(policy.max_attempts) is not int or policy.max_attempts < 1:
        raise ConfigError(f"max_attempts must be a whole number from 1 up, not {policy.max_attempts!r}", "max_attempts")
    for name, (least, most) in _RANGES.items():
        value = getattr(policy, name)
        if not is_within(value, least, most):
            limit = "up" if most == math.inf else f"to {most:,}"
            raise ConfigError(f"{name} must be a number from {least:g} {limit}, not {value!r}", name)
    return policy


def checked_token(token: object) -> str:
    """Return an access token without the white space around it.

    Raises:
        ConfigError: it cannot be an access token. The message does not quote it.
    """
    token = token.strip().strip(_BYTE_ORDER_MARK).strip() if isinstance(token, str) else ""
    if not token:
        raise ConfigError("no access token was given")
    if token[0] in _QUOTES or token[-1] in _QUOTES:
        raise ConfigError("the access token is in quotes: remove them")
    if token.lower().startswith("bearer "):
        raise ConfigError("the access token begins with 'Bearer': remove that word")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError("the access token has characters that no token has: give the token and nothing else")
    return token
