"""Errors about arguments: the library names its keyword, the command its option, variable or setting."""

from collections.abc import Callable
from typing import Any

import pytest

import exporter
from exporter.options import ExportOptions
from exporter.validation import MAX_CONTACTS

TOKEN = "dG9rOnRlc3Q="


def _intercom(**settings: Any) -> exporter.Intercom:
    return exporter.Intercom(TOKEN, **settings)


def _retry_policy(**settings: Any) -> exporter.Intercom:
    return _intercom(retry_policy=exporter.RetryPolicy(**settings))


WRONG: list[tuple[Callable[..., Any], str, Any]] = [
    (_intercom, "per_page", 0),
    (_intercom, "per_page", 151),
    (_intercom, "per_page", 1.5),
    (_intercom, "reserve_percent", float("nan")),
    (_intercom, "reserve_percent", 91),
    (_intercom, "api_version", "2.99"),
    (_intercom, "region", "mars"),
    (_intercom, "base_url", "ftp://api.intercom.io"),
    *(
        (_retry_policy, name, 0)
        for name in ("request_timeout_s", "idle_timeout_s", "max_attempts", "initial_backoff_s")
    ),
    *((_retry_policy, name, float("nan")) for name in ("page_budget_s", "run_budget_s")),
    (_retry_policy, "request_timeout_s", float("inf")),
    *((_retry_policy, "max_attempts", value) for value in (2.5, 2.0, -1, True, "3", None, float("inf"))),
    (ExportOptions, "consumers", 0),
    (ExportOptions, "consumers", 10**9),
    (ExportOptions, "queue_pages", 10**9),
    (ExportOptions, "max_contacts", 10**30),
    (ExportOptions, "part_contacts", 0),
    (ExportOptions, "part_contacts", MAX_CONTACTS + 1),
    (ExportOptions, "part_bytes", 10**30),
    (ExportOptions, "min_free_bytes", -1),
    (ExportOptions, "checkpoint_every_s", float("inf")),
    (lambda **settings: exporter.ListExpansion(("tags",), **settings), "concurrency", 0),
    (exporter.ListExpansion, "lists", ("nope",)),
    (exporter.FieldSelection, "fields", ("a..",)),
    (lambda **settings: exporter.FieldSelection(pseudonymise=("email",), **settings), "key", b"short"),
]


@pytest.mark.parametrize(("make", "keyword", "value"), WRONG)
def test_library_error_about_an_argument_names_its_keyword(
    make: Callable[..., Any], keyword: str, value: object
) -> None:
    """The sentence begins with the keyword, says a range that makes sense, and the error knows the keyword."""
    with pytest.raises(exporter.ConfigError) as caught:
        make(**{keyword: value})
    assert str(caught.value).startswith(keyword)
    assert caught.value.keywords == (keyword,)
    assert "9007199254740992" not in str(caught.value).replace(",", "")
    assert "9223372036854775808" not in str(caught.value).replace(",", "")


def test_command_puts_options_in_the_place_of_keywords(command: Any) -> None:
    """What only the library checks is told in the command's own names, wherever the value came from."""
    token = {"INTERCOM_ACCESS_TOKEN": TOKEN}
    (command.folder / "settings.toml").write_text('base-url = "http://example.com"\n')
    (command.folder / "key").write_bytes(b"short")
    (command.folder / "key").chmod(0o600)
    key = ("--pseudonymise=email", "--key-file=key")
    told = {
        "--insecure-http": command.run("contacts", "--base-url=http://example.com", **token),
        "--api-version must be": command.run("contacts", "--api-version=2.99", **token),
        "--base-url must look": command.run("contacts", "--base-url=nowhere", **token),
        "INTERCOM_EXPORTER_BASE_URL must look": command.run("check", INTERCOM_EXPORTER_BASE_URL="nowhere", **token),
        "base-url in 'settings.toml' with plain http": command.run("check", "--config=settings.toml", **token),
        "give --region or --base-url": command.run("check", "--region=eu", "--base-url=https://a.b", **token),
        "--key-file must have at least 16 bytes": command.run("demo", *key),
        "--expand must be any of tags, ": command.run("demo", "--expand=nope"),
        "--fault contains the invalid fault 'x'": command.run("sandbox", "--fault=x"),
        "--csv-raw requires a CSV output": command.run("demo", "--csv-raw"),
    }
    for hint, done in told.items():
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1), (hint, done.stderr)
        assert hint in done.stderr.decode(), (hint, done.stderr)
        assert b"_" not in done.stderr.replace(b"INTERCOM_EXPORTER_BASE_URL", b"").partition(b"names:")[0]


@pytest.mark.parametrize(
    ("token", "advice"),
    [
        (f'"{TOKEN}"', "quotes"),
        (f"'{TOKEN}'\n", "quotes"),
        (f'"{TOKEN}', "quotes"),
        (f"“{TOKEN}”", "quotes"),
        (f"Bearer {TOKEN}", "Bearer"),
        (f"{TOKEN} x", "nothing else"),
    ],
)
def test_token_that_cannot_be_one_gets_fitting_advice(token: str, advice: str) -> None:
    """Env files keep a token in quotes; nothing of it is shown."""
    with pytest.raises(exporter.ConfigError, match=advice) as caught:
        exporter.Intercom(token)
    assert "dG9r" not in str(caught.value)


def test_token_in_quotes_in_a_file_gets_that_advice(command: Any) -> None:
    """From wherever the command takes it."""
    path = command.folder / "token"
    path.write_text(f'"{TOKEN}"\n')
    path.chmod(0o600)
    done = command.run("contacts", "--token-file=token")
    assert (done.returncode, b"quotes" in done.stderr, done.stderr.count(b"\n")) == (2, True, 1)
