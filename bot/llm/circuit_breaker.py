"""When not to call: a circuit breaker for each provider, and a budget for every call beyond a request's first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Clock = Callable[[], float]


@dataclass(slots=True)
class Breaker:
    """Opens after ``threshold`` failures in a row and then lets one probe through per cooldown, which doubles.

    Times are seconds of ``clock``.
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
        """Whether the provider counts as down, a probe aside."""
        return self._opened > 0 or self._until > self.clock()

    @property
    def wait(self) -> float:
        """Seconds until the next call may go out."""
        return max(0.0, self._until - self.clock())

    @property
    def allows(self) -> bool:
        """Whether a call may go out now."""
        return self.wait == 0.0 and not (self._opened and self._probing)

    def begin(self) -> None:
        """A call goes out; while open it is the one probe."""
        self._probing = self._opened > 0

    def succeeded(self) -> None:
        """The provider works."""
        self._failures = self._opened = 0
        self._until = 0.0
        self._probing = False

    def failed(self, retry_after: float | None = None) -> None:
        """A failure, stall or broken stream; ``retry_after`` keeps everybody away for so long."""
        late = self._opened > 0 and self.wait > 0  # a call that began before the breaker opened
        self._failures += 0 if late else 1
        if not late and (self._opened or self._failures >= self.threshold):
            pause = min(self.longest, self.cooldown * 2**self._opened)
            self._opened += 1
            self._until = self.clock() + pause
        if retry_after:
            self._until = max(self._until, self.clock() + min(retry_after, self.longest))
        self._probing = False

    def dismiss(self) -> None:
        """The call was stopped by us and says nothing of the provider."""
        self._probing = False


@dataclass(slots=True)
class RetryBudget:
    """Every request earns a share of one extra call, so that an outage costs at most that share more calls."""

    share: float = 0.2
    most: float = 10.0
    _balance: float = field(default=3.0)

    def earn(self) -> None:
        self._balance = min(self.most, self._balance + self.share)

    def spend(self) -> bool:
        """Take one extra call; False when there is none left."""
        if self._balance < 1.0:
            return False
        self._balance -= 1.0
        return True
