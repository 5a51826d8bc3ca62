"""The exception hierarchy. Every error has a one-line message for users that says what to do.

ParleyError
├── ConfigError              a setting is invalid, or a port, token or database cannot be used as configured
│   └── Unreachable          a service does not answer at the moment: trying again may help
│       └── StoreAway        the database does not answer at the moment
├── UsageError               the request is invalid: empty question, unknown command, bad argument
├── Refused                  the bot refuses to answer and says why
│   ├── OverBudget           the daily token limit is reached; has the reset time
│   └── NotAllowed           the user may not do this
├── LeaseLost                another process took over the turn: stop writing
├── LLMError                 a model provider failed; ``retryable`` and ``retry_after`` say how to continue
│   └── ContextTooLong       the prompt does not fit the model's context
└── SurfaceError             a platform rejected a post or an edit
    ├── PlatformAway         the platform cannot be reached or fails: the same post or edit may succeed later
    ├── RateLimited          too many requests; has ``retry_after`` in seconds
    ├── EditRefused          the message can no longer be edited: the text must be posted anew
    ├── LayoutRefused        the message is too long or not laid out as the platform accepts: a simpler one may be
    └── MessageGone          the message, channel or token no longer exists: nothing can be shown
"""

from __future__ import annotations

from datetime import datetime

from bot.types.usage import BudgetOwner
from knowledge.text.secret_redaction import redact
from knowledge.text.storable_text import storable


class ParleyError(Exception):
    """An error whose message can be shown to users and stored. Secrets that it repeats are removed."""

    def __init__(self, message: str = "") -> None:
        super().__init__(redact(storable(message)))


class ConfigError(ParleyError):
    """A setting is invalid, or what it names cannot be used."""


class Unreachable(ConfigError):
    """What a setting names does not answer at the moment. Trying again may help."""


class StoreAway(Unreachable):
    """The database does not answer at the moment: stopped, unreachable, full or overloaded.

    The message is for the asker. ``detail`` has the reason and the fix for the operator.
    """

    def __init__(self, detail: str = "") -> None:
        super().__init__("My database does not answer at the moment. Try again in a minute. The log names the cause.")
        self.detail = redact(detail)


def for_operator(error: BaseException) -> str:
    """Return the message for the log, which may say more than the message for users. It is never empty."""
    detail = error.detail if isinstance(error, StoreAway) else ""
    return detail or redact(str(error)).strip() or type(error).__name__


def unforeseen(error: BaseException | None) -> BaseException | None:
    """Return the error if the log needs its traceback; None if its message is enough."""
    return None if isinstance(error, ParleyError) else error


class UsageError(ParleyError):
    """The request is invalid."""


class Refused(ParleyError):
    """The bot refuses to answer."""


class OverBudget(Refused):
    """The daily token limit of a user, a channel or the tenant is reached; ``whose`` says which."""

    def __init__(
        self, message: str, *, used: int, limit: int, resets_at: datetime, whose: BudgetOwner = "user"
    ) -> None:
        super().__init__(message)
        self.whose = whose
        self.used = used
        self.limit = limit
        self.resets_at = resets_at


class NotAllowed(Refused):
    """The user may not do this."""


class LeaseLost(ParleyError):
    """Another process took over the turn."""


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

    @property
    def needs_admin(self) -> bool:
        """Whether the setup is wrong, so that neither waiting nor another question helps."""
        return self.kind in ("address", "auth", "model", "quota", "setting", "setup", "web_page")


class ContextTooLong(LLMError):
    """The prompt does not fit the model's context.

    ``limit`` is the context in tokens, prompt and answer together, and ``counted`` what the server counted; both None
    if it did not say.
    """

    limit: int | None = None
    counted: int | None = None


class SurfaceError(ParleyError):
    """A platform rejected a post or an edit."""


class PlatformAway(SurfaceError):
    """The platform cannot be reached or fails at the moment. The same post or edit may succeed later."""


class RateLimited(SurfaceError):
    """The platform asks the bot to wait ``retry_after`` seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EditRefused(SurfaceError):
    """The message exists but can no longer be edited. The text can be posted anew."""


class LayoutRefused(SurfaceError):
    """The platform does not accept the message as it is laid out, however often it is sent."""


class MessageGone(SurfaceError):
    """The message, channel or token no longer exists, so nothing can be shown there."""
