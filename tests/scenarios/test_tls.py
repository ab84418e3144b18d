"""TLS with the API: private authorities, certificates that are wrong, and the wrong scheme."""

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

import exporter
from exporter.source.certificates import trusted_authorities
from tests.scenarios.network import HOST, Authority, relay_to
from tests.support.server import RawServer

TOKEN = "dG9rOnRlc3Q="
HERE = "127.0.0.1"
QUICK = exporter.RetryPolicy(request_timeout_s=20, initial_backoff_s=0.001, max_attempts=6)


@pytest.fixture(autouse=True)
def _no_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def api(tls: ssl.SSLContext) -> AsyncIterator[RawServer]:
    """Serve a sandbox behind TLS."""
    async with exporter.Sandbox(20, token=TOKEN) as sandbox:
        async with RawServer(relay_to(int(sandbox.base_url.rpartition(":")[2])), tls) as front:
            yield front


async def first_page(base_url: str) -> tuple[exporter.Page, int]:
    """Ask for a page; return it and how many requests it took."""
    async with exporter.Intercom(TOKEN, base_url=base_url, retry_policy=QUICK) as intercom:
        pages = intercom.pages()
        return await anext(pages), pages.traffic.requests


async def ending(base_url: str) -> exporter.SourceError:
    """Return what asking for a page ends with; it has no text of the HTTP library's."""
    with pytest.raises(exporter.SourceError) as caught:
        await first_page(base_url)
    assert str(caught.value).startswith("the connection failed: ")
    assert "ssl:" not in str(caught.value)
    assert caught.value.status is None
    return caught.value


async def test_private_authority_is_trusted_by_file(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_FILE counts when the client is opened."""
    async with api(authority.server(HERE)) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        page, _ = await first_page(f"https://{HERE}:{server.port}")
    assert len(page.records) == 20


def hash_of(certificate: Path) -> str:
    """Return the name that OpenSSL looks for; without its command that is not to be had."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("needs openssl")
    return subprocess.check_output([openssl, "x509", "-noout", "-hash", "-in", certificate], text=True).strip()


async def test_private_authority_is_trusted_by_folder(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_DIR counts as OpenSSL reads it: by names that are hashes; one of several folders is enough."""
    shutil.copy(authority.file, tmp_path / f"{hash_of(authority.file)}.0")
    async with api(authority.server(HERE)) as server:
        monkeypatch.setenv("SSL_CERT_DIR", f"/nonexistent:{tmp_path}")
        page, _ = await first_page(f"https://{HERE}:{server.port}")
    assert len(page.records) == 20


async def test_untrusted_certificate_ends_at_once(authority: Authority) -> None:
    """No other attempt, and a line that says how to trust a private authority."""
    async with api(authority.server(HERE)) as server:
        error = await ending(f"https://{HERE}:{server.port}")
        assert type(error) is exporter.ApiError
        assert f"the TLS certificate of {HERE}:{server.port} is not trusted" in str(error)
        assert "SSL_CERT_FILE" in str(error)
        assert "SSL_CERT_DIR" in str(error)


DAY = timedelta(days=1)
WRONG = {
    "another name": (HOST, -DAY, DAY, "is for another name: check the base URL"),
    "another address": ("127.0.0.2", -DAY, DAY, "is for another name: check the base URL"),
    "expired": (HERE, -2 * DAY, -DAY, "has expired, or this machine's clock is wrong"),
    "not valid yet": (HERE, DAY, 2 * DAY, "is not valid yet, or this machine's clock is wrong"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_wrong_certificate_ends_at_once(
    wrong: tuple[str, timedelta, timedelta, str], authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line says what is wrong with the certificate."""
    name, since, until, message = wrong
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with api(authority.server(name, since, until)) as server:
        error = await ending(f"https://{HERE}:{server.port}")
    assert type(error) is exporter.ApiError
    assert message in str(error)


async def test_https_to_a_port_without_tls_ends_at_once() -> None:
    """A server that answers in plain text will not speak TLS later either."""
    async with exporter.Sandbox(1) as sandbox:
        error = await ending(sandbox.base_url.replace("http://", "https://"))
        assert type(error) is exporter.ApiError
        assert "does not speak TLS: check the scheme and the port of the base URL" in str(error)


async def test_http_to_a_port_with_tls_ends_at_once(authority: Authority) -> None:
    """Also where the server hangs up without a word, which is found out with one handshake."""
    async with api(authority.server(HERE)) as server:
        error = await ending(f"http://{HERE}:{server.port}")
        assert type(error) is exporter.ApiError
        assert "speaks TLS: its address must begin with https://" in str(error)
        assert server.connections <= 1  # none but the handshake's was one for the server


NOTES = {
    "nginx": b"<html><center>The plain HTTP request was sent to HTTPS port</center></html>",
    "Go": b"Client sent an HTTP request to an HTTPS server.\n",
    "Apache": b"<p>You're speaking plain HTTP to an SSL-enabled server port.<br /></p>",
}


@pytest.mark.parametrize("note", NOTES.values(), ids=NOTES)
async def test_note_that_a_port_expects_tls_is_understood(note: bytes) -> None:
    """Web servers answer plain http there with a 400 of their own."""
    async with RawServer(
        answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%b" % (len(note), note))
    ) as server:
        error = await ending(f"http://{HERE}:{server.port}")
        assert server.connections == 1
    assert type(error) is exporter.ApiError
    assert "speaks TLS: its address must begin with https://" in str(error)


def answering(answer: bytes) -> Any:
    """Serve connections with one answer, whatever is asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(9)
        writer.write(answer)
        await writer.drain()
        await reader.read()

    return serve


ALERTS = {"handshake failure": 40, "unrecognized name": 112, "protocol version": 70, "insufficient security": 71}


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
async def test_disagreement_about_tls_ends_at_once(alert: int) -> None:
    """What two ends cannot agree on now they will not agree on later."""
    async with RawServer(answering(bytes((21, 3, 3, 0, 2, 2, alert)))) as server:
        error = await ending(f"https://{HERE}:{server.port}")
        assert server.connections == 1
    assert type(error) is exporter.ApiError
    assert "do not agree on TLS" in str(error)


@pytest.mark.parametrize("answer", [b"", bytes((21, 3, 3, 0, 2, 2, 80))], ids=["hanging up", "internal error"])
async def test_handshake_that_breaks_off_is_tried_again(answer: bytes) -> None:
    """A server that restarts, or has an error of its own, may get over it."""
    if answer:
        serve = answering(answer)
    else:

        async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await reader.read(9)

    async with RawServer(serve) as server:
        error = await ending(f"https://{HERE}:{server.port}")
        assert server.connections == 6
    assert type(error) is exporter.RetriesExhausted


@pytest.mark.parametrize(
    ("number", "name", "attempts"),
    [
        (socket.EAI_NONAME, "is unknown: check the base URL", 4),
        (socket.EAI_AGAIN, "cannot be looked up at the moment", 6),
    ],
    ids=["unknown", "no name server"],
)
async def test_host_that_is_not_found_is_tried_as_often_as_makes_sense(
    number: int, name: str, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that nobody knows ends after a few attempts, a name server that is away may come back."""

    def fail(*_arguments: Any, **_named: Any) -> None:
        raise socket.gaierror(number, "a text of the system's")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    error = await ending(f"https://{HOST}")
    assert type(error) is (exporter.ApiError if attempts == 4 else exporter.RetriesExhausted)
    assert f"the host name {HOST} {name}; gave up after {attempts} attempts" in str(error)


UNUSABLE = {
    "missing": ("SSL_CERT_FILE", "/nonexistent/S3CRET.pem", "cannot be read: No such file or directory"),
    "a folder": ("SSL_CERT_FILE", "/", "cannot be read"),
    "no certificates": ("SSL_CERT_FILE", __file__, "has no certificates in PEM form"),
    "missing folder": ("SSL_CERT_DIR", "/nonexistent", "which is no folder"),
    "overlong folder": ("SSL_CERT_DIR", "/" + "x" * 5_000, "which is no folder"),
}


@pytest.mark.parametrize(("variable", "value", "message"), UNUSABLE.values(), ids=UNUSABLE)
async def test_unusable_authorities_are_refused_before_any_request(
    variable: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong path would otherwise show as a certificate that nobody trusts."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(exporter.ConfigError, match=message) as caught:
        async with exporter.Intercom(TOKEN):
            pass
    assert str(caught.value).startswith(variable)
    async with exporter.Sandbox(1) as sandbox, exporter.Intercom(sandbox.token, base_url=sandbox.base_url) as intercom:
        await anext(intercom.pages())  # plain http needs none


@pytest.mark.parametrize(
    ("failure", "message"),
    [(ssl.SSLError(1, "bad"), "has no certificates"), (OSError(13, "Permission denied"), "cannot be read: Permission")],
)
def test_authorities_of_a_folder_that_cannot_be_loaded_name_its_variable(
    failure: Exception, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without SSL_CERT_FILE the message is about SSL_CERT_DIR."""

    def fail(**_arguments: Any) -> None:
        raise failure

    monkeypatch.setattr(ssl, "create_default_context", fail)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with pytest.raises(exporter.ConfigError, match=f"SSL_CERT_DIR names '{tmp_path}', which {message}"):
        trusted_authorities()


def test_command_names_a_file_for_tls_keys_that_cannot_be_written(command: Any) -> None:
    """Python itself opens it when it prepares TLS: that is no fault of stdout."""
    done = command.run("contacts", INTERCOM_ACCESS_TOKEN=TOKEN, SSLKEYLOGFILE="/nonexistent/keys")
    assert (done.returncode, done.stderr) == (
        2,
        b"intercom-exporter: '/nonexistent/keys' cannot be used: No such file or directory\n",
    )


@pytest.mark.parametrize(
    ("certificates", "code", "message"),
    [("trusted", 0, b""), (None, 4, b"SSL_CERT_FILE"), ("/nonexistent", 2, b"SSL_CERT_FILE names '/nonexistent'")],
)
async def test_command_trusts_what_the_environment_names(
    certificates: str | None, code: int, message: bytes, authority: Authority, command: Any
) -> None:
    """Its exit codes: 0 with the authority, 4 without it, 2 with a wrong path; one line each."""
    async with api(authority.server(HERE)) as server:
        environment = {"INTERCOM_ACCESS_TOKEN": TOKEN}
        if certificates:
            environment["SSL_CERT_FILE"] = str(authority.file) if certificates == "trusted" else certificates
        url = f"https://{HERE}:{server.port}"
        done = await anyio.to_thread.run_sync(lambda: command.run("contacts", "-q", "--base-url", url, **environment))
    assert (done.returncode, done.stderr.count(b"\n")) == (code, bool(message))
    assert message in done.stderr
