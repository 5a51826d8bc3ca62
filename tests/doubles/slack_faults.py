"""Injects faults into the Slack double: errors that Slack documents, rate limits and lost responses."""

from __future__ import annotations

from collections import defaultdict

from tests.doubles import slack_errors


class Faults:
    """The faults that tests request. Each happens once, in the next calls of its method."""

    def __init__(self) -> None:
        self._errors: dict[str, list[str]] = defaultdict(list)
        self._retry_afters: dict[str, list[int]] = defaultdict(list)
        self._lost_responses: dict[str, int] = defaultdict(int)

    def fail_next(self, method: str, error: str) -> None:
        """Let the next call of the method return this error, which Slack must document for it."""
        slack_errors.check(method, error)
        self._errors[method].append(error)

    def limit_next(self, method: str, seconds: int) -> None:
        """Let the next call of the method return 429 with this Retry-After."""
        self._retry_afters[method].append(seconds)

    def lose_next(self, method: str) -> None:
        """Execute the next call of the method, then break the connection before the response."""
        self._lost_responses[method] += 1

    def scripted_loss(self, method: str) -> bool:
        """Return whether to lose this response, once for each ``lose_next``."""
        self._lost_responses[method] -= 1
        return self._lost_responses[method] >= 0

    def scripted_error(self, method: str) -> str | None:
        """Return the next injected error, once."""
        return self._errors[method].pop(0) if self._errors[method] else None

    def scripted_wait(self, method: str) -> int | None:
        """Return the next injected Retry-After, once."""
        return self._retry_afters[method].pop(0) if self._retry_afters[method] else None
