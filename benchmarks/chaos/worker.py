"""One process of the bot, as ``parley slack`` and ``parley discord`` run it, but with a fake search."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.chaos.crash_points import Tell, Watch, overrides
from bot.app import App, open_app
from bot.config import Settings
from bot.engine.answer import lease
from bot.engine.display import reply_messages
from bot.platforms.discord.app import serve as serve_discord
from bot.platforms.slack import native_streams, surface
from bot.platforms.slack.app import serve as serve_slack
from bot.store import leases

PULSE = 0.02
"""Seconds between two looks at how late the event loop is."""


@dataclass(frozen=True, slots=True)
class Spec:
    """The configuration of a process. ``platforms``: slack, discord. It dies at the ``at``-th passage of ``point``."""

    name: str
    platforms: tuple[str, ...]
    settings: Mapping[str, Any]
    log: str
    point: str = ""
    at: int = 1
    gauged: bool = False
    profile: str = ""
    lease: float = 0.0
    """Seconds that a lease lasts, with all that follows from it; 0: as it is shipped."""
    workspaces: float = 1.0
    """As many workspaces' worth of edits and of starts of streams as Slack allows; see ``stage.SLACK_PACE``."""


async def work(spec: Spec, tell: Tell) -> None:
    """Serve until cancelled; tells ``ready`` once every platform is connected."""
    if spec.lease:
        _shorten_leases(spec.lease)
    _allow_as_many(spec.workspaces)
    settings = Settings(_env_file=None, **{**spec.settings, "data_dir": Path("unused")})
    watched = overrides(Watch(tell, spec.point, spec.at))
    async with open_app(settings, warm=True, overrides=watched) as app, asyncio.TaskGroup() as group:
        ready = [asyncio.Event() for _ in spec.platforms]
        for platform, event in zip(spec.platforms, ready, strict=True):
            group.create_task(_serve(platform, app, event))
        if spec.gauged:
            group.create_task(_gauge(tell))
        for event in ready:
            await event.wait()
        tell({"ready": True})


def _shorten_leases(seconds: float) -> None:
    """So that a run need not wait for half a minute wherever a process is paused."""
    leases.LEASE = timedelta(seconds=seconds)
    lease.HEARTBEAT_SECONDS, lease.CONFIRM_SECONDS, reply_messages.SHOW_TIMEOUT = (
        seconds / 4,
        seconds * 0.45,
        seconds / 3,
    )


def _allow_as_many(workspaces: float) -> None:
    """The people are those of many workspaces in one: each would have a budget of its own."""
    surface.LIMITS = replace(surface.LIMITS, edits_per_minute=(surface.LIMITS.edits_per_minute or 0) * workspaces)
    native_streams.STARTS_PER_MINUTE = int(native_streams.STARTS_PER_MINUTE * workspaces)


async def _serve(platform: str, app: App, ready: asyncio.Event) -> None:
    serve = serve_slack if platform == "slack" else serve_discord
    await serve(app.dispatcher, app.services, app.settings, ready=ready)


async def _gauge(tell: Tell) -> None:
    """Tell every second how late the loop was, in milliseconds, and what the process uses."""
    late: list[float] = []
    next_tell = time.monotonic() + 1
    while True:
        before = time.perf_counter()
        await asyncio.sleep(PULSE)
        late.append(round(1000 * (time.perf_counter() - before - PULSE), 2))
        if time.monotonic() >= next_tell:
            used = resource.getrusage(resource.RUSAGE_SELF)
            tell({"late_ms": late, "cpu": used.ru_utime + used.ru_stime, "rss_mb": _rss_mb()})
            late, next_tell = [], time.monotonic() + 1


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
