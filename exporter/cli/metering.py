"""Metrics of one run: served while it lasts, and left in a file for the node exporter's textfile collector."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.cli.exits import BUG, COMPLETE
from exporter.cli.settings import MetricsOptions
from exporter.errors import ConfigError
from exporter.events import Event, Observer
from exporter.logs import logger
from exporter.metrics import Metrics

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_WRITE_EVERY_S = 15.0
_LARGEST_FILE_BYTES = 1 << 20
_SUCCESS = "intercom_exporter_last_success_timestamp_seconds"


class Meter:
    """Observes one run, and knows how it ended.

    Attributes:
        exit_code: of the run, once it has one.
    """

    exit_code = BUG

    def __init__(self, *observers: Observer) -> None:
        self._observers = list(observers)

    def __call__(self, event: Event) -> None:
        """Count an event."""
        for observer in self._observers:
            observer(event)

    def then(self, action: Callable[[], None]) -> None:
        """Have something done after each event."""
        self._observers.append(lambda _event: action())


@contextmanager
def metered(options: MetricsOptions, output: str) -> Iterator[Meter]:
    """Keep the metrics that the options ask for, while the block lasts.

    Raises:
        ConfigError: they cannot be served or written there.
    """
    if options.metrics_port is None and options.metrics_file is None:
        yield Meter()
        return
    name = "stdout" if output == "-" else output
    try:
        from prometheus_client import CollectorRegistry
    except ImportError:
        raise ConfigError("metrics need the extra: pip install 'intercom-exporter[metrics]'") from None
    registry = CollectorRegistry()
    meter = Meter(Metrics(registry).of(name))
    ending = _Ending(registry, name)
    with _served(options, registry), _kept(options.metrics_file, registry, meter, ending):
        try:
            yield meter
        finally:
            ending.ended(meter.exit_code)


class _Ending:
    """Gauges about the run as a whole."""

    def __init__(self, registry: "CollectorRegistry", output: str) -> None:
        from prometheus_client import Gauge

        def gauge(name: str, what: str) -> Any:
            return Gauge(f"intercom_exporter_{name}", what, ("output",), registry=registry)

        self._output = output
        self._began_at = time.time()
        self._exit_code = gauge("last_exit_code", "Exit code of the latest run that ended; 0 is complete.")
        self._ended_at = gauge("last_end_timestamp_seconds", "When the latest run ended.")
        self._duration = gauge("last_duration_seconds", "Seconds that the latest run took.")
        self._succeeded_at = gauge("last_success_timestamp_seconds", "When a run last ended with a complete output.")
        gauge("last_start_timestamp_seconds", "When the latest run began.").labels(output).set(self._began_at)
        self._running = gauge("running", "1 while it runs.").labels(output)
        self._running.set(1)

    def remember(self, success_at: float | None) -> None:
        """Carry over when an earlier run succeeded."""
        if success_at is not None:
            self._succeeded_at.labels(self._output).set(success_at)

    def ended(self, exit_code: int) -> None:
        """Take note of the end."""
        now = time.time()
        self._running.set(0)
        self._exit_code.labels(self._output).set(exit_code)
        self._ended_at.labels(self._output).set(now)
        self._duration.labels(self._output).set(now - self._began_at)
        if exit_code == COMPLETE:
            self._succeeded_at.labels(self._output).set(now)


@contextmanager
def _served(options: MetricsOptions, registry: "CollectorRegistry") -> Iterator[None]:
    """Serve the metrics over HTTP, if that is asked for."""
    if options.metrics_port is None:
        yield
        return
    from prometheus_client import start_http_server

    host = options.metrics_host
    try:
        server, thread = start_http_server(options.metrics_port, host, registry)
    except (OSError, OverflowError) as exc:
        raise ConfigError(f"metrics cannot be served at {host} port {options.metrics_port}: {exc}") from exc
    shown = f"[{host}]" if ":" in host else host
    logger.info("metrics at http://%s:%d/metrics", shown, server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _kept(name: str | None, registry: "CollectorRegistry", meter: Meter, ending: _Ending) -> Iterator[None]:
    """Keep the metrics in a file, if that is asked for."""
    if name is None:
        yield
        return
    if not name.endswith(".prom"):
        raise ConfigError(f"the metrics file {name!r} must end with .prom: the node exporter reads no others")
    if not os.access(Path(name).parent, os.W_OK):
        raise ConfigError(f"the folder of the metrics file {name!r} is not there, or not writable")
    file = _TextFile(Path(name), registry)
    ending.remember(file.last_success)
    file.write()
    meter.then(file.write_if_due)
    try:
        yield
    finally:
        file.write()


class _TextFile:
    """The metrics in a file, which is replaced as a whole each time."""

    def __init__(self, path: Path, registry: "CollectorRegistry") -> None:
        self._path = path
        self._registry = registry
        self._written_at_s = 0.0
        self._has_failed = False

    @property
    def last_success(self) -> float | None:
        """When, according to the file that is there, a run was complete."""
        from prometheus_client.parser import text_string_to_metric_families

        try:
            with self._path.open(encoding="utf-8") as file:
                text = file.read(_LARGEST_FILE_BYTES)
            families = list(text_string_to_metric_families(text))
        except (OSError, ValueError, KeyError, IndexError):
            return None
        return next((s.value for family in families for s in family.samples if s.name == _SUCCESS), None)

    def write_if_due(self) -> None:
        """Write it, unless that has just been done."""
        if time.monotonic() - self._written_at_s >= _WRITE_EVERY_S:
            self.write()

    def write(self) -> None:
        """Write it; an export does not fail where that fails."""
        from prometheus_client import write_to_textfile

        self._written_at_s = time.monotonic()
        try:
            write_to_textfile(str(self._path), self._registry)
        except OSError as exc:
            if not self._has_failed:
                logger.warning("the metrics file %r cannot be written: %s", str(self._path), exc.strerror)
            self._has_failed = True
