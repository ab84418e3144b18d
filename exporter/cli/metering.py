"""Metrics of one run: served while it lasts, and left in a file for the node exporter's textfile collector."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.cli.exits import BUG, COMPLETE
from exporter.cli.settings import MetricsOptions
from exporter.errors import ConfigError
from exporter.extras import prometheus_client
from exporter.layout.data_file import open_regular
from exporter.observe.events import Observer, null_observer
from exporter.observe.logging import logger
from exporter.observe.prometheus import Metrics

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_WRITE_EVERY_S, _LONGEST_WRITE_S = 15.0, 5.0
_LARGEST_FILE_BYTES = 1 << 20
_SUCCESS = "intercom_exporter_last_success_timestamp_seconds"


class Meter:
    """Observes one run, and knows how it ended.

    Args:
        observer: counts events.

    Attributes:
        exit_code: of the run, once it has one.
    """

    exit_code = BUG

    def __init__(self, observer: Observer = null_observer) -> None:
        self.observer = observer


@contextmanager
def metered(options: MetricsOptions, output: str, *, quiet: bool) -> Iterator[Meter]:
    """Keep the metrics that the options ask for, while the block lasts.

    Raises:
        ConfigError: they cannot be served or written there.
    """
    if options.metrics_port is None and options.metrics_file is None:
        yield Meter()
        return
    if options.metrics_port == 0 and quiet:
        raise ConfigError("--metrics-port 0 takes any free port, and --quiet would not tell which: name one")
    # A name need not be text; a label has to be.
    name = "stdout" if output == "-" else output.encode(errors="backslashreplace").decode()
    registry = prometheus_client().CollectorRegistry()
    meter = Meter(Metrics(registry).observer(name))
    ending = _Ending(registry, name)
    with _served(options, registry), _kept(options.metrics_file, registry, ending):
        try:
            yield meter
        finally:
            ending.ended(meter.exit_code)


class _Ending:
    """Gauges about the run as a whole."""

    def __init__(self, registry: "CollectorRegistry", output: str) -> None:
        self.output = output
        self._registry = registry
        self._began_at = time.time()
        self._ended_at = self._gauge("last_end_timestamp_seconds", "When the latest run ended.")
        self._duration = self._gauge("last_duration_seconds", "Seconds that the latest run took.")
        self.succeeded_at = self._gauge(
            "last_success_timestamp_seconds", "When a run last ended with a complete output."
        )
        self._gauge("last_start_timestamp_seconds", "When the latest run began.").set(self._began_at)
        self._running = self._gauge("running", "1 while it runs.")
        self._running.set(1)

    def ended(self, exit_code: int) -> None:
        """Take note of the end; there is no exit code before it."""
        now = time.time()
        self._running.set(0)
        self._gauge("last_exit_code", "Exit code of the run, once it has ended; 0 is complete.").set(exit_code)
        self._ended_at.set(now)
        self._duration.set(now - self._began_at)
        if exit_code == COMPLETE:
            self.succeeded_at.set(now)

    def _gauge(self, name: str, what: str) -> Any:
        gauge = prometheus_client().Gauge(f"intercom_exporter_{name}", what, ("output",), registry=self._registry)
        return gauge.labels(self.output)


@contextmanager
def _served(options: MetricsOptions, registry: "CollectorRegistry") -> Iterator[None]:
    """Serve the metrics over HTTP, if that is asked for."""
    if options.metrics_port is None:
        yield
        return
    from exporter.cli.serving_metrics import MetricsServer

    host = options.metrics_host
    try:
        server = MetricsServer(host, options.metrics_port, prometheus_client().make_wsgi_app(registry))
    except (OSError, OverflowError, UnicodeError) as exc:
        raise ConfigError(f"metrics cannot be served at {host!r} port {options.metrics_port}: {exc}") from exc
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{server.server_port}/metrics"
    logger.info("metrics at %s", address, extra={"metrics_address": address})
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _kept(name: str | None, registry: "CollectorRegistry", ending: _Ending) -> Iterator[None]:
    """Keep the metrics in a file, if that is asked for: from a thread, since nobody waits for a disk with metrics."""
    if name is None:
        yield
        return
    if not name.endswith(".prom"):
        raise ConfigError(f"the metrics file {name!r} must end with .prom: the node exporter reads no others")
    if "\0" in name:
        raise ConfigError("the metrics file cannot be written: there is no such name")
    if not os.access(Path(name).parent, os.W_OK):
        raise ConfigError(f"the folder of the metrics file {name!r} is not there, or not writable")
    file = _TextFile(Path(name), registry)
    ending.succeeded_at.set(file.last_success_of(ending.output))
    over = threading.Event()
    thread = threading.Thread(target=file.keep_writing, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_LONGEST_WRITE_S)


class _TextFile:
    """The metrics in a file, which is replaced as a whole each time."""

    def __init__(self, path: Path, registry: "CollectorRegistry") -> None:
        self._path = path
        self._registry = registry
        self._has_failed = False

    def last_success_of(self, output: str) -> float:
        """When, according to the file that is there, a run for an output was complete; 0 for never."""
        from prometheus_client.parser import text_string_to_metric_families

        try:
            with open_regular(self._path) as file:
                text = file.read(_LARGEST_FILE_BYTES).decode()
            samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        except (OSError, ValueError, KeyError, IndexError):
            return 0.0
        found = (s.value for s in samples if s.name == _SUCCESS and s.labels.get("output") == output)
        return next(found, 0.0)

    def keep_writing(self, over: threading.Event) -> None:
        """Write it now, every so often, and when it is over."""
        self._write()
        while not over.wait(_WRITE_EVERY_S):
            self._write()
        self._write()

    def _write(self) -> None:
        """Write it; an export does not fail where that fails."""
        try:
            prometheus_client().write_to_textfile(str(self._path), self._registry)
        except (OSError, UnicodeError) as exc:
            if not self._has_failed:
                logger.warning("the metrics file %r cannot be written: %s", str(self._path), exc)
            self._has_failed = True
