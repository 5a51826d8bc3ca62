"""Translates errors of provider SDKs and the network into LLMError: kind, retry hint and a message for users."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

from bot.errors import ContextTooLong, LLMError
from bot.llm import user_messages
from bot.llm.providers.error_body import ErrorBody
from knowledge.whole_numbers import whole_number

_MAX_RETRY_AFTER = 3600.0
_STATUS_OF_TYPE = {
    "invalid_api_key": 401,
    "model_not_found": 404,
    "context_length_exceeded": 400,
    "insufficient_quota": 429,
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
    if status == 413 or (status in (400, 422, 500) and body.is_too_long):
        return too_long(info, model, status, body)
    if status in (400, 404, 415, 422, 500, 501) and body.is_about_images:
        message, kind, retryable = user_messages.cannot_see_images(model), "images", False
    else:
        message, kind, retryable = _classify(info, model, status, body)
    return LLMError(message, provider=info.name, retryable=retryable, retry_after=retry_after, status=status, kind=kind)


def too_long(
    info: ProviderInfo, model: str, status: int | None = None, body: ErrorBody | None = None
) -> ContextTooLong:
    """Return the error for a prompt that does not fit; ``status`` is None if the prompt was counted and not sent."""
    error = ContextTooLong(user_messages.too_long(model), provider=info.name, status=status, kind="context")
    if body is not None and (limit := body.context_limit):
        error.limit, error.counted = limit.tokens, limit.counted
    return error


def from_error_body(info: ProviderInfo, model: str, body: ErrorBody) -> LLMError:
    """Translate an error body that came without a status code, such as an error event of a stream."""
    status = _status_of(body)
    if status is not None:
        return from_status(info, model, status, body)
    message = user_messages.failed_in_stream(info.label, body.excerpt)
    return LLMError(message, provider=info.name, retryable=True, kind="server")


def _classify(info: ProviderInfo, model: str, status: int, body: ErrorBody) -> tuple[str, str, bool]:
    """Return the message, the kind, and whether a retry may help."""
    label, words = info.label, body.excerpt
    if status == 402 or (status in (400, 403, 429) and body.is_out_of_credit):
        return user_messages.no_credit(label), "quota", False
    if status == 401:
        return user_messages.key_rejected(label, info.key_setting), "auth", False
    if status == 403:
        return user_messages.model_forbidden(label, model, info.key_setting), "auth", False
    if status in (404, 405):
        if body.is_about_model(model):
            return user_messages.unknown_model(label, model, status, info.url_setting), "model", False
        return user_messages.wrong_address(label, status, info.url_setting, openai=_is_openai(info)), "address", False
    if status == 429 and body.is_request_too_large:
        return user_messages.request_too_large(label, words), "too_large", False
    if status == 429:
        return user_messages.rate_limited(label), "rate_limit", True
    if status in (503, 529):
        return user_messages.overloaded(label, status), "overloaded", True
    if status >= 500 or status in (408, 409, 425):
        return user_messages.server_error(label, status, words), "server", True
    return user_messages.request_rejected(label, status, words), "request", False


def web_page(info: ProviderInfo, status: int | None = None) -> LLMError:
    """Return the error for a web page in place of an API response, which a wrong base URL causes."""
    return LLMError(
        user_messages.web_page(info.label, info.url_setting, openai=_is_openai(info)),
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


def is_event_stream(content_type: str) -> bool:
    """Return whether a response is a stream of server-sent events."""
    return content_type.lower().split(";")[0].strip() == "text/event-stream"


def is_json(content_type: str) -> bool:
    """Return whether a response is JSON, which a stream is not."""
    return content_type.lower().split(";")[0].strip().endswith("json")


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
    if is_page and status < 500 and status not in (408, 413, 429):
        return web_page(info, status)
    body = ErrorBody.parse(content)
    if status < 400:  # Anthropic reports an error inside a started stream with the status 200 of the stream.
        return from_error_body(info, model, body)
    return from_status(info, model, status, body, retry_after_of(response.headers, time.time()))


def _status_of(body: ErrorBody) -> int | None:
    """Return the status that an error body implies; None if it implies none."""
    for name in (body.code, body.type):
        if name in _STATUS_OF_TYPE:
            return _STATUS_OF_TYPE[name]
        if 400 <= (status := whole_number(name) or 0) < 600:
            return status
    return 400 if body.is_too_long or body.type == "invalid_request_error" else None


def _is_openai(info: ProviderInfo) -> bool:
    return info.name == "openai"


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
