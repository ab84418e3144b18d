"""An HTTP server for metrics that nobody who connects to it can make talk, wait or grow."""

import io
import socket
from collections.abc import Callable
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

_LONGEST_REQUEST_S = 5
_MOST_CONNECTIONS = 16


class _Handler(WSGIRequestHandler):
    """Answers, and says nothing on stderr about those who ask oddly."""

    timeout = _LONGEST_REQUEST_S

    def log_message(self, *_arguments: Any) -> None:
        """Keep no log."""

    def get_stderr(self) -> Any:
        """Give what errors of an application are written to."""
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
        self._free = BoundedSemaphore(_MOST_CONNECTIONS)
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        super().__init__((host, port), _Handler)
        self.set_app(application)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if one is free."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, *_arguments: Any) -> None:
        """Say nothing of connections that break."""
