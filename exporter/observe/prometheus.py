"""Prometheus metrics of exports, updated by an observer. Requires the extra ``[metrics]``."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from exporter.errors import ConfigError
from exporter.extras import prometheus_client
from exporter.model import Position
from exporter.observe.events import (
    Committed,
    Event,
    Observer,
    PageWritten,
    RangeDiscarded,
    RateLimited,
    RequestFinished,
    Resumed,
    RetryScheduled,
)
from exporter.validation import check_callable

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_DURATIONS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters, gauges and a histogram of exports, labelled with the output.

    ::

        metrics = exporter.Metrics(prometheus_client.REGISTRY)
        await exporter.export(intercom, path, observer=metrics.observer("contacts"))

    Args:
        registry: registry for the metrics; a registry can have only one `Metrics`.
        clock: function that returns UNIX time in seconds.

    Raises:
        ConfigError: prometheus-client is not installed, the registry is invalid, or it already has a `Metrics`.
    """

    def __init__(self, registry: "CollectorRegistry", clock: Callable[[], float] = time.time) -> None:
        prometheus = prometheus_client()
        check_callable("clock", clock)
        if not hasattr(registry, "register"):
            raise ConfigError("the registry must be one of prometheus_client, such as prometheus_client.REGISTRY")

        def counter(name: str, description: str, *labels: str) -> Any:
            return prometheus.Counter(f"intercom_exporter_{name}", description, ("output", *labels), registry=registry)

        def gauge(name: str, description: str) -> Any:
            return prometheus.Gauge(f"intercom_exporter_{name}", description, ("output",), registry=registry)

        self.clock = clock
        try:
            self.contacts_written = counter("contacts_written", "Contacts written.")
        except ValueError:
            raise ConfigError("this registry already has these metrics: share one exporter.Metrics") from None
        self.pages_written = counter("pages_written", "Pages written.")
        self.written_bytes = counter("written_bytes", "Bytes written.")
        self.requests = counter("requests", "Requests, by path and by status, network or timeout.", "path", "status")
        self.received_bytes = counter("received_bytes", "Bytes of response bodies, as transferred.")
        self.retries = counter("retries", "Retries, by cause.", "cause")
        self.rate_limit_wait = counter("rate_limit_wait_seconds", "Seconds waited for the rate limit.")
        self.request_duration = prometheus.Histogram(
            "intercom_exporter_request_duration_seconds",
            "Seconds from a request to the last byte of its response.",
            ("output", "path"),
            registry=registry,
            buckets=_DURATIONS_S,
        )
        self.contacts = gauge("contacts", "Contacts in the output, including those of earlier runs.")
        self.workspace_contacts = gauge("workspace_contacts", "The API's count of contacts.")
        self.calls_left = gauge("rate_limit_calls_left", "Calls left in the rate-limit window.")
        self.calls = gauge("rate_limit_calls", "Calls in a rate-limit window.")
        self.checkpoint_at = gauge("last_checkpoint_timestamp_seconds", "Time of the latest checkpoint.")

    def observer(self, output: str) -> Observer:
        """Return an observer that updates the metrics of an output.

        Args:
            output: value of the label ``output``.
        """
        return _Observer(self, output)


class _Observer:
    """An observer that updates the metrics of one output."""

    def __init__(self, metrics: Metrics, output: str) -> None:
        self._metrics = metrics
        self._output = output
        self._last_position = Position()
        for metric in (metrics.contacts_written, metrics.pages_written, metrics.rate_limit_wait):
            metric.labels(output)  # starts each series at 0: Prometheus cannot tell a missing series from a lost one

    def __call__(self, event: Event) -> None:
        metrics, output = self._metrics, self._output
        match event:
            case PageWritten():
                self._count(event)
            case RequestFinished():
                metrics.requests.labels(output, event.path, str(event.status or event.cause)).inc()
                metrics.request_duration.labels(output, event.path).observe(event.duration_s)
                metrics.received_bytes.labels(output).inc(event.bytes)
            case RetryScheduled():
                metrics.retries.labels(output, event.cause).inc()
                if event.cause == "http_429":
                    metrics.rate_limit_wait.labels(output).inc(event.wait_s)
            case RateLimited():
                metrics.rate_limit_wait.labels(output).inc(event.wait_s)
            case Committed():
                metrics.checkpoint_at.labels(output).set(metrics.clock())
            case Resumed() | RangeDiscarded():
                self._last_position = event.position
                metrics.contacts.labels(output).set(event.position.contacts)

    def _count(self, event: PageWritten) -> None:
        metrics, output, now = self._metrics, self._output, event.position
        last = self._last_position if now.pages > self._last_position.pages else Position()  # otherwise a new export
        self._last_position = now
        metrics.contacts_written.labels(output).inc(now.contacts - last.contacts)
        metrics.pages_written.labels(output).inc(now.pages - last.pages)
        metrics.written_bytes.labels(output).inc(now.written_bytes - last.written_bytes)
        metrics.contacts.labels(output).set(now.contacts)
        if event.total_count is not None:
            metrics.workspace_contacts.labels(output).set(event.total_count)
        if event.window is not None:
            metrics.calls_left.labels(output).set(event.window[0])
            metrics.calls.labels(output).set(event.window[1])
