"""The API's address: chosen by region or by URL, and refused where it would expose the token."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import SplitResult, quote, urlsplit

from exporter.errors import ConfigError

REGIONS = {
    "us": "https://api.intercom.io",
    "eu": "https://api.eu.intercom.io",
    "au": "https://api.au.intercom.io",
}
_HOST_AND_PORT = re.compile(r"(\[[^\[\]]+\]|[^\[\]:]+)(:[0-9]*)?")
_ADDRESS = re.compile(r"[0-9a-f.:]+(%[\w.-]+)?", re.ASCII | re.IGNORECASE)
_NAME = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*\.?", re.ASCII)
_MAX_HOST_CHARACTERS = 254  # of DNS, with a dot at the end


def resolve_base_url(region: str | None, base_url: str | None, *, insecure_http: bool) -> str:
    """Choose and check the API's address.

    Raises:
        ConfigError: the address is invalid. The message does not quote it: it could hold a password.
    """
    if base_url is None:
        if region not in (None, *REGIONS):
            raise ConfigError(f"region must be one of {', '.join(REGIONS)}, not {region!r}", "region")
        return REGIONS[region or "us"]
    if region is not None:
        raise ConfigError("give region or base_url, not both", "region", "base_url")
    return _checked_address(base_url, insecure_http=insecure_http)


def _checked_address(base_url: object, *, insecure_http: bool) -> str:
    if not isinstance(base_url, str):
        raise ConfigError("base_url must be text", "base_url")
    try:
        parts = urlsplit(base_url)
        _port = parts.port  # refuses what is no number
    except ValueError:
        raise ConfigError("base_url cannot be read as a URL", "base_url") from None
    _check_parts(base_url, parts)
    if parts.scheme == "http" and not insecure_http and not is_loopback(parts.hostname or ""):
        raise ConfigError(
            "base_url with plain http would show the token to the network and its proxies: "
            "use https, or allow it with insecure_http=True",
            "base_url",
            "insecure_http=True",
        )
    # Spelled as in the URLs of responses, which are compared with it.
    default_port = {"http": ":80", "https": ":443"}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(default_port)}{parts.path.rstrip('/')}"


def _check_parts(base_url: str, parts: SplitResult) -> None:
    if parts.username is not None or parts.password is not None:
        raise ConfigError("base_url holds a user or password: the token is the only credential", "base_url")
    if parts.scheme not in ("http", "https") or not parts.hostname or not _is_plain(base_url):
        raise ConfigError("base_url must look like https://api.intercom.io", "base_url")
    if not has_host(parts):
        raise ConfigError(
            "base_url has a malformed host or port: it must look like https://api.intercom.io", "base_url"
        )
    if parts.query or parts.fragment or base_url.rstrip("/")[-1] in "?#":
        raise ConfigError("base_url must end before any '?' or '#'", "base_url")
    if parts.path.rstrip("/").rpartition("/")[2].lower() == "contacts":
        raise ConfigError("base_url must end before '/contacts', which each request adds to it", "base_url")


def _is_plain(url: str) -> bool:
    return url.isascii() and url.isprintable() and not set(url) & set(' "<>\\^`{|}')


def has_host(parts: SplitResult) -> bool:
    """Return whether a URL has a well-formed host, and no port or one that can be connected to."""
    plain = _HOST_AND_PORT.fullmatch(parts.netloc.rpartition("@")[2])
    return bool(plain) and parts.port != 0 and _is_host(parts.hostname or "")


def _is_host(host: str) -> bool:
    """Return whether this is an IP address, or a name that a resolver accepts."""
    try:
        return bool(ip_address(host)) and bool(_ADDRESS.fullmatch(host))
    except ValueError:
        return len(host) <= _MAX_HOST_CHARACTERS and bool(_NAME.fullmatch(host))


def is_loopback(host: str) -> bool:
    """Return whether a host name means this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_PATHS_WITHOUT_ID = {"/contacts/search"}


def path_template(path: str) -> str:
    """Return a path with ``{id}`` for the id in it, as in ``/contacts/{id}/tags``: an id is personal data."""
    if path in _PATHS_WITHOUT_ID:
        return path
    first, *rest = path.removeprefix("/").split("/")
    return "/".join(["", first, *(["{id}", *rest[1:]] if rest else [])])


def encode_query(query: Mapping[str, str]) -> str:
    """Encode a query, every reserved character included: a cursor may hold ``+``, ``/``, ``=`` and newlines."""
    return "&".join([f"{quote(name, '')}={quote(value, '')}" for name, value in query.items()])
