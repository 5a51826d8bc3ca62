"""Shares the edit rate limit of each workspace among all processes.

An edit never waits for another process. Each process reports its active streams in a workspace, the streams it started
within the last minute, and its refusals; the others include that in their own limits within half a second. A process
that sends no report for some seconds (dead, paused or without database) no longer counts, and each process then relies
on what it sees itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from bot.engine.display.edit_pacing import SharedPacing
from bot.errors import ParleyError
from bot.types.display import Pacing

log = logging.getLogger(__name__)

REPORT_INTERVAL, REPEAT_INTERVAL, REPORT_LIFETIME = 0.3, 3.0, 10.0
"""Seconds between two reports, until an unchanged state is reported again, and until a received report expires."""
MINUTE = 60.0

Key = tuple[str, str]
Send = Callable[[Sequence[Pacing]], Awaitable[None]]


class WorkspacePacing:
    """The rate limiters of this process, by tenant and platform. ``process_id`` identifies it to other processes."""

    def __init__(
        self,
        process_id: int = 0,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._process = process_id
        self._monotonic = monotonic
        self._sleep = sleep
        self._limiters: dict[Key, SharedPacing] = {}
        self._received: dict[Key, dict[int, tuple[float, Pacing]]] = {}
        self._reported_at: dict[Key, float] = {}
        self._active: set[Key] = set()

    def of(self, tenant_id: str, platform: str, per_minute: float | None = None) -> SharedPacing:
        """Return the rate limiter of a workspace; ``per_minute`` is the platform's limit, if known."""
        key = (tenant_id, platform)
        if key not in self._limiters:
            self._limiters[key] = SharedPacing(on_change=partial(self._active.add, key))
        if per_minute is not None:
            self._limiters[key].set_limit(per_minute)
        return self._limiters[key]

    def receive_report(self, pacing: Pacing) -> None:
        """Apply the report of another process; reports of this process arrive too and are ignored. Never blocks."""
        if pacing.process_id == self._process:
            return
        now, key = self._monotonic(), (pacing.tenant_id, pacing.platform)
        self._received.setdefault(key, {})[pacing.process_id] = (now, pacing)
        self._active.add(key)
        self.of(pacing.tenant_id, pacing.platform).apply_report(now, pacing.slow, pacing.pause)
        self._apply_reports(key, now)

    async def serve(self, send: Send) -> None:
        """Send reports until cancelled. A report that could not be sent is repeated while it is still true."""
        while True:
            await self._sleep(REPORT_INTERVAL)
            try:
                if due := self.due(self._monotonic()):
                    await send(due)
            except ParleyError as error:
                log.debug("could not report edits to other processes: %s", error)
            except Exception:
                log.exception("could not report edits to other processes")

    def due(self, now: float) -> list[Pacing]:
        """Return the reports to send now and mark them as sent.

        Takes time proportional to the number of workspaces with edits.
        """
        reports = []
        for key in sorted(self._active):
            shared = self._limiters[key]
            self._apply_reports(key, now)
            report = self._report(key, shared, now)
            holds = shared.is_limited and bool(report.streams or report.starts or report.pause)
            if shared.changed or (holds and now - self._reported_at.get(key, float("-inf")) >= REPEAT_INTERVAL):
                shared.changed, self._reported_at[key] = False, now
                reports.append(report)
            if not holds and not self._received[key]:
                self._active.discard(key)
        return reports

    def _report(self, key: Key, shared: SharedPacing, now: float) -> Pacing:
        return Pacing(
            tenant_id=key[0],
            platform=key[1],
            process_id=self._process,
            streams=shared.streams,
            starts=shared.started(now),
            slow=shared.slow,
            pause=shared.blocked(now),
        )

    def _apply_reports(self, key: Key, now: float) -> None:
        """Add up the other processes' reports. Stream starts count for a minute, even those of a dead process."""
        recent = {who: report for who, report in self._received.get(key, {}).items() if report[0] > now - MINUTE}
        self._received[key] = recent
        shared = self._limiters[key]
        live = {who: pacing.streams for who, (at, pacing) in recent.items() if at > now - REPORT_LIFETIME}
        shared.remote_streams = sum(live.values())
        shared.processes_ahead = sum(who < self._process and streams > 0 for who, streams in live.items())
        shared.remote_starts = sum(pacing.starts for _, pacing in recent.values())
