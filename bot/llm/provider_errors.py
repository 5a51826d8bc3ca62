"""What providers say when they fail, in words for a person: every SDK and network error becomes one LLMError."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

from bot.errors import ContextTooLong, LLMError

_LONGEST_WAIT = 3600.0
_TOO_LONG = (
    "prompt is too long",
    "maximum context length",
    "context_length_exceeded",
    "exceed context",
    "context window",
)
_BLIND = (
    "image input",
    "image_url is only supported",
    "support image",
    "supports image",
    "not a multimodal model",
    "at most 0 image",
)
_NO_MONEY = ("insufficient_quota", "credit balance", "billing_error", "billing", "spend limit")
_STATUS_OF_TYPE = {
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


@dataclass(frozen=True, slots=True)
class Who:
    """A provider as its errors name it, with the settings that cure them."""

    provider: str
    label: str
    key: str
    url: str


@dataclass(frozen=True, slots=True)
class Said:
    """The parts of a provider's error body that matter."""

    type: str
    code: str
    message: str

    @classmethod
    def of(cls, body: object) -> Said:
        """Reads both shapes: Anthropic's ``{"error": {...}}`` and the inner object that the OpenAI SDK hands over."""
        inner = body.get("error", body) if isinstance(body, Mapping) else body
        if not isinstance(inner, Mapping):
            return cls("", "", str(inner or "")[:300])
        return cls(*(str(inner.get(name) or "") for name in ("type", "code", "message")))

    def mentions(self, words: tuple[str, ...]) -> bool:
        text = f"{self.type} {self.code} {self.message}".lower()
        return any(word in text for word in words)

    @property
    def excerpt(self) -> str:
        """The provider's own words on one short line."""
        line = " ".join(self.message.split())
        return line if len(line) <= 160 else f"{line[:157]}..."


def of_exception(who: Who, model: str, error: Exception, sdk: ModuleType) -> LLMError:
    """Translate whatever the SDK raised; ``sdk`` is the module of the SDK, both have the same names."""
    if isinstance(error, sdk.APIStatusError):
        return _of_answer(who, model, error)
    if _is_timeout(error, sdk):
        return _timeout(who, error)
    if isinstance(error, sdk.APIConnectionError) or type(error).__module__.startswith("httpx2"):
        reason = _innermost(error)
        return LLMError(
            f"{who.label} could not be reached ({reason}). Check the network and {who.url}.",
            provider=who.provider,
            retryable=True,
            kind="connection",
        )
    if isinstance(error, sdk.APIError):
        said = Said.of(getattr(error, "body", None) or str(error))
        return of_said(who, model, said)
    return unreadable(who, f"{type(error).__name__}")


def of_status(who: Who, model: str, status: int, said: Said, retry_after: float | None = None) -> LLMError:
    """What a status code and an error body mean."""
    if status == 413 or (status in (400, 422, 500) and said.mentions(_TOO_LONG)):
        return too_long(who, model, status)
    if status in (400, 404, 415, 422, 500, 501) and said.mentions(_BLIND):
        words, kind, retryable = _blind(model), "images", False
    else:
        words, kind, retryable = _words(who, model, status, said)
    return LLMError(
        words, provider=who.provider, retryable=retryable, retry_after=retry_after, status=status, kind=kind
    )


def _blind(model: str) -> str:
    return f"{model} cannot see images. Ask without the image, or let PARLEY_STRONG_MODEL name a model that sees."


def too_long(who: Who, model: str, status: int | None = None) -> ContextTooLong:
    """The prompt does not fit; ``status`` None where it was counted before it was sent."""
    return ContextTooLong(
        f"The question with its context is too long for {model}. Ask more briefly or in a new thread.",
        provider=who.provider,
        status=status,
        kind="context",
    )


def of_said(who: Who, model: str, said: Said) -> LLMError:
    """What an error body means that came without a status code."""
    return of_status(who, model, _status_of(said, 500), said)


def _words(who: Who, model: str, status: int, said: Said) -> tuple[str, str, bool]:
    """Sentence, kind, and whether another try may help."""
    if status in (400, 402, 403, 429) and (status == 402 or said.mentions(_NO_MONEY)):
        return f"The credit at {who.label} is spent. Raise it in the provider's billing settings.", "quota", False
    if status == 401:
        return f"{who.label} refused the key (401). Check {who.key}.", "auth", False
    if status == 403:
        return f"{who.label} does not let this key use {model} (403). Check {who.key} and its rights.", "auth", False
    if status in (404, 405):
        settings = f"PARLEY_CHEAP_MODEL and PARLEY_STRONG_MODEL, and {who.url} if it is set"
        return f"{who.label} does not know {model} ({status}). Check {settings}.", "model", False
    if status == 429:
        return f"{who.label} is limiting requests (429). Try again in a minute.", "rate_limit", True
    if status in (503, 529):
        return f"{who.label} is overloaded ({status}). Try again in a minute.", "overloaded", True
    if status >= 500 or status in (408, 409, 425):
        return f"{who.label} failed ({status}). Try again in a minute.", "server", True
    said_so = f": {said.excerpt}" if said.excerpt else ""
    return f"{who.label} rejected the request ({status}){said_so}.", "request", False


def web_page(who: Who, status: int | None = None) -> LLMError:
    """A wrong base URL answers with a web page."""
    return LLMError(
        f"{who.label} answered with a web page instead of its API. Check {who.url}: it must be the API's address"
        + (" and usually ends in /v1." if who.provider == "openai" else "."),
        provider=who.provider,
        status=status,
        kind="web_page",
    )


def unreadable(who: Who, reason: str) -> LLMError:
    """Broken JSON, bytes that are no text, or events that make no sense."""
    return LLMError(
        f"{who.label} sent something unreadable ({reason}). Try again; if it stays, check {who.url}.",
        provider=who.provider,
        retryable=True,
        kind="protocol",
    )


def unfinished(who: Who) -> LLMError:
    """The stream ended without its terminal event: the text may lack its end."""
    return LLMError(
        f"{who.label} broke off in the middle of its answer. Try again.",
        provider=who.provider,
        retryable=True,
        kind="unfinished",
    )


def is_web_page(content_type: str, text: str = "") -> bool:
    """Whether an answer is HTML."""
    return "html" in content_type.lower() or text.lstrip()[:15].lower().startswith(("<!doctype", "<html"))


def wait_asked(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that ``retry-after`` asks for, as number or date; None where it is missing or nonsense."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * scale
        except ValueError:
            date = email.utils.parsedate_tz(value)
            if date is None:
                continue
            seconds = email.utils.mktime_tz(date) - now
        if seconds == seconds:  # not NaN
            return min(max(seconds, 0.0), _LONGEST_WAIT)
    return None


def _of_answer(who: Who, model: str, error: Exception) -> LLMError:
    response = error.response  # type: ignore[attr-defined]
    body = error.body  # type: ignore[attr-defined]
    status: int = response.status_code
    page = is_web_page(response.headers.get("content-type", ""), body if isinstance(body, str) else "")
    if page and status < 500 and status not in (408, 429):
        return web_page(who, status)
    said = Said.of(body)
    # Anthropic reports an error inside a started stream with the status 200 of the stream.
    status = _status_of(said, 500) if status < 400 else status
    return of_status(who, model, status, said, wait_asked(response.headers, time.time()))


def _status_of(said: Said, default: int) -> int:
    for name in (said.type, said.code):
        if name in _STATUS_OF_TYPE:
            return _STATUS_OF_TYPE[name]
    return 400 if said.mentions(_TOO_LONG) or said.type == "invalid_request_error" else default


def _is_timeout(error: Exception, sdk: ModuleType) -> bool:
    """Their aiohttp transport also reports a refused connection as one that took too long."""
    if isinstance(error, sdk.APITimeoutError) or type(error).__name__.endswith("Timeout"):
        return not isinstance(_first(error), OSError) or isinstance(_first(error), TimeoutError)
    return False


def _timeout(who: Who, error: Exception) -> LLMError:
    reason = type(error.__cause__ or error).__name__
    connecting = reason in ("ConnectTimeout", "PoolTimeout")
    return LLMError(
        f"{who.label} did not answer in time. Try again in a minute.",
        provider=who.provider,
        retryable=True,
        kind="connection" if connecting else "timeout",
    )


def _innermost(error: BaseException) -> str:
    first = _first(error)
    line = " ".join(str(first).split())
    return line[:120] or type(first).__name__


def _first(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error
