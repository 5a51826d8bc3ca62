"""Rate limits message edits: when the next edit of a message may go out. The time is an argument, in seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from bot.errors import RateLimited

SLOWER, FASTER, SLOWEST = 2.0, 0.9, 8.0
"""How the interval of one message changes after a refusal and after a success, and its largest multiple."""
BACKOFF, LONGEST_BACKOFF = 0.5, 8.0
"""Seconds to wait after a failed edit, doubled with each further failure, and the longest such wait."""
BURST = 5
"""Final edits that may go out at once in addition to the even spacing. Drafts do not use this burst."""
DRAFT_MARGIN = 1.1
"""Factor for the spacing of drafts while several processes edit.

Processes learn of each other with a delay, and each may always send one final edit before its drafts.
"""
WIDEST_FINAL = 2.0
"""Largest multiple of the promised spacing for final edits.

A final edit waits as long as the platform demands, but not for the additional slowdown learned from refusals.
"""
WIDER, NARROWER, WIDEST = 1.5, 0.98, 8.0
"""How the spacing of a workspace changes after a refusal and after a success, and its largest multiple."""


def _ignore_change() -> None:
    """Do nothing: the default for a process that shares no state with others."""


class SharedPacing:
    """Rate limiter for all edits of one workspace: evenly spaced, final edits before drafts.

    ``per_minute`` is the number of edits that the platform allows; None if the platform's library handles the rate
    limit. After a refusal, all edits pause for as long as the platform says and the spacing widens; each success
    narrows it again.

    ``bot.engine.display.workspace_pacing`` sets ``remote_streams``, ``remote_starts`` and ``processes_ahead`` from the
    reports of other processes. Each process uses a share of the minute equal to its share of all active streams, so a
    process without streams uses nothing. ``on_change`` is called when other processes should learn of a change; it must
    not block.
    """

    def __init__(self, per_minute: float | None = None, on_change: Callable[[], None] = _ignore_change) -> None:
        self._promised_gap = 0.0
        self._slow = 1.0
        self._reserved_until = 0.0
        self._blocked_until = 0.0
        self._widened_at = float("-inf")
        self._starts: deque[float] = deque()
        self._on_change = on_change
        self.streams = 0
        """Active streams of this process; a stream is active until its end is shown."""
        self.remote_streams = 0
        """Active streams of other processes."""
        self.remote_starts = 0
        """Streams that other processes started within the last minute."""
        self.processes_ahead = 0
        """Processes that resume before this one after a pause."""
        self.changed = False
        """Whether anything changed since the last report to other processes."""
        self.set_limit(per_minute)

    def set_limit(self, per_minute: float | None) -> None:
        """Set the number of edits per minute that the platform allows in this workspace."""
        self._promised_gap = 60.0 / per_minute if per_minute else 0.0

    @property
    def is_limited(self) -> bool:
        """Whether the platform sets a rate limit that processes must share."""
        return self._promised_gap > 0

    def begin(self) -> None:
        """Count a stream of this process as active."""
        self.streams += 1
        self._report_change()

    def end(self) -> None:
        """Stop counting a stream of this process."""
        self.streams -= 1
        self._report_change()

    @property
    def slow(self) -> float:
        """The current multiple of the promised spacing; above 1 after a refusal."""
        return self._slow

    @property
    def interval(self) -> float:
        """Seconds between two drafts of one stream if all streams take turns."""
        return self._gap * (max(1, self.streams) + self.remote_streams)

    @property
    def _gap(self) -> float:
        """Seconds between two edits of the workspace."""
        return self._promised_gap * self._slow

    @property
    def _step(self) -> float:
        """Seconds between two edits of this process."""
        return self._gap * self._step_in_gaps

    @property
    def _step_in_gaps(self) -> float:
        return 1 + self.remote_streams / max(1, self.streams)

    def blocked(self, now: float) -> float:
        """Return the seconds during which no edit is allowed."""
        return max(0.0, self._blocked_until - now)

    def reserve_draft(self, now: float, share: float = 1.0) -> float:
        """Reserve a draft edit: return 0 if it may be sent now, otherwise the seconds until the next attempt.

        ``share`` is the fraction of an edit that it counts as.
        """
        wait = max(self._blocked_until, self._reserved_until) - now
        if wait > 0:
            return wait
        self._reserved_until = now + self._step * share * (DRAFT_MARGIN if self.remote_streams else 1.0)
        return 0.0

    def reserve_final(self, now: float) -> float:
        """Reserve a final edit and return the seconds it has to wait. All processes share one burst."""
        gap = self._promised_gap * min(self._slow, WIDEST_FINAL)
        step = gap * self._step_in_gaps
        ahead = max(DRAFT_MARGIN * step, (BURST + 1) * gap - step)
        wait = max(self._blocked_until - now, self._reserved_until - ahead - now, 0.0)
        self._reserved_until = max(self._reserved_until, now) + step
        return wait

    def start(self, now: float, most: int) -> bool:
        """Reserve one of the ``most`` stream starts per minute of all processes; return False if none is left.

        At most a third of them start within one second, because other processes may not know of them yet.
        """
        recent = self.started(now)
        if recent + self.remote_starts >= most or sum(at > now - 1.0 for at in self._starts) >= max(1, most // 3):
            return False
        self._starts.append(now)
        self._report_change()
        return True

    def started(self, now: float) -> int:
        """Return the number of streams that this process started within the last minute."""
        while self._starts and self._starts[0] <= now - 60.0:
            self._starts.popleft()
        return len(self._starts)

    def done(self) -> None:
        """Narrow the spacing after a successful edit.

        The edit counts several times if other processes have more streams.
        """
        self._slow = max(1.0, self._slow * NARROWER**self._step_in_gaps)

    def refused(self, now: float, retry_after: float) -> None:
        """Pause after the platform refused an edit, and widen the spacing.

        Refusals of edits that were in flight together count as one. A refusal while final edits are sent ahead of the
        even spacing does not widen the spacing, because it says nothing about that spacing.
        """
        in_even_spacing = self._reserved_until - now < 1.5 * self._step
        if now >= self._blocked_until and in_even_spacing and now - self._widened_at >= self._step:
            self._slow = min(self._slow * WIDER, WIDEST)
            self._widened_at = now
        self._pause(now + retry_after)
        self._report_change()

    def apply_report(self, now: float, slow: float, pause: float) -> None:
        """Apply another process's report: its spacing multiple ``slow`` and its ``pause`` after a refusal.

        ``pause`` is in seconds, 0 without a refusal; ``slow`` alone is applied only while this process has not edited.
        """
        if pause > 0 or not self._reserved_until:
            self._widened_at = now if slow > self._slow * 1.2 else self._widened_at
            self._slow = min(max(self._slow, slow), WIDEST)
        if pause > 0:
            self._pause(now + pause)

    def _pause(self, until: float) -> None:
        """Stop edits; after the pause the processes resume one after the other."""
        self._blocked_until = max(self._blocked_until, until)
        self._reserved_until = max(self._reserved_until, self._blocked_until + self.processes_ahead * self._gap)

    def _report_change(self) -> None:
        if self.is_limited:
            self.changed = True
            self._on_change()


class EditPacing:
    """Rate limiter for the edits of one message. Rate limits and failures slow it down, successes speed it up.

    ``interval`` is the seconds between two edits. Appends may have a shorter interval, which callers pass each time.
    """

    def __init__(self, interval: float, shared: SharedPacing | None = None) -> None:
        self._base = interval
        self._interval = interval
        self._next = 0.0
        self._blocked_until = 0.0
        self._failures = 0
        self._shared = shared or SharedPacing()

    def wait(self, now: float) -> float:
        """Return the seconds until the next draft edit."""
        return max(0.0, self._next - now, self.blocked(now))

    def blocked(self, now: float) -> float:
        """Return the seconds that even the final text has to wait."""
        return max(0.0, self._blocked_until - now, self._shared.blocked(now))

    def reserve_draft(self, now: float, interval: float | None = None) -> float:
        """Reserve a draft edit: return 0 if it may be sent now, otherwise the seconds until the next attempt."""
        return self.wait(now) or self._shared.reserve_draft(now, self._share(interval))

    def reserve_final(self, now: float) -> float:
        """Reserve a final edit and return the seconds it has to wait."""
        return max(self.blocked(now), self._shared.reserve_final(now))

    def done(self, now: float, interval: float | None = None) -> None:
        """Schedule the next edit after a successful one: in ``interval`` seconds, by default the usual interval."""
        self._shared.done()
        self._next = now + max(self._interval, self._shared.interval) * self._share(interval)
        self._interval = max(self._base, self._interval * FASTER)
        self._failures = 0

    def failed(self, now: float, error: Exception, latest: float = float("inf")) -> None:
        """Back off after a failed edit, until ``latest`` at most."""
        if isinstance(error, RateLimited):
            self._interval = min(self._interval * SLOWER, self._base * SLOWEST)
            pause = error.retry_after
        else:
            pause = min(BACKOFF * 2**self._failures, LONGEST_BACKOFF)
            self._failures += 1
        self._blocked_until = min(now + pause, latest)
        self._next = max(self._next, now + self._interval)

    def _share(self, interval: float | None) -> float:
        return 1.0 if interval is None or not self._base else interval / self._base

    def refused(self, now: float, error: RateLimited) -> None:
        """Slow the whole workspace down after the platform refused an edit."""
        self._shared.refused(now, error.retry_after)
