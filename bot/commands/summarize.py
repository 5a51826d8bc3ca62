"""The ``summarize`` command: summarizes the thread that it is written in, or the last day of its channel.

A mention is answered where it stands, as any question. A slash command is answered privately.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.commands import arguments, help_text, user_messages
from bot.commands.ask import NullSurface, private_answer
from bot.commands.base import Command, Context, Reply
from bot.engine import user_messages as engine_messages
from bot.engine.ports.surface import TranscriptReader
from bot.errors import UsageError
from bot.types.conversation import Attachment, ChatMessage, Extent

NAME = "summarize"
_QUESTIONS: dict[Extent, str] = {"thread": engine_messages.SUMMARIZE_THREAD, "day": engine_messages.SUMMARIZE_DAY}


async def run(context: Context, line: str) -> Reply:
    """Summarize privately. Raises UsageError where there are no messages to read."""
    if context.transcripts is None:
        raise UsageError(engine_messages.NO_MESSAGES_HERE)
    question, messages = request(line, in_thread=context.thread_id is not None)
    return await private_answer(context, question, (messages,), ReadingSurface(context.transcripts))


def request(line: str, *, in_thread: bool) -> tuple[str, Attachment]:
    """Return the question that asks for a summary, and the messages that it is about.

    ``thread`` or ``day`` in the line chooses between them; by default it is the thread, outside threads the last day.
    Raises UsageError.
    """
    words = [word.lower() for word in arguments.words(line)]
    extent: Extent
    match words:
        case []:
            extent = "thread" if in_thread else "day"
        case ["thread"] if in_thread:
            extent = "thread"
        case ["day"]:
            extent = "day"
        case _:
            raise UsageError(user_messages.wrong_usage(NAME, help_text.SUMMARIZE_USAGE))
    return _QUESTIONS[extent], Attachment(extent, "application/json", 0, _not_a_file, ref=extent, kind="messages")


async def _not_a_file() -> bytes:
    """Return nothing: the surface reads the messages when the question is answered."""
    return b""


class ReadingSurface(NullSurface):
    """Shows nothing, and reads messages for a private summary."""

    def __init__(self, transcripts: TranscriptReader) -> None:
        self._transcripts = transcripts

    async def transcript(self, extent: Extent) -> Sequence[ChatMessage]:
        return await self._transcripts.transcript(extent)


COMMAND = Command(NAME, help_text.SUMMARIZE_SUMMARY, help_text.SUMMARIZE_USAGE, run)
