"""Sends traces and metrics over OTLP, in the names of OpenTelemetry's conventions for generative AI.

Followed: github.com/open-telemetry/semantic-conventions-genai at commit 024a4f944a1291fcb627c9c47da69e79868dd15e. All
its names are in development, so they are in this module alone. Nothing here is imported unless the endpoint is set.

One trace is one turn, and has its id: ``invoke_agent`` around the answer, with ``retrieval`` and one ``chat`` for each
model call. Nothing that people wrote is sent.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context

from bot.types.turns import Outcome, Turn
from bot.types.usage import NO_MODEL, Call
from knowledge.types.search_results import Found

log = logging.getLogger(__name__)

EXPORT_SECONDS = 5.0
"""Timeout of one export, which runs in a thread of its own."""
METRICS_EVERY = 15.0
CLOSE_SECONDS = 2.0
"""Seconds at the end in which what is not sent yet is sent."""
DURATION_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
CHUNK_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SDK_LOGGER = "opentelemetry"


class OpenTelemetry:
    """Telemetry as spans and metrics. Reports only queue; threads of the SDK send them, and drop what is too much."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], *, metrics_every: float = METRICS_EVERY) -> None:
        given = dict(headers)
        base, away = endpoint.rstrip("/"), _Warning(endpoint)
        resource = Resource.create({"service.name": "parley"})
        self._ids = _TurnIds()
        self._tracers = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        spans = _SpanExporter(away, endpoint=f"{base}/v1/traces", headers=given, timeout=EXPORT_SECONDS)
        self._tracers.add_span_processor(BatchSpanProcessor(spans, schedule_delay_millis=1000))
        metrics = _MetricExporter(away, endpoint=f"{base}/v1/metrics", headers=given, timeout=EXPORT_SECONDS)
        reader = PeriodicExportingMetricReader(
            metrics, export_interval_millis=1000 * metrics_every, export_timeout_millis=1000 * EXPORT_SECONDS
        )
        self._meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        self._tracer = self._tracers.get_tracer("parley")
        self._instruments = _Instruments(self._meters)
        self._open: dict[str, Span] = {}
        # The SDK logs each failed export with a traceback. ``_Warning`` says once what is wrong.
        self._sdk_level = logging.getLogger(SDK_LOGGER).level
        logging.getLogger(SDK_LOGGER).setLevel(logging.CRITICAL)

    def turn_began(self, turn: Turn) -> None:
        self._ids.trace = _trace_id(turn)
        thread = turn.thread
        self._open[turn.id] = self._tracer.start_span(
            "invoke_agent parley",
            attributes={
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": "parley",
                "gen_ai.conversation.id": thread.thread_id,
                "parley.tenant": thread.tenant_id,
                "parley.channel": thread.channel_id,
                "parley.platform": thread.platform,
                "user.id": turn.author.id,
            },
        )

    def search_ended(self, turn: Turn, found: Found | None, milliseconds: float) -> None:
        span = self._started(turn, "retrieval documents", milliseconds, SpanKind.CLIENT)
        span.set_attribute("gen_ai.operation.name", "retrieval")
        span.set_attribute("gen_ai.data_source.id", "documents")
        if found is not None:
            span.set_attribute("parley.passages", len(found.passages))
            span.set_attribute("parley.confidence", found.confidence)
        span.end()

    def call_ended(self, turn: Turn | None, call: Call) -> None:
        usage = call.usage
        kind = SpanKind.INTERNAL if call.provider == NO_MODEL else SpanKind.CLIENT
        span = self._started(turn, f"chat {call.model}", call.latency_ms, kind)
        common = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": call.provider,
            "gen_ai.request.model": call.model,
        }
        error = {"error.type": "cancelled" if call.status == "cancelled" else "_OTHER"} if call.status != "ok" else {}
        tokens = {
            "gen_ai.usage.input_tokens": usage.prompt_tokens,
            "gen_ai.usage.output_tokens": usage.completion_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
            "gen_ai.usage.cache_write.input_tokens": usage.cache_write_tokens + usage.cache_write_long_tokens,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
        }
        span.set_attributes({**common, **error, **tokens, "gen_ai.request.stream": True})
        span.set_attributes({"parley.purpose": call.purpose, "parley.attempt": call.attempt})
        if call.ttft_ms is not None:
            span.set_attribute("gen_ai.response.time_to_first_chunk", call.ttft_ms / 1000)
        if call.cost_usd is not None:
            span.set_attribute("parley.cost_usd", float(call.cost_usd))
        if call.status == "error":
            span.set_status(Status(StatusCode.ERROR))
        span.end()
        self._instruments.record(call, common, error)

    def turn_ended(self, turn: Turn, outcome: Outcome | None) -> None:
        span = self._open.pop(turn.id, None)
        if span is None:
            return
        span.set_attribute("parley.state", outcome.state if outcome else "left")
        if outcome is not None:
            span.set_attribute("parley.cached", outcome.cached)
            span.set_attribute("parley.refused", outcome.refused is not None)
            for name, milliseconds in outcome.timings_ms.items():
                span.set_attribute(f"parley.{name}_ms", milliseconds)
            if outcome.route:
                span.set_attribute("parley.route", outcome.route.tier)
            if outcome.state == "failed":
                span.set_status(Status(StatusCode.ERROR))
        span.end()

    def _started(self, turn: Turn | None, name: str, milliseconds: float, kind: SpanKind) -> Span:
        """Start a span that began so long ago, below the span of its turn if that is open."""
        parent = None if turn is None else self._open.get(turn.id)
        self._ids.trace = None if turn is None else _trace_id(turn)
        return self._tracer.start_span(
            name,
            context=None if parent is None else set_span_in_context(parent),
            kind=kind,
            start_time=time.time_ns() - int(milliseconds * 1e6),
        )

    async def aclose(self) -> None:
        """Send what is queued, for ``CLOSE_SECONDS`` at most."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._tracers.shutdown()
            self._meters.shutdown()
            with suppress(RuntimeError):  # The loop may be closed by then.
                loop.call_soon_threadsafe(ended.set)

        # A daemon, unlike the threads of the event loop: the process may end while an export still waits.
        threading.Thread(target=shut_down, name="end of telemetry", daemon=True).start()
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), CLOSE_SECONDS)
        logging.getLogger(SDK_LOGGER).setLevel(self._sdk_level)


class _Instruments:
    """The metrics of model calls."""

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter("parley")

        def histogram(name: str, buckets: Sequence[float], description: str) -> Any:
            return meter.create_histogram(
                f"gen_ai.client.inference.{name}", "s", description, explicit_bucket_boundaries_advisory=buckets
            )

        def counter(name: str, description: str) -> Any:
            return meter.create_counter(f"gen_ai.client.inference.usage.{name}", "{token}", description)

        self._duration = histogram("duration", DURATION_BUCKETS, "Time of a model call")
        self._first = histogram("time_to_first_chunk", CHUNK_BUCKETS, "Time until the first piece of an answer")
        self._gap = histogram("time_per_output_chunk", CHUNK_BUCKETS, "Time between two pieces of an answer")
        self._input = counter("input_tokens", "Tokens sent, cached or not")
        self._output = counter("output_tokens", "Tokens written, reasoning included")
        self._cache_read = counter("cache_read.input_tokens", "Tokens read from the provider's cache")
        self._cache_write = counter("cache_write.input_tokens", "Tokens written to the provider's cache")
        self._reasoning = counter("reasoning.output_tokens", "Tokens written as reasoning")

    def record(self, call: Call, common: dict[str, str], error: dict[str, str]) -> None:
        usage = call.usage
        self._duration.record(call.latency_ms / 1000, {**common, **error})
        if call.ttft_ms is not None:
            self._first.record(call.ttft_ms / 1000, common)
        for gap in call.chunk_gaps_ms:
            self._gap.record(gap / 1000, common)
        for counter, tokens in (
            (self._input, usage.prompt_tokens),
            (self._output, usage.completion_tokens),
            (self._cache_read, usage.cached_tokens),
            (self._cache_write, usage.cache_write_tokens + usage.cache_write_long_tokens),
            (self._reasoning, usage.reasoning_tokens),
        ):
            counter.add(tokens, {**common, "gen_ai.token.modality": "unknown"})


class _TurnIds(RandomIdGenerator):
    """Gives a trace the id of its turn. ``trace`` is set right before a span starts."""

    trace: int | None = None

    def generate_trace_id(self) -> int:
        chosen, self.trace = self.trace, None
        return chosen or super().generate_trace_id()


def _trace_id(turn: Turn) -> int:
    return uuid.UUID(turn.id).int


class _Warning:
    """Warns once when exports begin to fail, and again only after one has succeeded."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._is_away = False
        self._lock = threading.Lock()

    def note(self, *, sent: bool) -> None:
        with self._lock:
            warn, self._is_away = not sent and not self._is_away, not sent
        if warn:
            log.warning(
                "OTEL_EXPORTER_OTLP_ENDPOINT (%s) does not accept traces or metrics. Answers go on without them. "
                "Check that a collector for OTLP over HTTP listens there.",
                self._endpoint,
            )


class _SpanExporter(OTLPSpanExporter):
    def __init__(self, away: _Warning, **given: Any) -> None:
        super().__init__(**given)
        self._away = away

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = super().export(spans)
        finally:
            self._away.note(sent=result is SpanExportResult.SUCCESS)
        return result


class _MetricExporter(OTLPMetricExporter):
    def __init__(self, away: _Warning, **given: Any) -> None:
        super().__init__(**given)
        self._away = away

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = None, **kwargs: Any
    ) -> MetricExportResult:
        result = MetricExportResult.FAILURE
        try:
            result = super().export(metrics_data, timeout_millis, **kwargs)
        finally:
            self._away.note(sent=result is MetricExportResult.SUCCESS)
        return result
