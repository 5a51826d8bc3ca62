"""Builds the Slack modals: the reason behind a 👎, and a question about a message. Makes no requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.platforms.slack import text_limits, user_messages

REASON_VIEW = "parley_reason"
MAX_INPUT_CHARS = 1_000
QUOTE_CHARS = 300


def reason_view(turn_id: str, channel_id: str, thread_ts: str) -> dict[str, Any]:
    """Return the modal that asks what was wrong with an answer."""
    return _modal(
        REASON_VIEW,
        text_limits.metadata({"turn_id": turn_id, "channel_id": channel_id, "thread_ts": thread_ts}),
        title=user_messages.REASON_TITLE,
        submit=user_messages.REASON_SUBMIT,
        close=user_messages.REASON_CLOSE,
        blocks=[_text_input("reason", user_messages.REASON_LABEL)],
    )


def about_view(callback_id: str, about: Mapping[str, str]) -> dict[str, Any]:
    """Return the modal that asks for a question about a message; ``about["said"]`` is the message's text."""
    quote = _plain(text_limits.plain(about["said"] or "…", QUOTE_CHARS))
    return _modal(
        callback_id,
        text_limits.metadata(about, shortened="said"),
        title=user_messages.ABOUT_TITLE,
        submit=user_messages.ABOUT_SUBMIT,
        close=user_messages.ABOUT_CLOSE,
        blocks=[{"type": "context", "elements": [quote]}, _text_input("question", user_messages.ABOUT_LABEL)],
    )


def _modal(
    callback_id: str,
    private_metadata: str,
    *,
    title: str,
    submit: str,
    close: str,
    blocks: list[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "type": "modal",
        "callback_id": callback_id,
        "private_metadata": private_metadata,
        "title": _plain(title),
        "submit": _plain(submit),
        "close": _plain(close),
        "blocks": blocks,
    }


def _text_input(block_id: str, label: str) -> dict[str, Any]:
    element = {"type": "plain_text_input", "action_id": "text", "multiline": True, "max_length": MAX_INPUT_CHARS}
    return {"type": "input", "block_id": block_id, "label": _plain(label), "element": element}


def _plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}
