"""The HTTP proxy that the environment names for a URL."""

import os
import re
from base64 import b64encode
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit
from urllib.request import getproxies, getproxies_environment, proxy_bypass

from exporter.errors import ConfigError
from exporter.source.base_url import has_host, is_loopback

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        url: its address, without user and password.
        name: host and port, for messages.
        authorization: the value of ``Proxy-Authorization``, None where its address has no user.
    """

    url: str
    name: str
    authorization: str | None = field(repr=False)


def proxy_for(url: str) -> str | None:
    """Find the address of the proxy for a URL: the scheme's variable, then ``ALL_PROXY``, unless ``NO_PROXY`` has it.

    On macOS and Windows the system's settings apply if the environment has none.

    Raises:
        ConfigError: the address is not one of an HTTP proxy.
    """
    parts = urlsplit(url)
    if not parts.hostname or is_loopback(parts.hostname):
        return None
    proxies = getproxies()
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    if _is_excepted(parts.hostname, port, proxies.get("no", "")):
        return None
    if not getproxies_environment() and proxy_bypass(parts.hostname):  # the system's settings have exceptions too
        return None
    for kind in (parts.scheme, "all"):
        if address := proxies.get(kind):
            return _checked(address, _variable(kind))
    return None


def parse_proxy(address: str) -> Proxy:
    """Parse an address that `proxy_for` returned."""
    parts = urlsplit(address)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    name = f"{host}:{parts.port or _DEFAULT_PORTS[parts.scheme]}"
    authorization = None
    if parts.username is not None:
        credentials = b":".join(unquote_to_bytes(os.fsencode(text)) for text in (parts.username, parts.password or ""))
        authorization = f"Basic {b64encode(credentials).decode()}"
    return Proxy(f"{parts.scheme}://{name}", name, authorization)


def _checked(address: str, variable: str) -> str:
    """Return a proxy's address with its scheme; no message quotes it, since it may hold a password."""
    if re.fullmatch(r"[\w.-]+(:\d+)?/?", address, re.ASCII):  # host:port, which curl accepts too
        address = f"http://{address}"
    try:
        parts = urlsplit(address)
        usable = _is_usable(parts)
    except ValueError:
        raise ConfigError(_looks_wrong(variable)) from None
    if parts.scheme.startswith("socks"):
        raise ConfigError(
            f"{variable} names a SOCKS proxy, which is not supported: name an HTTP proxy (http://host:port), "
            "or list the API's host in NO_PROXY"
        )
    if not usable:
        raise ConfigError(_looks_wrong(variable))
    return address


def _looks_wrong(variable: str) -> str:
    return f"the proxy in {variable} must look like http://host:port or http://user:password@host:port"


def _is_usable(parts: SplitResult) -> bool:
    return parts.scheme in _DEFAULT_PORTS and has_host(parts) and not (parts.query or parts.fragment)


def _variable(kind: str) -> str:
    """Return the name of the variable that applies: lower case first."""
    name = f"{kind}_proxy"
    found = [spelling for spelling in (name, name.upper()) if os.environ.get(spelling)]
    return found[0] if found else "the system's settings"


def _is_excepted(host: str, port: int, no_proxy: str) -> bool:
    """Return whether ``NO_PROXY`` has a host: as a name, a domain, an address, a network, or ``*`` for all."""
    host = host.lower().rstrip(".")
    return any(
        item_port in (None, port) and _matches(host, name)
        for name, item_port in map(_with_port, re.split(r"[\s,]+", no_proxy.lower()))
    )


def _matches(host: str, name: str) -> bool:
    """Return whether an item of ``NO_PROXY`` means a host."""
    if name == "*":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        domain = name.removeprefix("*").strip(".")
        return bool(domain) and (host == domain or host.endswith(f".{domain}"))
    try:
        return address in ip_network(name, strict=False)
    except ValueError:
        return False


def _with_port(item: str) -> tuple[str, int | None]:
    """Split ``host:port``; IPv6 addresses have their colons in brackets or no port."""
    if match := re.fullmatch(r"\[(.*)\](?::([0-9]{1,5}))?|([^:]*):([0-9]{1,5})", item):
        bracketed, bracketed_port, name, port = match.groups()
        digits = bracketed_port or port
        return bracketed or name or "", int(digits) if digits else None
    return item, None
