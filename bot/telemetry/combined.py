"""Passes telemetry on to several receivers, and keeps their failures away from the answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from bot.engine.ports.telemetry import Telemetry
from bot.types.turns import Outcome, Turn
from bot.types.usage import Call
from knowledge.types.search_results import Found

log = logging.getLogger(__name__)


class CombinedTelemetry:
    """Reports to each receiver in order. A receiver that fails is logged once and asked again for the next report."""

    def __init__(self, receivers: Sequence[Telemetry]) -> None:
        self._receivers = tuple(receivers)
        self._failed: set[int] = set()

    def turn_began(self, turn: Turn) -> None:
        self._each(lambda receiver: receiver.turn_began(turn))

    def search_ended(self, turn: Turn, found: Found | None, milliseconds: float) -> None:
        self._each(lambda receiver: receiver.search_ended(turn, found, milliseconds))

    def call_ended(self, turn: Turn | None, call: Call) -> None:
        self._each(lambda receiver: receiver.call_ended(turn, call))

    def turn_ended(self, turn: Turn, outcome: Outcome | None) -> None:
        self._each(lambda receiver: receiver.turn_ended(turn, outcome))

    def _each(self, report: Callable[[Telemetry], None]) -> None:
        for place, receiver in enumerate(self._receivers):
            try:
                report(receiver)
            except Exception:
                if place not in self._failed:
                    self._failed.add(place)
                    log.exception("%s failed; answers go on without its reports", type(receiver).__name__)
