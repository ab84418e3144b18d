"""The API's address: by region or by URL, and never one that gives the token away."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from exporter.errors import ConfigError

REGIONS = {
    "us": "https://api.intercom.io",
    "eu": "https://api.eu.intercom.io",
    "au": "https://api.au.intercom.io",
}


def address(region: str | None, base_url: str | None, *, insecure_http: bool) -> str:
    """Choose and check the API's address.

    Raises:
        ConfigError: it says what is wrong, and quotes nothing that could hold a password.
    """
    if base_url is None:
        if region not in (None, *REGIONS):
            raise ConfigError(f"region {region!r} is not one of {', '.join(REGIONS)}")
        return REGIONS[region or "us"]
    if region is not None:
        raise ConfigError("give a region or a base URL, not both")
    return _checked_address(base_url, insecure_http=insecure_http)


def _checked_address(base_url: object, *, insecure_http: bool) -> str:
    if not isinstance(base_url, str):
        raise ConfigError("the base URL is not text")
    try:
        parts = urlsplit(base_url)
        _port = parts.port
        (parts.hostname or "").encode("idna")  # no empty or overlong label, which the resolver would choke on
    except ValueError:
        raise ConfigError("the base URL cannot be read") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigError("the base URL holds a user or password: the token is the only credential")
    if parts.scheme not in ("http", "https") or not parts.hostname or not _is_plain(base_url):
        raise ConfigError("the base URL must look like https://api.intercom.io")
    if parts.query or parts.fragment or base_url.rstrip("/")[-1] in "?#":
        raise ConfigError("the base URL must end before any '?' or '#'")
    if parts.scheme == "http" and not insecure_http and not is_loopback(parts.hostname):
        raise ConfigError("plain http would show the token to the network: use https, or allow it with insecure http")
    # As URLs in answers spell it, which are compared with it.
    default_port = {"http": ":80", "https": ":443"}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(default_port)}{parts.path.rstrip('/')}"


def _is_plain(url: str) -> bool:
    return url.isascii() and url.isprintable() and not set(url) & set(' "<>\\^`{|}')


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
