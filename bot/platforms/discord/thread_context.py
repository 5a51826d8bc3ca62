"""What stands around a question on Discord: the files beside it, the message it replies to, the thread above it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import discord

from bot.errors import SurfaceError
from bot.platforms.discord import parse
from bot.types.conversation import StoredAttachment, ThreadAbove
from bot.types.turns import Turn

READ = 300
"""Messages of a thread that are looked through, three requests at most."""
KEPT = 60
"""Messages of a long thread: its first, and the last ones before the question."""
MESSAGE_CHARS = 2_000
SPOKEN = (
    discord.MessageType.default,
    discord.MessageType.reply,
    discord.MessageType.chat_input_command,
    discord.MessageType.context_menu_command,
)
GONE = "it is no longer beside the message"


async def fetch(client: discord.Client, file: StoredAttachment) -> bytes:
    """The bytes of a file. Its message is read anew: the address of an attachment ends after a day.

    Raises SurfaceError, and what the library raises.
    """
    channel, message, number = (int(part) for part in file.ref.split("/"))
    found = await client.get_partial_messageable(channel).get_partial_message(message).fetch()
    for one in found.attachments:
        if one.id == number:
            return await one.read()
    raise SurfaceError(GONE)


async def above(client: discord.Client, turn: Turn) -> ThreadAbove | None:
    """What people and other bots wrote before the question: in its thread, or the message that it replies to.

    None where the question begins the conversation, and in direct messages. Raises what the library raises.
    """
    thread, asked = turn.thread, turn.message_id.partition(":")[0]
    if not thread.thread_id.isdecimal() or not asked.isdecimal() or thread.thread_id == thread.channel_id:
        return None
    if thread.thread_id == asked:
        said = await _answered(client, int(thread.channel_id), int(asked))
    else:
        said = await _thread(client, int(thread.channel_id), int(thread.thread_id), int(asked))
    me = client.user.id if client.user else 0
    counted = [one for one in said if one.author.id != me and one.type in SPOKEN and _text(one)]
    if not counted:
        return None
    kept = counted if len(counted) <= KEPT else [counted[0], *counted[1 - KEPT :]]
    people = dict.fromkeys(str(one.author.id) for one in kept if not one.author.bot)
    return ThreadAbove("\n".join(f"{_name(one)}: {_text(one)}" for one in kept), tuple(people))


async def _answered(client: discord.Client, channel: int, asked: int) -> list[discord.Message]:
    """The message that the question replies to."""
    question = await client.get_partial_messageable(channel).get_partial_message(asked).fetch()
    found = question.reference.resolved if question.reference else None
    return [found] if isinstance(found, discord.Message) else []


async def _thread(client: discord.Client, channel: int, thread: int, asked: int) -> list[discord.Message]:
    """Oldest first. A thread that began with a message of the channel has that message's id."""
    try:
        said = [one async for one in _before(client, thread, asked)]
    except discord.NotFound:
        # Where there are no threads, a chain of replies is the conversation: its first message is no channel.
        return await _answered(client, channel, asked)
    try:
        first = [await client.get_partial_messageable(channel).get_partial_message(thread).fetch()]
    except discord.HTTPException:
        first = []
    return [*first, *reversed(said)]


def _before(client: discord.Client, thread: int, asked: int) -> AsyncIterator[discord.Message]:
    return client.get_partial_messageable(thread).history(limit=READ, before=discord.Object(asked))


def _name(message: discord.Message) -> str:
    bot = message.author.bot or message.webhook_id is not None
    return f"{message.author.display_name} (a bot)" if bot else message.author.display_name


def _text(message: discord.Message) -> str:
    text = parse.readable(message).strip()[:MESSAGE_CHARS]
    names = ", ".join(file.filename for file in message.attachments)
    return f"{text} (attached: {names})".strip() if names else text
