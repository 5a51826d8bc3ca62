"""Runs one process of the bot like ``parley slack`` and ``parley discord``, with a search that costs nothing."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.chaos.crash_points import CrashPointWatch, Send, overrides
from benchmarks.chaos.heap_log import HeapLog, write_heap_log
from benchmarks.shared.harness import resident_mb
from bot.app import App, open_app
from bot.config import Settings
from bot.engine.answer import lease
from bot.engine.display import final_retry, reply_messages
from bot.platforms.discord.app import serve as serve_discord
from bot.platforms.slack import stream_policy, surface
from bot.platforms.slack.app import serve as serve_slack
from bot.store.database import local_processes
from bot.store.turns import leases
from knowledge.text.language_detection import detect_language

LOOP_CHECK_SECONDS = 0.02
"""Seconds between two checks of the event loop's delay."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a process runs. ``platforms``: slack, discord. It dies at the ``at``-th passage of ``point``."""

    name: str
    platforms: tuple[str, ...]
    settings: Mapping[str, Any]
    log: str
    point: str = ""
    at: int = 1
    sample_load: bool = False
    heap_log: Mapping[str, Any] | None = None
    """The fields of a ``HeapLog``, if the memory of the process is logged."""
    lease: float = 0.0
    """Seconds that a lease lasts, which other timeouts follow; 0 keeps the default."""
    away: float = 0.0
    """Seconds for which a final text is retried while its platform is away; 0 keeps the default."""
    apart: bool = False
    """Whether the process treats the others as if they ran on other machines."""
    workspaces: float = 1.0
    """Factor for Slack's limits on edits and started streams, as if for that many workspaces; see
    ``benchmarks.chaos.test_bed.SLACK_PACE``."""


async def work(spec: Spec, send: Send) -> None:
    """Serve until canceled; report ``ready`` when every platform is connected."""
    if spec.lease:
        _shorten_leases(spec.lease)
    if spec.away:
        final_retry.AWAY_SECONDS = spec.away
    if spec.apart:
        local_processes.pid_namespace = lambda: spec.name
    _raise_rate_limits(spec.workspaces)
    settings = Settings(_env_file=None, **{**spec.settings, "data_dir": Path("unused")})
    watched = overrides(CrashPointWatch(send, spec.point, spec.at))
    async with open_app(settings, warm=True, overrides=watched) as app, asyncio.TaskGroup() as group:
        ready = [asyncio.Event() for _ in spec.platforms]
        for platform, event in zip(spec.platforms, ready, strict=True):
            group.create_task(_serve(platform, app, event))
        if spec.sample_load:
            group.create_task(_send_load_samples(send))
        if spec.heap_log:
            await asyncio.to_thread(detect_language, "the model that detects languages is loaded once")
            group.create_task(write_heap_log(HeapLog(**spec.heap_log)))
        for event in ready:
            await event.wait()
        send({"ready": True})


def _shorten_leases(seconds: float) -> None:
    """Shorten leases, so that a run does not wait half a minute whenever a process is paused."""
    leases.LEASE = timedelta(seconds=seconds)
    lease.HEARTBEAT_SECONDS, lease.CONFIRM_SECONDS, reply_messages.SHOW_TIMEOUT = (
        seconds / 4,
        seconds * 0.45,
        seconds / 3,
    )


def _raise_rate_limits(workspaces: float) -> None:
    """Raise the rate limits: the users stand for many workspaces, each of which has limits of its own."""
    surface.LIMITS = replace(surface.LIMITS, edits_per_minute=(surface.LIMITS.edits_per_minute or 0) * workspaces)
    stream_policy.STARTS_PER_MINUTE = int(stream_policy.STARTS_PER_MINUTE * workspaces)


async def _serve(platform: str, app: App, ready: asyncio.Event) -> None:
    serve = serve_slack if platform == "slack" else serve_discord
    await serve(app.dispatcher, app.services, app.settings, ready=ready)


async def _send_load_samples(send: Send) -> None:
    """Report every second how late the loop was, in milliseconds, and what the process uses."""
    late: list[float] = []
    next_send = time.monotonic() + 1
    while True:
        before = time.perf_counter()
        await asyncio.sleep(LOOP_CHECK_SECONDS)
        late.append(round(1000 * (time.perf_counter() - before - LOOP_CHECK_SECONDS), 2))
        if time.monotonic() >= next_send:
            used = resource.getrusage(resource.RUSAGE_SELF)
            send({"late_ms": late, "cpu": used.ru_utime + used.ru_stime, "rss_mb": resident_mb()})
            late, next_send = [], time.monotonic() + 1
