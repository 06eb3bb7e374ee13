"""OpenTelemetry traces of sessions, exported by OTLP over HTTP. Off unless `tracing.otlp_endpoint` is set.

All processes that serve a session must agree on its trace, and another worker may take the session over at any time. So
nothing is passed between them: the ids of the trace and of the spans that have children are hashes of the session's id.
Spans are recorded when they have ended. They hold names and numbers, no audio, no text and no addresses.
"""

import threading
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Self

from shared.config.sections import TracingSettings
from shared.errors import StartupError
from shared.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

ROOT: Final = "session"
"""The span of the whole session, which its first frontend records."""
EXPORT_TIMEOUT_S: Final = 2
CLOSE_TIMEOUT_S: Final = 2.0
Attributes = Mapping[str, str | int | float | bool]


def trace_id(session_id: str) -> int:
    """The id of a session's trace: the first 16 bytes of the SHA-256 of the session's id."""
    return int.from_bytes(sha256(session_id.encode()).digest()[:16])


def span_id(session_id: str, name: str) -> int:
    """The id of a span that has children. `name` is unique in the session."""
    return int.from_bytes(sha256(f"{session_id} {name}".encode()).digest()[:8])


class Traces:
    """Records the spans of this process. Create it with `Traces.of`. Not for several threads at the same time."""

    def __init__(self, exporter: "SpanExporter", *, process: str, sample_ratio: float) -> None:
        from opentelemetry import trace  # noqa: PLC0415 -- an extra, imported only if it is used
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415
        from opentelemetry.sdk.trace.sampling import TraceIdRatioBased  # noqa: PLC0415

        traces = self

        class Ids(RandomIdGenerator):
            def generate_trace_id(self) -> int:
                return traces._trace_id

            def generate_span_id(self) -> int:
                return traces._span_id or super().generate_span_id()

        self._api = trace
        self._trace_id = 0
        self._span_id = 0
        about = {"service.name": f"voxtral-{process}", "service.namespace": "voxtral", "service.version": VERSION}
        self._provider = TracerProvider(
            sampler=TraceIdRatioBased(sample_ratio),
            resource=Resource.create(about),
            id_generator=Ids(),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("voxtral", VERSION)

    @classmethod
    def of(cls, settings: TracingSettings, process: str) -> Self | None:
        """None if tracing is off. Raises StartupError if OpenTelemetry is not installed."""
        if settings.otlp_endpoint is None:
            return None
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        except ImportError:
            raise StartupError(
                "tracing.otlp_endpoint needs OpenTelemetry, which is not installed; install it with "
                "`pip install --editable '.[otel]'`, or unset the setting."
            ) from None
        exporter = OTLPSpanExporter(endpoint=settings.otlp_endpoint, timeout=EXPORT_TIMEOUT_S)
        return cls(exporter, process=process, sample_ratio=settings.sample_ratio)

    def record(
        self,
        session_id: str,
        name: str,
        start_s: float,
        end_s: float,
        attributes: Attributes | None = None,
        *,
        unique: str = "",
        parent: str = "",
        error: str = "",
    ) -> None:
        """Record a span that has ended. Times are Unix times.

        `unique` is set if the span has children, which name it as their `parent`; a span without a parent is the root.
        `error` is the code of the error that ended it.
        """
        api = self._api
        self._trace_id = trace_id(session_id)
        self._span_id = span_id(session_id, unique) if unique else 0
        context = None
        if parent:
            flags = api.TraceFlags(api.TraceFlags.SAMPLED)
            above = api.SpanContext(self._trace_id, span_id(session_id, parent), is_remote=True, trace_flags=flags)
            context = api.set_span_in_context(api.NonRecordingSpan(above))
        span = self._tracer.start_span(name, context, attributes=attributes, start_time=int(start_s * 1e9))
        span.set_attribute("voxtral.session_id", session_id)
        if error:
            span.set_status(api.StatusCode.ERROR, error)
        span.end(int(max(start_s, end_s) * 1e9))

    def close(self) -> None:
        """Export what is left. Blocks for `CLOSE_TIMEOUT_S` at most: a collector that hangs must not delay the stop."""
        closing = threading.Thread(target=self._provider.shutdown, name="close traces", daemon=True)
        closing.start()
        closing.join(CLOSE_TIMEOUT_S)
