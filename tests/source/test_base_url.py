"""The API's base URL: chosen by region or given as a URL, and refused if it would reveal the token."""

import pytest

import exporter

TOKEN = "dG9rOnNlY3JldA=="


def intercom(**settings: object) -> exporter.Intercom:
    """Return a client with settings that may be invalid."""
    return exporter.Intercom(TOKEN, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("region", "url"),
    [
        (None, "https://api.intercom.io"),
        ("us", "https://api.intercom.io"),
        ("eu", "https://api.eu.intercom.io"),
        ("au", "https://api.au.intercom.io"),
    ],
)
def test_base_url_of_region_is_its_api_host(region: str | None, url: str) -> None:
    """Each region has its own host; without a region the client uses the US host."""
    assert intercom(region=region).base_url == intercom(region=region).identity == url


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://api.intercom.io", "https://api.intercom.io"),
        ("https://api.intercom.io/", "https://api.intercom.io"),
        ("https://gateway.example:8443/intercom//", "https://gateway.example:8443/intercom"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.8.9.1", "http://127.8.9.1"),
        ("http://localhost:1", "http://localhost:1"),
        ("http://[::1]:9", "http://[::1]:9"),
    ],
)
def test_base_url_is_kept_without_trailing_slashes(given: str, kept: str) -> None:
    """A base URL may have a port and a path; plain HTTP is accepted for this machine."""
    assert intercom(base_url=given).base_url == kept


@pytest.mark.parametrize(
    "url",
    [
        "http://api.intercom.io",
        "HTTP://api.intercom.io",
        "http://10.0.0.1",
        "http://0.0.0.0:8080",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://127.1",
        "http://2130706433",
        "http://[::]",
        "http://[fe80::1]",
        "http://[2001:db8::1]",
    ],
)
def test_base_url_with_plain_http_to_other_host_needs_insecure_http(url: str) -> None:
    """The client does not send the token over an unencrypted network unless the caller sets insecure_http."""
    with pytest.raises(exporter.ConfigError, match="plain http would show the token"):
        intercom(base_url=url)
    assert intercom(base_url=url, insecure_http=True).base_url == url.lower()


@pytest.mark.parametrize(
    "settings",
    [
        {"region": "uk"},
        {"region": ""},
        {"region": "EU"},
        {"region": "eu", "base_url": "https://api.intercom.io"},
        *(
            {"base_url": url}
            for url in (
                "",
                "api.intercom.io",
                "//api.intercom.io",
                "ftp://api.intercom.io",
                "file:///etc",
                "https://",
                "https:///contacts",
                "https://:443",
                f"https://{TOKEN}@api.intercom.io",
                f"https://user:{TOKEN}@api.intercom.io",
                "https://@api.intercom.io",
                "http://user@127.0.0.1",
                f"https://api.intercom.io?token={TOKEN}",
                "https://api.intercom.io?",
                "https://api.intercom.io/?/",
                f"https://api.intercom.io#{TOKEN}",
                "https://api.intercom.io#",
                "https://api.intercom.io:port",
                "https://api.intercom.io:99999",
                "https://[::1",
                "http://[::1]x:1",
                "http://x[::1]:1",
                "http://[::1% x]:1",
                "https://[::1]:x",
                "https://api.intercom.io/a b",
                "https://api.intercom.io/\n",
                "https://api.intercom.io/\x00",
                " https://api.intercom.io",
                "https://bücher.example",
                'https://api.intercom.io/"',
                "https://api.intercom.io\\@evil.example",
                "https://api.intercom.io/{id}",
                "https://api..intercom.io",
                "https://api.intercom.io,example.test",
                "https://api%2eintercom.io",
                "https://*.intercom.io",
                f"https://{'a.' * 127}example",
                "https://api.intercom.io:0",
            )
        ),
    ],
    ids=repr,
)
def test_invalid_base_url_is_refused_without_quoting_it(settings: dict[str, str]) -> None:
    """The constructor refuses it, and the message contains no secret."""
    with pytest.raises(exporter.ConfigError) as caught:
        intercom(**settings)
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("path", ["/contacts", "/contacts/", "/Contacts//", "/gateway/contacts"])
def test_base_url_that_ends_in_contacts_is_refused(path: str) -> None:
    """The client adds the endpoint to the base URL: if it is already there, each request has a wrong path."""
    with pytest.raises(exporter.ConfigError, match="must end before '/contacts'"):
        intercom(base_url=f"https://api.intercom.io{path}")
    assert intercom(base_url=f"https://api.intercom.io{path}-of-mine").base_url.endswith("-of-mine")
