"""Builds what Slack messages hold beside their text: rich text, forwarded messages, alerts of apps, and special files.

Sources: docs.slack.dev/reference/block-kit/blocks/rich-text-block, /reference/objects/file-object,
/apis/slack-connect (``check_file_info``). Slack does not document the fields of shared messages: it sends these.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.doubles.slack_world import Message

Json = dict[str, Any]

_CONTROL = re.compile(r"<([@#!]?)([^<>|]+)(?:\|([^<>]*))?>")


def rich_text(text: str) -> list[Json]:
    """Return the block that Slack adds to every message that a person types."""
    elements: list[Json] = []
    at = 0
    for found in _CONTROL.finditer(text):
        if found.start() > at:
            elements.append({"type": "text", "text": html.unescape(text[at : found.start()])})
        elements.append(_element(found[1], found[2], found[3]))
        at = found.end()
    if at < len(text):
        elements.append({"type": "text", "text": html.unescape(text[at:])})
    return [{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}]


def _element(sign: str, target: str, label: str | None) -> Json:
    match sign:
        case "@":
            return {"type": "user", "user_id": target}
        case "#":
            return {"type": "channel", "channel_id": target}
        case "!" if target.startswith("subteam^"):
            return {"type": "usergroup", "usergroup_id": target.removeprefix("subteam^")}
        case "!" if target.startswith("date^"):
            return {"type": "date", "timestamp": int(target.split("^")[1]), "format": "{date}", "fallback": label}
        case "!":
            return {"type": "broadcast", "range": target}
        case _:
            return {"type": "link", "url": html.unescape(target), **({"text": label} if label else {})}


def forwarded(message: Message, author: str, channel: str) -> Json:
    """Return the attachment with which Slack shares a message, or shows one whose link was posted."""
    text = message.now.text
    return {
        "ts": message.ts,
        "author_id": message.user,
        "author_name": author,
        "author_subname": author,
        "channel_id": message.channel,
        "channel_team": message.team,
        "is_msg_unfurl": True,
        "is_share": True,
        "is_thread_root_unfurl": False,
        "message_blocks": [
            {
                "team": message.team,
                "channel": message.channel,
                "ts": message.ts,
                "message": {"blocks": rich_text(text)},
            }
        ],
        "from_url": f"https://parley.slack.com/archives/{message.channel}/p{message.ts.replace('.', '')}",
        "fallback": f"[{message.ts}] {author}: {text}",
        "text": text,
        "mrkdwn_in": ["text"],
        "footer": f"Posted in #{channel}",
        **({"attachments": message.attachments} if message.attachments else {}),
    }


def canvas(file: Json, title: str) -> Json:
    """Return a shared file as a Canvas: Slack serves its content as HTML."""
    kind = {"mimetype": "application/vnd.slack-docs", "filetype": "quip", "pretty_type": "Canvas", "mode": "quip"}
    return {**file, **kind, "title": title}


def voice_clip(file: Json, transcript: str | None, *, has_more: bool = False) -> Json:
    """Return a shared file as a voice clip; without a ``transcript``, Slack is still writing it."""
    preview = {"preview": {"content": transcript, "has_more": has_more}} if transcript is not None else {}
    status = "processing" if transcript is None else "complete"
    transcription = {"status": status, "locale": "en-US", **preview}
    return {**file, "subtype": "slack_audio", "media_display_type": "audio", "transcription": transcription}
