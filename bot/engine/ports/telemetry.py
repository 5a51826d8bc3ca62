"""Port to telemetry: what is reported about turns, searches and model calls while they happen."""

from __future__ import annotations

from typing import Protocol

from bot.types.turns import Outcome, Turn
from bot.types.usage import Call
from knowledge.types.search_results import Found


class Telemetry(Protocol):
    """Receives what happens, at the moment at which it has happened. Never waits and never raises."""

    def turn_began(self, turn: Turn) -> None:
        """Report that this process has leased the turn."""

    def search_ended(self, turn: Turn, found: Found | None, milliseconds: float) -> None:
        """Report a search for the turn. ``found`` is None if it failed or if there was nothing to search."""

    def call_ended(self, turn: Turn | None, call: Call) -> None:
        """Report a model call for the turn, successful or not. Calls for the thread's memory follow the turn's end.

        ``turn`` is None for a call that answers nobody: that of a judge, or for a digest.
        """

    def turn_ended(self, turn: Turn, outcome: Outcome | None) -> None:
        """Report how the turn ended; None if this process left it to another one."""


class NoTelemetry:
    """Telemetry that nobody receives."""

    def turn_began(self, turn: Turn) -> None:
        return None

    def search_ended(self, turn: Turn, found: Found | None, milliseconds: float) -> None:
        return None

    def call_ended(self, turn: Turn | None, call: Call) -> None:
        return None

    def turn_ended(self, turn: Turn, outcome: Outcome | None) -> None:
        return None
