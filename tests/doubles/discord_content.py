"""Builds what Discord messages hold beside their content: forwards, polls and stickers.

Source: docs.discord.com/developers/resources/message (message snapshots, sticker items) and /resources/poll.
"""

from __future__ import annotations

from tests.doubles.discord_models import Json, Message, now

FORWARD = 1
"""The type of a reference with which a message forwards another."""


def snapshot(message: Message) -> Json:
    """Return the copy of a message that a forward of it has: without its author."""
    kind = message.kind if message.kind is not None else 19 if is_reply(message) else 0
    return {
        "message": {
            "type": kind,
            "content": message.content,
            "embeds": message.embeds,
            "attachments": [file.payload() for file in message.attachments],
            "timestamp": now(),
            "edited_timestamp": None,
            "flags": message.flags,
            "mentions": [],
            "mention_roles": [],
            "sticker_items": sticker_items(message),
            "components": [],
        }
    }


def is_reply(message: Message) -> bool:
    """Return whether a message replies to another; a forward does not."""
    return message.reference is not None and message.reference.get("type", 0) != FORWARD


def sticker_items(message: Message) -> list[Json]:
    """Return the stickers of a message."""
    numbered = enumerate(message.stickers, start=1)
    return [{"id": str(number), "name": name, "format_type": 1} for number, name in numbered]


def poll(question: str, *answers: str, votes: tuple[int, ...] = ()) -> Json:
    """Return a poll with its answers and their votes."""
    offered = enumerate(answers, start=1)
    counts = [{"id": at, "count": count, "me_voted": False} for at, count in enumerate(votes, start=1)]
    return {
        "question": {"text": question},
        "answers": [{"answer_id": at, "poll_media": {"text": text}} for at, text in offered],
        "expiry": now(),
        "allow_multiselect": False,
        "layout_type": 1,
        "results": {"is_finalized": False, "answer_counts": counts},
    }
