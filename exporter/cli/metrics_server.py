"""An HTTP server for metrics: bounded in time, connections and memory, and silent, whatever clients send."""

import io
import socket
from collections.abc import Callable
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

_MAX_REQUEST_S = 5
_MAX_CONNECTIONS = 16


class _Handler(WSGIRequestHandler):
    """Responds, and prints nothing on stderr about malformed requests."""

    timeout = _MAX_REQUEST_S

    def log_message(self, *_arguments: Any) -> None:
        """Log nothing."""

    def get_stderr(self) -> Any:
        """Return where errors of an application are written to: nowhere."""
        return io.StringIO()


class MetricsServer(ThreadingMixIn, WSGIServer):
    """Serves an application; more than a few connections at a time are closed at once.

    Args:
        host: an address of this machine.
        port: 0 takes a free one.
        application: of WSGI.

    Raises:
        OSError: it cannot listen there.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, application: Callable[..., Any]) -> None:
        self._free_slots = BoundedSemaphore(_MAX_CONNECTIONS)
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        super().__init__((host, port), _Handler)
        self.set_app(application)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Respond in a thread, if one is free."""
        if self._free_slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Respond."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free_slots.release()

    def handle_error(self, *_arguments: Any) -> None:
        """Print nothing about connections that break."""
