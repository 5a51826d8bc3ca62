"""Checks a message before it is stored as a question, and makes its texts storable."""

from __future__ import annotations

from dataclasses import replace

from bot.engine import user_messages
from bot.errors import NotAllowed, PlatformAway, UsageError
from bot.types.conversation import Incoming
from knowledge import refusal_counts
from knowledge.text.storable_text import storable


def checked(incoming: Incoming, max_chars: int) -> Incoming:
    """Make the texts storable, and give files without text a question.

    Raises UsageError for an empty question and one of more than ``max_chars`` characters; NotAllowed for a direct
    message by an outsider, and PlatformAway while the platform does not say whether its author is a member.
    """
    if incoming.audience.refused:
        if incoming.audience.readers == "unknown":
            raise PlatformAway(user_messages.MEMBERSHIP_UNKNOWN)
        refusal_counts.count("stranger", incoming.thread.tenant_id)
        raise NotAllowed(user_messages.not_direct(incoming.audience))
    incoming = with_storable_texts(incoming)
    files = [file.name for file in incoming.attachments if file.ref]
    if not incoming.text.strip() and files:
        incoming = replace(incoming, text=user_messages.what_is_in(files))
    if not incoming.text.strip():
        raise UsageError(user_messages.EMPTY_QUESTION)
    if len(incoming.text) > max_chars:
        raise UsageError(user_messages.too_long(max_chars))
    return incoming


def with_storable_texts(incoming: Incoming) -> Incoming:
    """Return the message with texts that the database can store."""
    files = tuple(
        replace(file, name=storable(file.name), content_type=storable(file.content_type))
        for file in incoming.attachments
    )
    author = replace(incoming.author, name=storable(incoming.author.name))
    return replace(incoming, text=storable(incoming.text), author=author, attachments=files)
