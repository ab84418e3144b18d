"""The choice of a proxy from environment variables."""

import os
from base64 import b64encode
from collections.abc import Mapping

import pytest

import exporter
from exporter.source.proxy import Proxy, parse_proxy, proxy_for

API = "https://api.example.test"
PLAIN = "http://api.example.test"


def proxy_with(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], url: str = API) -> str | None:
    """Return the proxy for a URL, with only these variables set."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return proxy_for(url)


ONE, OTHER = "http://one.test:3128", "http://other.test:3128"


@pytest.mark.parametrize(
    ("variables", "for_https", "for_http"),
    [
        ({}, None, None),
        ({"HTTPS_PROXY": ONE}, ONE, None),
        ({"https_proxy": ONE}, ONE, None),
        ({"HTTP_PROXY": ONE}, None, ONE),
        ({"http_proxy": ONE}, None, ONE),
        ({"ALL_PROXY": ONE}, ONE, ONE),
        ({"all_proxy": ONE}, ONE, ONE),
        ({"HTTPS_PROXY": ONE, "HTTP_PROXY": OTHER}, ONE, OTHER),
        ({"HTTPS_PROXY": ONE, "ALL_PROXY": OTHER}, ONE, OTHER),
        ({"https_proxy": ONE, "HTTPS_PROXY": OTHER}, ONE, None),
        ({"all_proxy": ONE, "ALL_PROXY": OTHER}, ONE, ONE),
        ({"HTTPS_PROXY": "", "ALL_PROXY": ONE}, ONE, ONE),
        ({"FTP_PROXY": ONE}, None, None),
        ({"HTTP_PROXY": ONE, "REQUEST_METHOD": "GET"}, None, None),  # in CGI a client could set it
    ],
    ids=repr,
)
def test_proxy_variables_have_the_same_precedence_as_in_curl(
    variables: dict[str, str], for_https: str | None, for_http: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheme's variable comes before ALL_PROXY, and lower case before upper case; an empty variable is ignored."""
    assert proxy_with(monkeypatch, variables) == for_https
    assert proxy_for(PLAIN) == for_http


@pytest.mark.parametrize(
    ("no_proxy", "url", "excepted"),
    [
        ("*", API, True),
        ("api.example.test", API, True),
        ("API.Example.TEST", API, True),
        ("example.test", API, True),
        (".example.test", API, True),
        ("*.example.test", API, True),
        ("ample.test", API, False),
        ("test.example", API, False),
        ("one.test, example.test", API, True),
        ("one.test example.test", API, True),
        (" one.test ,, ", API, False),
        ("", API, False),
        (".", API, False),
        ("example.test:443", API, True),
        ("example.test:8443", API, False),
        ("example.test:8443", f"{API}:8443", True),
        ("example.test.", API, True),
        ("api.example.test", f"{API}.", True),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.1.2.3", "https://10.1.2.3:8443", True),
        ("1.2.3", "https://10.1.2.3", False),
        ("2001:db8::/32", "https://[2001:db8::1]", True),
        ("[2001:db8::1]", "https://[2001:db8::1]", True),
        ("[2001:db8::1]:8443", "https://[2001:db8::1]", False),
        ("2001:db8::1", "https://[2001:db8::1]", True),
        ("10.0.0.0/99", "https://10.1.2.3", False),
        (f"api.example.test:{'4' * 5_000}", API, False),
        (f"[api.example.test]:{'4' * 5_000},*", API, True),
    ],
)
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_no_proxy_excludes_hosts_in_each_supported_form(
    variable: str, no_proxy: str, url: str, excepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names, domains, ports, addresses, networks and the star, with any separator."""
    found = proxy_with(monkeypatch, {"ALL_PROXY": ONE, variable: no_proxy}, url)
    assert found == (None if excepted else ONE)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "[::1]"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_is_never_used_for_this_machine(scheme: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would connect to its own machine."""
    assert proxy_with(monkeypatch, {"ALL_PROXY": ONE}, f"{scheme}://{host}:8080") is None


@pytest.mark.parametrize(
    ("address", "proxy"),
    [
        ("http://proxy.test:3128", Proxy("http://proxy.test:3128", "proxy.test:3128", None)),
        ("http://proxy.test/", Proxy("http://proxy.test:80", "proxy.test:80", None)),
        ("https://proxy.test", Proxy("https://proxy.test:443", "proxy.test:443", None)),
        ("HTTP://Proxy.Test:3128/path", Proxy("http://proxy.test:3128", "proxy.test:3128", None)),
        ("proxy.test:3128", Proxy("http://proxy.test:3128", "proxy.test:3128", None)),
        ("10.0.0.1:3128", Proxy("http://10.0.0.1:3128", "10.0.0.1:3128", None)),
        ("http://[::1]:3128", Proxy("http://[::1]:3128", "[::1]:3128", None)),
        ("http://kim:pass@proxy.test:1", Proxy("http://proxy.test:1", "proxy.test:1", "kim:pass")),
        ("http://kim:p%40s%3As@proxy.test:1", Proxy("http://proxy.test:1", "proxy.test:1", "kim:p@s:s")),
        ("http://kim:%C3%A9@proxy.test:1", Proxy("http://proxy.test:1", "proxy.test:1", "kim:é")),
        ("http://k\udce9m:%e9@proxy.test:1", Proxy("http://proxy.test:1", "proxy.test:1", "k\udce9m:\udce9")),
        ("http://kim@proxy.test:1", Proxy("http://proxy.test:1", "proxy.test:1", "kim:")),
    ],
    ids=repr,
)
def test_parse_proxy_separates_credentials_from_the_address(
    address: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The URL and the name of a proxy contain neither user nor password, so that no message can show them."""
    found = proxy_with(monkeypatch, {"HTTPS_PROXY": address})
    assert found is not None
    parsed = parse_proxy(found)
    expected = proxy.authorization and f"Basic {b64encode(os.fsencode(proxy.authorization)).decode()}"
    assert (parsed.url, parsed.name, parsed.authorization) == (proxy.url, proxy.name, expected)
    assert "Basic" not in repr(parsed)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("socks5://kim:S3CRET@proxy.test:1080", "SOCKS proxy, which is not supported"),
        ("socks5h://proxy.test", "SOCKS proxy, which is not supported"),
        ("SOCKS4://proxy.test", "SOCKS proxy, which is not supported"),
        ("ftp://kim:S3CRET@proxy.test", "must look like http://host:port"),
        ("kim:S3CRET@proxy.test:3128", "must look like http://host:port"),
        ("http://", "must look like http://host:port"),
        ("http://[x", "must look like http://host:port"),
        ("http://[::1% x]:1", "must look like http://host:port"),
        ("http://[::1]S3CRET:1", "must look like http://host:port"),
        ("http://S3CRET[::1]:1", "must look like http://host:port"),
        ("http://proxy.test:99999", "must look like http://host:port"),
        ("http://proxy.test:0", "must look like http://host:port"),
        ("http://proxy.test:port", "must look like http://host:port"),
        ("http://pro xy.test:3128", "must look like http://host:port"),
        ("http://proxy.test:3128?S3CRET", "must look like http://host:port"),
        ("http://kim:S3CRET#1@proxy.test:3128", "must look like http://host:port"),
        ("http://a..b:3128", "must look like http://host:port"),
        (f"http://{'a' * 64}.test:3128", "must look like http://host:port"),
        (f"http://proxy.test:{'1' * 5_000}", "must look like http://host:port"),
        ("/usr/bin/S3CRET", "must look like http://host:port"),
    ],
)
def test_unusable_proxy_is_refused_without_quoting_it(
    variable: str, address: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the variable, but not its value, which may contain a password."""
    with pytest.raises(exporter.ConfigError, match=message) as caught:
        proxy_with(monkeypatch, {variable: address})
    assert variable in str(caught.value)
    assert "S3CRET" not in str(caught.value)
    assert caught.value.__cause__ is None
