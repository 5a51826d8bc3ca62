"""Counts turns, searches and model calls for Prometheus. No label names a person, a channel, a tenant or a document."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from bot.health import Health
from bot.types.turns import Outcome, Turn
from bot.types.usage import Call
from knowledge.types.search_results import Found

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.01, 0.025, 0.05, 0.08, 0.12, 0.25, 0.4, 0.8, 1.2, 2.5, 4, 8, 15, 30, 60, 120)
"""Upper bounds of the histograms' buckets; among them the targets of ``bot.reports.slo``."""
PARTS = {"ttft": "first_token"}
"""Names of parts that differ from those in ``Outcome.timings_ms``."""
_CALL = ("provider", "model", "purpose")


class PrometheusMetrics:
    """Telemetry as Prometheus metrics of this process, with its parts' health and its use of memory and processor."""

    def __init__(self, health: Health) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        registry.register(_PartStates(health))
        self._in_progress = Gauge("parley_turns_in_progress", "Questions being answered", registry=registry)
        self._turns = Counter(
            "parley_turns", "Questions answered", ("platform", "state", "route", "cache", "refused"), registry=registry
        )
        self._parts = Histogram(
            "parley_turn_part_seconds", "Time of each part of an answer", ("part",), buckets=SECONDS, registry=registry
        )
        self._searches = Counter("parley_searches", "Searches in the documents", ("result",), registry=registry)
        self._standby = Counter(
            "parley_searches_by_standby", "Searches by whether a standby served them", ("use",), registry=registry
        )
        self._calls = Counter("parley_model_calls", "Model calls", (*_CALL, "status"), registry=registry)
        self._tokens = Counter("parley_model_tokens", "Tokens of model calls", (*_CALL, "kind"), registry=registry)
        self._cost = Counter("parley_model_cost_usd", "Cost of model calls in dollars", _CALL, registry=registry)
        self._unpriced = Counter(
            "parley_model_calls_without_price", "Model calls whose price is unknown", _CALL, registry=registry
        )
        self._durations = Histogram(
            "parley_model_call_seconds", "Time of model calls", _CALL, buckets=SECONDS, registry=registry
        )
        self._first_tokens = Histogram(
            "parley_model_first_token_seconds",
            "Time until the first token of model calls",
            _CALL,
            buckets=SECONDS,
            registry=registry,
        )

    def exposition(self) -> bytes:
        """Return all metrics in the text format of Prometheus, whose content type is ``CONTENT_TYPE``."""
        return generate_latest(self._registry)

    def turn_began(self, turn: Turn) -> None:
        self._in_progress.inc()

    def search_ended(self, turn: Turn, found: Found | None, milliseconds: float) -> None:
        result = "none" if found is None or not found.passages else "found"
        self._searches.labels(result).inc()
        if found is not None and found.standby != "none":
            self._standby.labels(found.standby).inc()

    def call_ended(self, turn: Turn | None, call: Call) -> None:
        names, usage = (call.provider, call.model, call.purpose), call.usage
        self._calls.labels(*names, call.status).inc()
        for kind, tokens in (
            ("input", usage.input_tokens),
            ("cache_read", usage.cached_tokens),
            ("cache_write", usage.cache_write_tokens + usage.cache_write_long_tokens),
            ("output", usage.completion_tokens),
        ):
            self._tokens.labels(*names, kind).inc(tokens)
        if call.cost_usd is None:
            self._unpriced.labels(*names).inc()
        else:
            self._cost.labels(*names).inc(float(call.cost_usd))
        self._durations.labels(*names).observe(call.latency_ms / 1000)
        if call.ttft_ms is not None:
            self._first_tokens.labels(*names).observe(call.ttft_ms / 1000)

    def turn_ended(self, turn: Turn, outcome: Outcome | None) -> None:
        self._in_progress.dec()
        state = outcome.state if outcome else "left"
        route = outcome.route.tier if outcome and outcome.route else "none"
        cache = "hit" if outcome and outcome.cached else "miss"
        refused = "yes" if outcome and outcome.refused is not None else "no"
        self._turns.labels(turn.thread.platform, state, route, cache, refused).inc()
        for name, milliseconds in (outcome.timings_ms if outcome else {}).items():
            self._parts.labels(PARTS.get(name, name)).observe(milliseconds / 1000)


class _PartStates:
    """Reports which parts of the process work."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("parley_part_ready", "Whether a part of the process works", labels=("part",))
        for part, works in self._health.states.items():
            family.add_metric((part,), float(works))
        yield family
