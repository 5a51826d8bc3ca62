"""Puts a message that somebody else wrote into a question about it."""

from __future__ import annotations

from bot.platforms import user_messages

QUOTED_CHARS = 4_000
"""The most characters of the message that a question quotes."""


def question_about(question: str, message: str) -> str:
    """Return the question with the message quoted below it. Without a question, it asks about the message itself."""
    quoted = "\n".join(f"> {line}" for line in message.strip()[:QUOTED_CHARS].splitlines())
    if not quoted:
        return question.strip()
    if not question.strip():
        return f"{user_messages.ABOUT_THIS_MESSAGE}\n\n{quoted}"
    return f"{question.strip()}\n\n{user_messages.QUOTED_MESSAGE}\n{quoted}"
