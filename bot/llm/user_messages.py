"""All texts about models for users: errors of providers, and the texts of the extractive answerer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

# --- the extractive answerer

EXTRACTIVE_INTRO = "No model is configured, so I only quote the documents."
CANNOT_SEE_IMAGE = "No model is configured, so I cannot see the image. I only use the text."
NOTHING_FOUND = (
    "I found nothing about this in the documents. "
    "No model is configured, so I can only quote them: add a document about it, or rephrase your question."
)
OVERVIEW_INTRO = (
    "No model is configured, so I cannot summarize. These messages say the most. An admin can set the key of a model."
)
OVERVIEW_IN_OUTAGE = "No model can answer at the moment, so I cannot summarize. These messages say the most."
OUTAGE_INTRO = "No model can answer at the moment, so I only quote the documents. Ask again later for a full answer."
IMAGE_IN_OUTAGE = "No model can answer at the moment, so I cannot see the image. I only use the text."
NOTHING_FOUND_IN_OUTAGE = (
    "No model can answer at the moment, and I found nothing to quote about this in the documents. Ask again later."
)
NO_USABLE_MODEL_INTRO = (
    "No model can answer, so I only quote the documents. An admin must correct the setup: asking again does not help."
)
NOTHING_FOUND_WITHOUT_USABLE_MODEL = (
    "No model can answer, and I found nothing to quote about this in the documents. An admin must correct the setup."
)
QUOTED_INSTEAD = "no model could answer. The passages are quoted instead"
FACT_SAVED = "I will remember this in this thread. `/memory` shows and deletes it."
SAID_IN_THREAD = "Said in this thread:"
SMALL_TALK = {
    "thanks": "Glad to help. Ask me a question, and I will search the documents.",
    "greeting": "Hello. Ask me a question, and I will search the documents.",
    "about the bot": (
        "I answer questions from your team's documents, and cite the passages that each answer is based on. "
        "Ask me something in plain words."
    ),
}

# --- errors of a provider; ``label`` is its name, the settings are environment variables


def unreachable(label: str, reason: str, url_setting: str) -> str:
    return f"{label} could not be reached ({reason}). Check the network and {url_setting}."


def cannot_connect(label: str, reason: str, url_setting: str, key_setting: str) -> str:
    return f"The connection to {label} could not be set up ({reason}). Check {url_setting} and {key_setting}."


def no_answer_in_time(label: str) -> str:
    return f"{label} did not answer in time. Try again in a minute."


def unreadable(label: str, reason: str, url_setting: str) -> str:
    return f"{label} sent an unreadable response ({reason}). Try again. If it happens again, check {url_setting}."


def unfinished(label: str) -> str:
    return f"{label} stopped in the middle of its answer. Try again."


def web_page(label: str, url_setting: str, *, openai: bool) -> str:
    hint = " and usually ends in /v1." if openai else "."
    return (
        f"{label} answered with a web page instead of its API. Check {url_setting}: it must be the API's address{hint}"
    )


def too_long(model: str) -> str:
    return f"The question with its context is too long for {model}. Ask a shorter question, or start a new thread."


def cannot_see_images(model: str) -> str:
    return f"{model} cannot see images. Ask without the image, or ask an admin for a model that can."


def no_credit(label: str) -> str:
    return f"{label} has no credit left. Add credit in the provider's billing settings."


def key_rejected(label: str, key_setting: str) -> str:
    return f"{label} rejected the key (401). Check {key_setting}."


def model_forbidden(label: str, model: str, key_setting: str) -> str:
    return f"{label} does not allow this key to use {model} (403). Check {key_setting} and its permissions."


def wrong_address(label: str, status: int, url_setting: str, *, openai: bool) -> str:
    hint = " It usually ends in /v1." if openai else ""
    return f"{label} has no chat API at this address ({status}). Check {url_setting}.{hint}"


def unknown_model(label: str, model: str, status: int, url_setting: str) -> str:
    settings = f"PARLEY_CHEAP_MODEL and PARLEY_STRONG_MODEL, and {url_setting} if it is set"
    return f"{label} does not know {model} ({status}). Check {settings}."


def rate_limited(label: str) -> str:
    return f"{label} limits the number of requests (429). Try again in a minute."


def overloaded(label: str, status: int) -> str:
    return f"{label} is overloaded ({status}). Try again in a minute."


def request_too_large(label: str, words: str) -> str:
    advice = f"Lower PARLEY_PROMPT_TOKENS, or raise the limit at {label}."
    return f"The request is larger than {label} allows (429: {words}). {advice}"


def server_error(label: str, status: int, words: str = "") -> str:
    return f"{label} failed ({status}){_quoted(words)}. Try again in a minute."


def failed_in_stream(label: str, words: str) -> str:
    return f"{label} reported an error{_quoted(words)}. Try again in a minute."


def request_rejected(label: str, status: int, excerpt: str) -> str:
    return f"{label} rejected the request ({status}){_quoted(excerpt)}."


def _quoted(words: str) -> str:
    return f": {words}" if words else ""


# --- errors of one answer

REASONING_DISCARDED = "the text so far was the model's reasoning"


def no_text_before_limit(label: str) -> str:
    return f"{label} used all its tokens before it wrote any text. Increase PARLEY_ANSWER_TOKENS."


def empty_answer(label: str) -> str:
    return f"{label} gave an empty answer. Ask again, or rephrase your question."


def stalled(label: str, *, after_text: bool) -> str:
    where = "in the middle of its answer" if after_text else "before it began to answer"
    return f"{label} stopped responding {where}. Try again in a minute."


def no_model_available(failures: Iterable[str], *, charged: bool, wrong_setup: bool = False) -> str:
    """Return the error after all providers failed; ``failures`` are ``NAME: REASON``."""
    advice = "Run 'parley doctor': it says what to correct." if wrong_setup else "Try again in a minute."
    advice = advice if charged else f"Nothing was charged. {advice}"
    return f"No model could answer ({'; '.join(failures)}). {advice}"


BREAKER_OPEN = "paused after repeated failures"
_REASONS = {
    "address": "wrong address",
    "auth": "rejected the key",
    "connection": "not reachable",
    "context": "question too long",
    "empty": "empty answer",
    "first_token": "no answer in time",
    "idle": "stopped in the middle of the answer",
    "images": "cannot see images",
    "model": "unknown model",
    "overloaded": "overloaded",
    "protocol": "unreadable response",
    "quota": "no credit left",
    "rate_limit": "rate limit reached",
    "request": "rejected the request",
    "server": "internal error",
    "setting": "not set up correctly",
    "thought": "used all its tokens before writing",
    "timeout": "no answer in time",
    "too_large": "request too large",
    "total": "no answer in time",
    "unfinished": "broke off",
    "web_page": "a web page instead of an API",
}


def reason(kind: str) -> str:
    """Return the reason for an error of this kind in a few words."""
    return _REASONS.get(kind, "failed")


def retried(label: str, kind: str) -> str:
    return f"{label}: {reason(kind)}, retried"


def fell_back(label: str, kind: str, next_label: str) -> str:
    return f"{label}: {reason(kind)}, fell back to {next_label}"


# --- errors of structured output


def wrong_format(error: str, *, retried_later: bool = False) -> str:
    advice = "It is requested again later." if retried_later else "Try again."
    return f"The model's answer does not have the requested format ({error}). {advice}"


def incomplete(cause: Literal["refused", "cut"]) -> str:
    problem = "declined to answer" if cause == "refused" else "ran out of tokens before the end of its answer"
    return f"The model {problem}. Try another question."


def not_rewritten_in_time(seconds: float) -> str:
    return f"The model did not rewrite the question within {seconds:g} s. Ask again."


# --- errors of batches


def batch_unknown(label: str) -> str:
    return f"{label} does not have this batch, or no longer has it. Submit it again."


def no_batch_api(label: str, url_setting: str) -> str:
    return f"{label} has no batch API at this address. Check {url_setting}."


def batch_running(label: str) -> str:
    return f"{label} is still processing this batch, which takes up to 24 hours. Try again later."


def no_batch_result(label: str, cause: Literal["cancelled", "expired", "missing"]) -> str:
    causes = {
        "cancelled": "was cancelled before it was processed",
        "expired": "was not processed within 24 hours",
        "missing": "is not among the results",
    }
    return f"{label}: this prompt {causes[cause]}. Submit it again."


BATCH_EMPTY = "A batch needs at least one prompt."
BATCH_LOST = "This batch was lost when its process ended. Submit it again."
BATCH_UNFINISHED = "The model's answer is incomplete. Submit it again."


def batch_too_large(limit: int, count: int) -> str:
    return f"A batch can have at most {limit} prompts, not {count}. Submit several batches."


def invalid_batch_id(text: str) -> str:
    return f"{text!r} is not a batch ID. Write PROVIDER:ID, as shown when the batch was submitted."


# --- errors of images


def image_too_large(name: str, megabytes: float, limit: float) -> str:
    return f"{name} is too large ({megabytes:.1f} MB). Send one of at most {limit:.1f} MB, for example a JPEG."


def not_an_image(name: str) -> str:
    return f"{name} is not an image that models can read. Send PNG, JPEG, GIF or WebP."


def too_many_pixels(name: str, limit: int) -> str:
    return f"{name} has too many pixels. Send one of at most {limit} pixels on each side."


# --- settings


def key_missing(setting: str, model: str, key_setting: str) -> str:
    return f"{setting}: {model} needs {key_setting}, which is not set. Set it, or change the model."


# --- checks

CHECK_BROKE_CURE = "The log has the details."
