"""Circuit breaker for one model of a provider, and a retry budget for calls beyond a request's first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Clock = Callable[[], float]


@dataclass(slots=True)
class Breaker:
    """Opens after ``threshold`` failures in a row. It then allows one probe per cooldown, which doubles each time.

    Times are in seconds of ``clock``.
    """

    clock: Clock
    threshold: int = 5
    cooldown: float = 15.0
    longest: float = 240.0
    _failures: int = 0
    _opened: int = 0
    _until: float = 0.0
    _probing: bool = False

    @property
    def is_open(self) -> bool:
        """Return whether the model counts as down; a probe may still be allowed."""
        return self._opened > 0 or self._until > self.clock()

    @property
    def wait(self) -> float:
        """Return the seconds until the next call is allowed."""
        return max(0.0, self._until - self.clock())

    @property
    def allows(self) -> bool:
        """Return whether a call is allowed now."""
        return self.wait == 0.0 and not (self._opened and self._probing)

    def begin(self) -> bool:
        """Record the start of a call, and return whether it is the probe of an open breaker."""
        self._probing = self._opened > 0
        return self._probing

    def succeeded(self) -> None:
        """Record a success and close the breaker."""
        self._failures = self._opened = 0
        self._until = 0.0
        self._probing = False

    def failed(self, retry_after: float | None = None) -> None:
        """Record a failure, stall or broken stream; ``retry_after`` blocks all calls for that many seconds."""
        late = self._opened > 0 and self.wait > 0  # This call started before the breaker opened.
        self._failures += 0 if late else 1
        if not late and (self._opened or self._failures >= self.threshold):
            pause = min(self.longest, self.cooldown * 2**self._opened)
            self._opened += 1
            self._until = self.clock() + pause
        if retry_after:
            self._until = max(self._until, self.clock() + min(retry_after, self.longest))
        self._probing = False

    def dismiss(self) -> None:
        """Record that the probe has ended. A probe that neither succeeded nor failed may be followed by another."""
        self._probing = False


@dataclass(slots=True)
class RetryBudget:
    """Limits retries. Every request earns a share of one retry, so an outage adds at most that share of calls."""

    share: float = 0.2
    limit: float = 10.0
    _balance: float = field(default=3.0)

    def earn(self) -> None:
        self._balance = min(self.limit, self._balance + self.share)

    def spend(self) -> bool:
        """Take one retry from the budget; return False if none is left."""
        if self._balance < 1.0:
            return False
        self._balance -= 1.0
        return True
