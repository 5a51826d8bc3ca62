"""The result of one check of ``parley doctor``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check. ``fix`` says what to do; it is empty if there is nothing to do."""

    name: str
    ok: bool
    detail: str
    fix: str = ""

    @classmethod
    def failed(cls, name: str, message: str) -> Check:
        """Return a failed check. The first sentence of the message is the problem, the rest is the fix."""
        problem, _, fix = message.partition(". ")
        return cls(name, False, problem.rstrip("."), fix)
