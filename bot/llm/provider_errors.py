"""Translates errors of provider SDKs and the network into LLMError: kind, retry hint and a message for users."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

from bot.errors import ContextTooLong, LLMError
from bot.llm import user_messages

_MAX_RETRY_AFTER = 3600.0
_TOO_LONG = (
    "prompt is too long",
    "maximum context length",
    "context_length_exceeded",
    "exceed context",
    "context window",
)
_NO_VISION = (
    "image input",
    "image_url is only supported",
    "support image",
    "supports image",
    "not a multimodal model",
    "at most 0 image",
)
_NO_CREDIT = ("insufficient_quota", "credit balance", "billing_error", "billing", "spend limit")
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
class ProviderInfo:
    """A provider's name, its label in messages, and the settings that configure it."""

    name: str
    label: str
    key_setting: str
    url_setting: str


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The relevant fields of a provider's error body."""

    type: str = ""
    code: str = ""
    message: str = ""

    @classmethod
    def parse(cls, body: object) -> ErrorBody:
        """Parse both shapes: Anthropic's ``{"error": {...}}`` and the inner object that the OpenAI SDK passes on."""
        inner = body.get("error", body) if isinstance(body, Mapping) else body
        if not isinstance(inner, Mapping):
            return cls("", "", str(inner or "")[:300])
        return cls(*(str(inner.get(name) or "") for name in ("type", "code", "message")))

    def mentions(self, phrases: tuple[str, ...]) -> bool:
        text = f"{self.type} {self.code} {self.message}".lower()
        return any(phrase in text for phrase in phrases)

    @property
    def excerpt(self) -> str:
        """Return the provider's message on one line of at most 160 characters."""
        line = " ".join(self.message.split())
        return line if len(line) <= 160 else f"{line[:157]}..."


def from_exception(info: ProviderInfo, model: str, error: Exception, sdk: ModuleType) -> LLMError:
    """Translate an exception of the SDK. Both SDKs, given as the module ``sdk``, use the same names."""
    if isinstance(error, sdk.APIStatusError):
        return _from_response(info, model, error)
    if _is_timeout(error, sdk):
        return _timeout(info, error)
    if isinstance(error, sdk.APIConnectionError) or type(error).__module__.startswith("httpx2"):
        return LLMError(
            user_messages.unreachable(info.label, _root_message(error), info.url_setting),
            provider=info.name,
            retryable=True,
            kind="connection",
        )
    if isinstance(error, sdk.APIError):
        return from_error_body(info, model, ErrorBody.parse(getattr(error, "body", None) or str(error)))
    return unreadable(info, type(error).__name__)


def from_status(
    info: ProviderInfo, model: str, status: int, body: ErrorBody, retry_after: float | None = None
) -> LLMError:
    """Translate a status code and an error body."""
    if status == 413 or (status in (400, 422, 500) and body.mentions(_TOO_LONG)):
        return too_long(info, model, status)
    if status in (400, 404, 415, 422, 500, 501) and body.mentions(_NO_VISION):
        message, kind, retryable = user_messages.cannot_see_images(model), "images", False
    else:
        message, kind, retryable = _classify(info, model, status, body)
    return LLMError(message, provider=info.name, retryable=retryable, retry_after=retry_after, status=status, kind=kind)


def too_long(info: ProviderInfo, model: str, status: int | None = None) -> ContextTooLong:
    """Return the error for a prompt that does not fit; ``status`` is None if the prompt was counted and not sent."""
    return ContextTooLong(user_messages.too_long(model), provider=info.name, status=status, kind="context")


def from_error_body(info: ProviderInfo, model: str, body: ErrorBody) -> LLMError:
    """Translate an error body that came without a status code."""
    return from_status(info, model, _status_of(body, 500), body)


def _classify(info: ProviderInfo, model: str, status: int, body: ErrorBody) -> tuple[str, str, bool]:
    """Return the message, the kind, and whether a retry may help."""
    label = info.label
    if status in (400, 402, 403, 429) and (status == 402 or body.mentions(_NO_CREDIT)):
        return user_messages.no_credit(label), "quota", False
    if status == 401:
        return user_messages.key_rejected(label, info.key_setting), "auth", False
    if status == 403:
        return user_messages.model_forbidden(label, model, info.key_setting), "auth", False
    if status in (404, 405):
        return user_messages.unknown_model(label, model, status, info.url_setting), "model", False
    if status == 429:
        return user_messages.rate_limited(label), "rate_limit", True
    if status in (503, 529):
        return user_messages.overloaded(label, status), "overloaded", True
    if status >= 500 or status in (408, 409, 425):
        return user_messages.server_error(label, status), "server", True
    return user_messages.request_rejected(label, status, body.excerpt), "request", False


def web_page(info: ProviderInfo, status: int | None = None) -> LLMError:
    """Return the error for a web page in place of an API response, which a wrong base URL causes."""
    return LLMError(
        user_messages.web_page(info.label, info.url_setting, openai=info.name == "openai"),
        provider=info.name,
        status=status,
        kind="web_page",
    )


def unreadable(info: ProviderInfo, reason: str) -> LLMError:
    """Return the error for broken JSON, undecodable bytes or unexpected events."""
    return LLMError(
        user_messages.unreadable(info.label, reason, info.url_setting),
        provider=info.name,
        retryable=True,
        kind="protocol",
    )


def unfinished(info: ProviderInfo) -> LLMError:
    """Return the error for a stream that ended without its terminal event, so that its text may be incomplete."""
    return LLMError(user_messages.unfinished(info.label), provider=info.name, retryable=True, kind="unfinished")


def is_web_page(content_type: str, text: str = "") -> bool:
    """Return whether a response is HTML."""
    return "html" in content_type.lower() or text.lstrip()[:15].lower().startswith(("<!doctype", "<html"))


def retry_after_of(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that ``retry-after`` asks for, as number or date; None if it is missing or invalid."""
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
            return min(max(seconds, 0.0), _MAX_RETRY_AFTER)
    return None


def _from_response(info: ProviderInfo, model: str, error: Exception) -> LLMError:
    response = error.response  # type: ignore[attr-defined]
    content = error.body  # type: ignore[attr-defined]
    status: int = response.status_code
    is_page = is_web_page(response.headers.get("content-type", ""), content if isinstance(content, str) else "")
    if is_page and status < 500 and status not in (408, 429):
        return web_page(info, status)
    body = ErrorBody.parse(content)
    # Anthropic reports an error inside a started stream with the status 200 of the stream.
    status = _status_of(body, 500) if status < 400 else status
    return from_status(info, model, status, body, retry_after_of(response.headers, time.time()))


def _status_of(body: ErrorBody, default: int) -> int:
    for name in (body.type, body.code):
        if name in _STATUS_OF_TYPE:
            return _STATUS_OF_TYPE[name]
    return 400 if body.mentions(_TOO_LONG) or body.type == "invalid_request_error" else default


def _is_timeout(error: Exception, sdk: ModuleType) -> bool:
    """Return whether the provider timed out. The SDKs' aiohttp transport also reports a refused connection as one."""
    if isinstance(error, sdk.APITimeoutError) or type(error).__name__.endswith("Timeout"):
        root = _root_cause(error)
        return not isinstance(root, OSError) or isinstance(root, TimeoutError)
    return False


def _timeout(info: ProviderInfo, error: Exception) -> LLMError:
    cause = type(error.__cause__ or error).__name__
    while_connecting = cause in ("ConnectTimeout", "PoolTimeout")
    return LLMError(
        user_messages.no_answer_in_time(info.label),
        provider=info.name,
        retryable=True,
        kind="connection" if while_connecting else "timeout",
    )


def _root_message(error: BaseException) -> str:
    root = _root_cause(error)
    line = " ".join(str(root).split())
    return line[:120] or type(root).__name__


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error
