"""Tests traces and metrics as they arrive at an OTLP receiver. An unreachable receiver slows nothing."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp.web
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from bot.app import open_app
from bot.config import Settings
from bot.errors import ConfigError
from bot.types.turns import Outcome
from tests.app.conftest import ask, open_ingested_app
from tests.doubles.models import ModelDouble, Reply

QUESTION = "What may a hotel in Lisbon cost?"
ANSWER = "A hotel in Lisbon may cost 180 EUR a night [1]."


class Receiver:
    """A collector: keeps what it receives, parsed with the published protocol."""

    def __init__(self) -> None:
        self.traces: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.raw = b""
        self.headers: list[str | None] = []

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.traces
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    @property
    def last_metrics(self) -> dict[str, Any]:
        """Return the metrics of the last report by their names."""
        resources = self.metrics[-1].resource_metrics
        return {one.name: one for resource in resources for scope in resource.scope_metrics for one in scope.metrics}

    async def receive_traces(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        self.traces.append(ExportTraceServiceRequest.FromString(await self._body(request)))
        return aiohttp.web.Response(content_type="application/x-protobuf")

    async def receive_metrics(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        self.metrics.append(ExportMetricsServiceRequest.FromString(await self._body(request)))
        return aiohttp.web.Response(content_type="application/x-protobuf")

    async def _body(self, request: aiohttp.web.Request) -> bytes:
        self.headers.append(request.headers.get("x-collector-key"))
        body = await request.read()
        self.raw += body
        return body


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    collector, web = Receiver(), aiohttp.web.Application()
    web.router.add_post("/otlp/v1/traces", collector.receive_traces)
    web.router.add_post("/otlp/v1/metrics", collector.receive_metrics)
    runner = aiohttp.web.AppRunner(web)
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
    yield collector, f"http://127.0.0.1:{runner.addresses[0][1]}/otlp"
    await runner.cleanup()


def attributes(given: Any) -> dict[str, Any]:
    def value(pair: KeyValue) -> Any:
        return getattr(pair.value, pair.value.WhichOneof("value") or "")

    return {pair.key: value(pair) for pair in given.attributes}


async def answered(settings: Settings, handbook: Path) -> Outcome:
    """Ask one question in an app of its own, whose end sends what is queued."""
    outcome = None
    async for app in open_ingested_app(settings, handbook):
        outcome = await ask(app, QUESTION, "t7", user="ann", channel="travel")
    assert outcome is not None
    return outcome


async def test_a_turn_arrives_as_one_trace(
    both: Settings, handbook: Path, models: ModelDouble, receiver: tuple[Receiver, str]
) -> None:
    collector, url = receiver
    replies = iter([Reply(fault="status", status=529)])
    models.script = lambda _: next(replies, Reply(ANSWER))
    outcome = await answered(both.model_copy(update={"otel_endpoint": url, "otel_headers": None}), handbook)
    (root,), (search,) = collector.named("invoke_agent parley"), collector.named("retrieval documents")
    failed, chat = sorted(
        (span for span in collector.spans if span.name.startswith("chat ")), key=lambda span: span.start_time_unix_nano
    )
    assert {span.trace_id.hex() for span in collector.spans} == {outcome.turn_id.replace("-", "")}
    assert root.parent_span_id == b""
    for child in (search, failed, chat):
        assert child.parent_span_id == root.span_id
        assert child.end_time_unix_nano >= child.start_time_unix_nano
        assert root.end_time_unix_nano >= child.end_time_unix_nano
    call = outcome.calls[-1]
    assert chat.name == f"chat {call.model}"
    assert chat.kind == Span.SPAN_KIND_CLIENT
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": call.provider,
        "gen_ai.request.model": call.model,
        "gen_ai.usage.input_tokens": call.usage.prompt_tokens,
        "gen_ai.usage.output_tokens": call.usage.completion_tokens,
        "parley.attempt": call.attempt,
    }
    assert expected.items() <= attributes(chat).items()
    assert (failed.status.code, attributes(failed)["error.type"]) == (Status.STATUS_CODE_ERROR, "_OTHER")
    assert attributes(search)["gen_ai.operation.name"] == "retrieval"
    assert attributes(root)["gen_ai.conversation.id"] == "t7"
    assert attributes(root)["parley.state"] == "done"
    for words in (b"Lisbon", b"180 EUR"):
        assert words not in collector.raw


async def test_metrics_arrive_under_the_names_of_the_conventions(
    both: Settings, handbook: Path, models: ModelDouble, receiver: tuple[Receiver, str]
) -> None:
    collector, url = receiver
    models.script = lambda _: Reply(ANSWER, piece=10)
    outcome = await answered(both.model_copy(update={"otel_endpoint": url}), handbook)
    (call,) = outcome.calls
    metrics, prefix = collector.last_metrics, "gen_ai.client.inference."
    assert metrics.keys() == {
        *(f"{prefix}{name}" for name in ("duration", "time_to_first_chunk", "time_per_output_chunk")),
        *(f"{prefix}usage.{name}" for name in ("input_tokens", "output_tokens", "reasoning.output_tokens")),
        *(f"{prefix}usage.cache_{name}.input_tokens" for name in ("read", "write")),
    }
    (duration,) = metrics[f"{prefix}duration"].histogram.data_points
    (gaps,) = metrics[f"{prefix}time_per_output_chunk"].histogram.data_points
    (tokens,) = metrics[f"{prefix}usage.input_tokens"].sum.data_points
    assert (metrics[f"{prefix}duration"].unit, duration.count) == ("s", 1)
    assert duration.sum == pytest.approx(call.latency_ms / 1000)
    assert gaps.count == len(call.chunk_gaps_ms) > 0
    assert tokens.as_int == call.usage.prompt_tokens
    assert attributes(tokens) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": call.provider,
        "gen_ai.request.model": call.model,
        "gen_ai.token.modality": "unknown",
    }


async def test_the_headers_of_the_settings_are_sent(
    settings: Settings, handbook: Path, receiver: tuple[Receiver, str]
) -> None:
    collector, url = receiver
    loaded = Settings(
        _env_file=None,
        database_url=settings.database_url,
        data_dir=settings.data_dir,
        otel_endpoint=url,
        otel_headers="x-collector-key=k1-of-the-collector,other=2",
    )
    assert "x-collector-key=k1-of-the-collector,other=2" in set(loaded.secrets())
    await answered(loaded, handbook)
    assert set(collector.headers) == {"k1-of-the-collector"}


async def test_an_endpoint_that_is_away_gives_one_warning_and_the_answer(
    both: Settings, handbook: Path, models: ModelDouble, caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    models.script = lambda _: Reply(ANSWER)
    away = both.model_copy(update={"otel_endpoint": f"http://127.0.0.1:{unused_tcp_port}"})
    warned = asyncio.Event()

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            loop.call_soon_threadsafe(warned.set)

    loop, watch = asyncio.get_running_loop(), Watch()
    logging.getLogger("bot.telemetry.open_telemetry").addHandler(watch)
    try:
        async for app in open_ingested_app(away, handbook):
            for n in range(3):
                assert (await ask(app, f"{QUESTION} {n}", f"t{n}")).state == "done"
            async with asyncio.timeout(60):
                await warned.wait()
    finally:
        logging.getLogger("bot.telemetry.open_telemetry").removeHandler(watch)
    about = [one for one in caplog.records if "opentelemetry" in one.name or "open_telemetry" in one.name]
    assert [one.levelname for one in about] == ["WARNING"]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in about[0].getMessage()


async def test_without_an_endpoint_the_packages_are_not_needed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)
    monkeypatch.delitem(sys.modules, "bot.telemetry.open_telemetry", raising=False)
    async with open_app(settings):
        pass
    with pytest.raises(ConfigError, match=r"pip install 'parley\[otel\]'"):
        async with open_app(settings.model_copy(update={"otel_endpoint": "http://127.0.0.1:4318"})):
            pass
