"""Builds the telemetry of a process from its settings."""

from __future__ import annotations

from contextlib import AsyncExitStack

from bot.config import Settings
from bot.engine.ports.telemetry import Telemetry
from bot.errors import ConfigError
from bot.telemetry.combined import CombinedTelemetry
from bot.telemetry.log_entries import LogEntries
from bot.telemetry.prometheus_metrics import PrometheusMetrics
from knowledge.text import secret_redaction

PACKAGES_MISSING = (
    "OTEL_EXPORTER_OTLP_ENDPOINT needs packages that are not installed. Run: pip install 'parley[otel]', or unset it."
)


def build_telemetry(settings: Settings, metrics: PrometheusMetrics, stack: AsyncExitStack) -> Telemetry:
    """Return the telemetry, which ``stack`` closes. Raises ConfigError if the packages of OpenTelemetry are missing."""
    receivers: list[Telemetry] = [LogEntries(content=settings.log_content), metrics]
    if settings.otel_endpoint:
        try:
            from bot.telemetry.open_telemetry import OpenTelemetry
        except ImportError:
            raise ConfigError(PACKAGES_MISSING) from None
        headers = parsed_headers(settings.otel_headers.get_secret_value() if settings.otel_headers else "")
        secret_redaction.register(headers.values())
        sender = OpenTelemetry(settings.otel_endpoint, headers)
        stack.push_async_callback(sender.aclose)
        receivers.append(sender)
    return CombinedTelemetry(receivers)


def parsed_headers(given: str) -> dict[str, str]:
    """Return the headers of ``name=value,name=value``, the form that OpenTelemetry's settings have."""
    pairs = (pair.partition("=") for pair in given.split(",") if "=" in pair)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
