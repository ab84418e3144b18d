"""A server on a raw socket: it sends exactly the bytes of its script, and records every byte that it receives."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Literal, Self, SupportsIndex

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
End = Literal["close", "half-close", "keep", "reset", "stall"]
MAX_HEAD_BYTES = 4 << 20
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time


class _RecordingReader(asyncio.StreamReader):
    """A stream that keeps a copy of everything that it receives."""

    def __init__(self) -> None:
        super().__init__(limit=MAX_HEAD_BYTES)
        self.received = bytearray()

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        """Record what the client sent."""
        self.received.extend(data)
        super().feed_data(data)


class RawServer:
    """Serves connections on this machine, at a port that the system chooses, as an asynchronous context manager.

    Args:
        script: called with each connection, which is closed when it returns.
        tls: its TLS settings, if it speaks TLS.

    Attributes:
        port: its port.
        open: how many connections are open.
        all_closed: set while no connection is open.
    """

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self._received: list[bytearray] = []
        self.open = 0
        self.all_closed = asyncio.Event()
        self._script = script
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """Its address."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections there were."""
        return len(self._received)

    @property
    def received(self) -> bytes:
        """Every byte that clients sent, one connection after the other."""
        return b"".join(self._received)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        reader = _RecordingReader()
        return asyncio.StreamReaderProtocol(reader, lambda _, writer: self._connected(reader, writer))

    def _connected(self, reader: _RecordingReader, writer: asyncio.StreamWriter) -> None:
        self._received.append(reader.received)
        self._tasks.add(asyncio.get_running_loop().create_task(self._run(reader, writer)))

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.all_closed.clear()
        try:
            await self._script(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self.open -= 1
            if not self.open:
                self.all_closed.set()


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """Read the request line and the headers of a request."""
    return await reader.readuntil(b"\r\n\r\n")


async def send_pieces(writer: asyncio.StreamWriter, pieces: Iterable[bytes], pause_s: float = 0) -> None:
    """Send pieces one by one, with a pause after each."""
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(pause_s)


async def end_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, end: End) -> None:
    """End a connection.

    Args:
        reader: its incoming stream.
        writer: its outgoing stream.
        end: ``close`` and ``keep`` do nothing here; ``reset`` discards unsent bytes; ``half-close`` closes the outgoing
            stream; ``half-close`` and ``stall`` wait until the client disconnects.
    """
    if end == "reset":
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        writer.transport.abort()
    if end == "half-close":
        writer.write_eof()
    if end in {"half-close", "stall"}:
        await reader.read()


def send(*pieces: bytes, endless: bytes = b"", end: End = "close") -> Script:
    """Return a script: read one request, send these pieces, end the connection.

    Args:
        pieces: sent one by one.
        endless: sent after them again and again, until the client disconnects.
        end: how the connection ends.
    """

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await send_pieces(writer, pieces)
        while endless and not writer.is_closing():
            await send_pieces(writer, [endless])
        await end_connection(reader, writer, end)

    return script


def send_in_turn(*responses: bytes) -> Script:
    """Return a script: read one request and close; the first connection gets the first response, and so on."""
    remaining = iter(responses)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await send_pieces(writer, [next(remaining, b"")])

    return script
