"""What stands between a client and an API: a certificate authority, a relay, and a proxy."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.server import RawServer, Script, read_head

HOST = "api.example.test"
"""A name that no resolver knows; the proxies here lead to the API from it."""

_DAY = timedelta(days=1)


class Authority:
    """A certificate authority that no system trusts.

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


def relay_to(port: int) -> Script:
    """Return a script that passes everything on to a port of this machine, and back."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            onward = asyncio.create_task(_pump(reader, onward_writer))
            await _pump(onward_reader, writer)
            onward.cancel()
        finally:
            onward_writer.close()

    return serve


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


class Proxy(RawServer):
    """An HTTP proxy that leads everywhere to one port.

    Args:
        target_port: of the API.
        refusal: what it answers instead of opening a tunnel, b"" to hang up.
        refusals: how often it does; always without it.
        lines: headers of its answer that opens a tunnel.
        tls: its TLS settings, if it speaks TLS.

    Attributes:
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
        self.heads: list[str] = []
        self._target_port = target_port
        self._refusal = refusal
        self._refusals = refusals
        self._lines = lines

    def url(self, credentials: str = "") -> str:
        """Return its address, with credentials."""
        return self.base_url.replace("://", f"://{credentials}")

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        self.heads.append(head.decode("latin-1"))
        if self._refusal is not None and (self._refusals is None or len(self.heads) <= self._refusals):
            writer.write(self._refusal)
            await writer.drain()
            return
        assert head.startswith(b"CONNECT ")
        writer.write(f"HTTP/1.1 200 Connection established\r\n{self._lines}\r\n".encode())
        await relay_to(self._target_port)(reader, writer)


@contextmanager
def closed_port() -> Iterator[int]:
    """Name a port that refuses connections, for the length of a block."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
