"""What stands between a client and an API: a certificate authority, servers with TLS, and a proxy that records."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOST = "api.example.test"
"""A name that no resolver knows; the proxies here lead to the API from it."""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_DAY = timedelta(days=1)


class Authority:
    """A certificate authority that nobody trusts.

    Attributes:
        file: its certificate, as PEM.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "authority.pem"
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an authority of these tests")])
        builder = self._builder(self._name, self._key, -_DAY, _DAY).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        usage = {"key_cert_sign": True, "crl_sign": True, "digital_signature": True}
        others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
        usage |= dict.fromkeys((*others, "encipher_only", "decipher_only"), False)
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
        self.file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def server(self, name: str = HOST, since: timedelta = -_DAY, until: timedelta = _DAY) -> ssl.SSLContext:
        """Issue a certificate for a name or an address; return the TLS settings of a server that has it."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        try:
            named: x509.GeneralName = x509.IPAddress(ip_address(name))
        except ValueError:
            named = x509.DNSName(name)
        builder = self._builder(subject, key, since, until).add_extension(
            x509.SubjectAlternativeName([named]), critical=False
        )
        path = self._folder / f"server-{key.private_numbers().private_value}.pem"
        path.write_bytes(
            builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, since: timedelta, until: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + since)
            .not_valid_after(now + until)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


class Server:
    """Serves connections on this machine, as an asynchronous context manager.

    Args:
        serve: called with each connection.
        tls: its TLS settings, if it speaks TLS.

    Attributes:
        port: where.
        connections: how many there were.
    """

    def __init__(self, serve: Serve, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.connections = 0
        self._serve = serve
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._tasks.add(asyncio.get_running_loop().create_task(self._run(reader, writer)))

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def relay_to(port: int, received: bytearray | None = None) -> Serve:
    """Serve connections by passing everything on to a port of this machine; `received` records what clients send."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            onward = asyncio.create_task(_pump(reader, onward_writer, received))
            await _pump(onward_reader, writer, None)
            onward.cancel()
        finally:
            onward_writer.close()

    return serve


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: bytearray | None) -> None:
    try:
        while data := await reader.read(65_536):
            if record is not None:
                record += data
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


class Proxy(Server):
    """An HTTP proxy that records every byte it is sent, and leads everywhere to one port.

    Args:
        target_port: of the API.
        refusal: what it answers instead of opening a tunnel, b"" to hang up.
        refusals: how often it does; always without it.
        lines: headers of its answer that opens a tunnel.
        tls: its TLS settings, if it speaks TLS.

    Attributes:
        received: everything that clients sent to it, before and in tunnels.
        heads: the head of the first request of each connection.
    """

    def __init__(
        self,
        target_port: int = 0,
        *,
        refusal: bytes | None = None,
        refusals: int | None = None,
        lines: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(self._tunnel, tls)
        self.received = bytearray()
        self.heads: list[str] = []
        self._target_port = target_port
        self._refusal = refusal
        self._refusals = refusals
        self._lines = lines

    def url(self, credentials: str = "") -> str:
        """Return its address."""
        return f"{'https' if self._tls else 'http'}://{credentials}127.0.0.1:{self.port}"

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.received += head
        self.heads.append(head.decode("latin-1"))
        if self._refusal is not None and (self._refusals is None or len(self.heads) <= self._refusals):
            writer.write(self._refusal)
            await writer.drain()
            return
        assert head.startswith(b"CONNECT ")
        writer.write(f"HTTP/1.1 200 Connection established\r\n{self._lines}\r\n".encode())
        await relay_to(self._target_port, self.received)(reader, writer)


@contextmanager
def closed_port() -> Iterator[int]:
    """Name a port that refuses connections, for the length of a block."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
