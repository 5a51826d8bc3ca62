"""Reads the error bodies of providers and compatible servers: their own words, and the limits that the words name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_TOO_LONG = (
    "prompt is too long",
    "context length",
    "context_length",
    "context window",
    "context size",
    "context_size",
    "exceed context",
    "maximum model length",
    "max_model_len",
    "max_new_tokens` must be",
)
"""Phrases of servers that refuse a prompt because it does not fit the model's context."""
_NO_VISION = (
    "image input",
    "image_url is only supported",
    "support image",
    "supports image",
    "not a multimodal model",
    "at most 0 image",
)
_QUOTA_CODES = frozenset(
    ("insufficient_quota", "billing_error", "billing_not_active", "billing_hard_limit_reached", "payment_required")
)
_RATE_LIMIT_CODES = frozenset(("rate_limit_exceeded", "tokens", "requests"))
_NO_CREDIT = ("credit balance", "exceeded your current quota", "spend limit", "api usage limits")
_REQUEST_TOO_LARGE = "request too large"

_LIMIT = re.compile(
    r"(?:context[ _](?:length|window|size)|model length|max_model_len|n_ctx|must be <=)\D{0,20}?([0-9][0-9,]{0,14})"
    r"|> ([0-9][0-9,]{0,14}) maximum",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[0-9][0-9,]{0,14}")
_SMALLEST_LIMIT, _LARGEST_COUNT = 64, 100_000_000
"""A context of fewer tokens, or a prompt of more, is another number of the message."""


@dataclass(frozen=True, slots=True)
class ContextLimit:
    """A server's context in tokens, prompt and answer together, and the tokens that it counted, None if not named."""

    tokens: int
    counted: int | None = None


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The relevant fields of a server's error body. Missing ones are empty."""

    type: str = ""
    code: str = ""
    message: str = ""
    numbers: Mapping[str, int] = field(default_factory=dict)
    """Further fields that are numbers, such as llama.cpp's ``n_ctx``."""

    @classmethod
    def parse(cls, body: object) -> ErrorBody:
        """Parse an error body, or the part of it that an SDK passes on.

        Known shapes: the providers' ``{"error": {...}}``, FastAPI's ``{"detail": ...}``, plain objects with a message,
        and text.
        """
        inner = body
        for name in ("error", "detail"):
            if isinstance(inner, Mapping) and inner.get(name):
                inner = inner[name]
        if isinstance(inner, list) and inner:
            inner = inner[0]
        if not isinstance(inner, Mapping):
            return cls(message=str(inner or "")[:300])
        numbers = {str(name): value for name, value in inner.items() if type(value) is int}
        message = inner.get("message") or inner.get("msg") or ""
        return cls(str(inner.get("type") or ""), str(inner.get("code") or ""), str(message), numbers)

    @property
    def is_too_long(self) -> bool:
        """Return whether the prompt does not fit the model's context."""
        return self._mentions(_TOO_LONG)

    @property
    def is_about_images(self) -> bool:
        """Return whether the model accepts no images."""
        return self._mentions(_NO_VISION)

    @property
    def is_request_too_large(self) -> bool:
        """Return whether one request alone exceeds the limit of tokens per minute, so that waiting does not help."""
        return _REQUEST_TOO_LARGE in self.message.lower()

    @property
    def is_out_of_credit(self) -> bool:
        """Return whether the account cannot pay.

        The code decides. The words of an ordinary rate limit may also name a billing page.
        """
        if {self.type, self.code} & _QUOTA_CODES:
            return True
        return self.code not in _RATE_LIMIT_CODES and self._mentions(_NO_CREDIT)

    def is_about_model(self, model: str) -> bool:
        """Return whether the words concern a model, not the address."""
        return "model" in f"{self.type} {self.code} {self.message}".lower() or model.lower() in self.message.lower()

    @property
    def context_limit(self) -> ContextLimit | None:
        """Return the context that the words name; None if they name none."""
        if "n_ctx" in self.numbers:
            return ContextLimit(self.numbers["n_ctx"], self.numbers.get("n_prompt_tokens"))
        found = _LIMIT.search(self.message)
        if found is None:
            return None
        limit = _number(found[1] or found[2])
        if limit < _SMALLEST_LIMIT:
            return None
        larger = [number for number in map(_number, _NUMBER.findall(self.message)) if limit < number < _LARGEST_COUNT]
        return ContextLimit(limit, max(larger, default=None))

    @property
    def excerpt(self) -> str:
        """Return the message on one line of at most 160 characters, without its full stop."""
        line = " ".join(self.message.split()).rstrip(".")
        return line if len(line) <= 160 else f"{line[:157]}..."

    def _mentions(self, phrases: tuple[str, ...]) -> bool:
        text = f"{self.type} {self.code} {self.message}".lower()
        return any(phrase in text for phrase in phrases)


def _number(digits: str) -> int:
    return int(digits.replace(",", "") or 0)
