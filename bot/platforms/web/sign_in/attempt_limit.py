"""Limits wrong tokens: per client and over all clients of this process."""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.types.bounded_mapping import RecentEntries
from knowledge import refusal_counts

WINDOW_SECONDS = 60.0
PER_CLIENT = 5
OVERALL = 60
MAX_CLIENTS = 10_000


@dataclass(slots=True)
class AttemptLimit:
    """Counts wrong attempts of the last minute. ``clock`` returns seconds."""

    clock: Callable[[], float]
    per_client: int = PER_CLIENT
    overall: int = OVERALL
    _by_client: RecentEntries[str, deque[float]] = field(default_factory=lambda: RecentEntries(MAX_CLIENTS))
    _all: deque[float] = field(default_factory=deque)

    def wait_seconds(self, client: str) -> float:
        """Return how long this client must wait before the next attempt, 0 if it may try now."""
        own = self._by_client.get(_network(client), deque[float]())
        return max(self._wait(own, self.per_client), self._wait(self._all, self.overall))

    def add_failure(self, client: str) -> None:
        """Count a wrong attempt."""
        refusal_counts.count("sign-in")
        now = self.clock()
        network = _network(client)
        own = self._by_client[network] = self._by_client.get(network) or deque(maxlen=self.per_client)
        own.append(now)
        self._all.append(now)
        while len(self._all) > self.overall:
            self._all.popleft()

    def _wait(self, failures: deque[float], limit: int) -> float:
        recent = [at for at in failures if at > self.clock() - WINDOW_SECONDS]
        return recent[-limit] + WINDOW_SECONDS - self.clock() if len(recent) >= limit else 0.0


def _network(client: str) -> str:
    """Return the client's address; its /64 network for IPv6, because one customer usually has at least that."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
