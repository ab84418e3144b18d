"""Metrics of one run: served while it lasts, and written to a file for the node exporter's textfile collector."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.cli.exit_codes import COMPLETE, INTERNAL_ERROR
from exporter.cli.options import MetricsOptions
from exporter.errors import ConfigError
from exporter.extras import prometheus_client
from exporter.layout.data_file import open_regular
from exporter.observe.events import Observer, null_observer
from exporter.observe.logging import logger
from exporter.observe.prometheus import Metrics

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_WRITE_INTERVAL_S, _MAX_WRITE_S = 15.0, 5.0
_MAX_FILE_BYTES = 1 << 20
_SUCCESS_GAUGE = "intercom_exporter_last_success_timestamp_seconds"


class RunMetrics:
    """Counts the events of one run, and holds its exit code.

    Args:
        observer: counts events.

    Attributes:
        exit_code: of the run, once it has one.
    """

    exit_code = INTERNAL_ERROR

    def __init__(self, observer: Observer = null_observer) -> None:
        self.observer = observer


@contextmanager
def run_metrics(options: MetricsOptions, output: str, *, quiet: bool) -> Iterator[RunMetrics]:
    """Serve and write the metrics that the options ask for, while the block lasts.

    Raises:
        ConfigError: they cannot be served or written there.
    """
    if options.metrics_port is None and options.metrics_file is None:
        yield RunMetrics()
        return
    if options.metrics_port == 0 and quiet:
        raise ConfigError("--metrics-port 0 picks a free port that --quiet would hide: choose a port")
    # A path may hold any bytes; a label is text.
    name = "stdout" if output == "-" else output.encode(errors="backslashreplace").decode()
    registry = prometheus_client().CollectorRegistry()
    metrics = RunMetrics(Metrics(registry).observer(name))
    gauges = _RunGauges(registry, name)
    with _metrics_server(options, registry), _metrics_file(options.metrics_file, registry, gauges):
        try:
            yield metrics
        finally:
            gauges.on_end(metrics.exit_code)


class _RunGauges:
    """Gauges about the run as a whole."""

    def __init__(self, registry: "CollectorRegistry", output: str) -> None:
        self.output = output
        self._registry = registry
        self._started_at = time.time()
        self._ended_at = self._gauge("last_end_timestamp_seconds", "When the latest run ended.")
        self._duration = self._gauge("last_duration_seconds", "Seconds that the latest run took.")
        self.succeeded_at = self._gauge(
            "last_success_timestamp_seconds", "When a run last ended with a complete output."
        )
        self._gauge("last_start_timestamp_seconds", "When the latest run began.").set(self._started_at)
        self._running = self._gauge("running", "1 while it runs.")
        self._running.set(1)

    def on_end(self, exit_code: int) -> None:
        """Record the end and the exit code."""
        now = time.time()
        self._running.set(0)
        self._gauge("last_exit_code", "Exit code of the run, once it has ended; 0 is complete.").set(exit_code)
        self._ended_at.set(now)
        self._duration.set(now - self._started_at)
        if exit_code == COMPLETE:
            self.succeeded_at.set(now)

    def _gauge(self, name: str, what: str) -> Any:
        gauge = prometheus_client().Gauge(f"intercom_exporter_{name}", what, ("output",), registry=self._registry)
        return gauge.labels(self.output)


@contextmanager
def _metrics_server(options: MetricsOptions, registry: "CollectorRegistry") -> Iterator[None]:
    """Serve the metrics over HTTP, if the options ask for that."""
    if options.metrics_port is None:
        yield
        return
    from exporter.cli.metrics_server import MetricsServer

    host = options.metrics_host
    try:
        server = MetricsServer(host, options.metrics_port, prometheus_client().make_wsgi_app(registry))
    except (OSError, OverflowError, UnicodeError) as exc:
        raise ConfigError(f"metrics cannot be served at {host!r} port {options.metrics_port}: {exc}") from exc
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    host_in_url = f"[{host}]" if ":" in host else host
    address = f"http://{host_in_url}:{server.server_port}/metrics"
    logger.info("metrics at %s", address, extra={"metrics_address": address})
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _metrics_file(name: str | None, registry: "CollectorRegistry", gauges: _RunGauges) -> Iterator[None]:
    """Write the metrics to a file, if one is set: from a thread, so that the export does not wait for the disk."""
    if name is None:
        yield
        return
    if not name.endswith(".prom"):
        raise ConfigError(f"the metrics file {name!r} must end with .prom: the node exporter reads no others")
    if "\0" in name:
        raise ConfigError("the metrics file cannot be written: invalid path")
    if not os.access(Path(name).parent, os.W_OK):
        raise ConfigError(f"the folder of the metrics file {name!r} does not exist, or is not writable")
    file = _TextFile(Path(name), registry)
    gauges.succeeded_at.set(file.last_success_of(gauges.output))
    stop = threading.Event()
    thread = threading.Thread(target=file.keep_writing, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_MAX_WRITE_S)


class _TextFile:
    """A file of metrics, which is replaced each time."""

    def __init__(self, path: Path, registry: "CollectorRegistry") -> None:
        self._path = path
        self._registry = registry
        self._has_failed = False

    def last_success_of(self, output: str) -> float:
        """Return when a run for an output last succeeded, according to the existing file; 0 for never."""
        from prometheus_client.parser import text_string_to_metric_families

        try:
            with open_regular(self._path) as file:
                text = file.read(_MAX_FILE_BYTES).decode()
            samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        except (OSError, ValueError, KeyError, IndexError):
            return 0.0
        times = (s.value for s in samples if s.name == _SUCCESS_GAUGE and s.labels.get("output") == output)
        return next(times, 0.0)

    def keep_writing(self, stop: threading.Event) -> None:
        """Write the file now, every 15 seconds, and at the end."""
        self._write()
        while not stop.wait(_WRITE_INTERVAL_S):
            self._write()
        self._write()

    def _write(self) -> None:
        """Write the file; a failure is logged, and the export continues."""
        try:
            prometheus_client().write_to_textfile(str(self._path), self._registry)
        except (OSError, UnicodeError) as exc:
            if not self._has_failed:
                logger.warning("the metrics file %r cannot be written: %s", str(self._path), exc)
            self._has_failed = True
