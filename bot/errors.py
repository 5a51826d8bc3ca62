"""The tree of errors. A message is one line for a person and says what to do.

ParleyError
├── ConfigError        a setting is wrong, or a port, token or database cannot be used as set
│   └── StoreAway      the database does not answer just now
├── UsageError         the request itself is wrong: empty question, unknown command, bad argument
├── Refused            the bot will not answer this, and says why
│   ├── OverBudget     the daily token budget is spent; carries the reset time
│   └── NotAllowed     the person may not do this
├── LeaseLost          another process took the turn over: stop writing
├── LLMError           a model provider failed; ``retryable`` and ``retry_after`` say how to go on
│   └── ContextTooLong the prompt does not fit the model
└── SurfaceError       a platform refused a post or an edit
    ├── RateLimited    too many; carries ``retry_after`` in seconds
    └── MessageGone    the message, channel or token is no longer there: nothing can be shown
"""

from __future__ import annotations

from datetime import datetime

from bot.types.usage import BudgetOwner


class ParleyError(Exception):
    """Something failed; the message is fit for a person."""


class ConfigError(ParleyError):
    """A setting is wrong or what it names cannot be used."""


class StoreAway(ConfigError):
    """The database does not answer just now: stopped, unreachable, full or overloaded.

    The message is for whoever asked; ``detail`` is for the operator: the reason and the cure.
    """

    def __init__(self, detail: str = "") -> None:
        super().__init__("My database does not answer just now. Try again in a minute; the operator finds the cause.")
        self.detail = detail


def for_operator(error: BaseException) -> str:
    """What the log says of it: the reason and the cure, where the person who asked is told less."""
    return error.detail or str(error) if isinstance(error, StoreAway) else str(error)


def unforeseen(error: BaseException | None) -> BaseException | None:
    """The error if its traceback is worth a place in the log; None for one that says by itself what is wrong."""
    return None if isinstance(error, ParleyError) else error


class UsageError(ParleyError):
    """The request itself is wrong."""


class Refused(ParleyError):
    """The bot will not answer this."""


class OverBudget(Refused):
    """The daily token budget of a user, a channel or the tenant is spent: ``whose`` says which."""

    def __init__(
        self, message: str, *, used: int, limit: int, resets_at: datetime, whose: BudgetOwner = "user"
    ) -> None:
        super().__init__(message)
        self.whose = whose
        self.used = used
        self.limit = limit
        self.resets_at = resets_at


class NotAllowed(Refused):
    """The person may not do this."""


class LeaseLost(ParleyError):
    """Another process took the turn over."""


class LLMError(ParleyError):
    """A model provider failed."""

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        retryable: bool = False,
        retry_after: float | None = None,
        status: int | None = None,
        kind: str = "error",
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.retryable = retryable
        self.retry_after = retry_after
        self.status = status
        self.kind = kind


class ContextTooLong(LLMError):
    """The prompt does not fit the model."""


class SurfaceError(ParleyError):
    """A platform refused a post or an edit."""


class RateLimited(SurfaceError):
    """The platform asks to wait ``retry_after`` seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class MessageGone(SurfaceError):
    """Nothing can be shown there any more."""
