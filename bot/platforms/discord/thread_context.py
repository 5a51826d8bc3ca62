"""Reads the context of a Discord question: attached files, the replied-to message, and the thread above."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import discord

from bot.errors import SurfaceError
from bot.platforms.discord import message_text, user_messages
from bot.platforms.discord.message_reader import MessageReader
from bot.types.conversation import StoredAttachment, ThreadAbove
from bot.types.turns import Turn

MAX_READ = 300
"""Messages of a thread to read: three requests at most."""
MAX_KEPT = 60
"""Messages of a long thread to keep: its first, and the last ones before the question."""
MESSAGE_CHARS = 2_000
CONTENT_TYPES = (
    discord.MessageType.default,
    discord.MessageType.reply,
    discord.MessageType.chat_input_command,
    discord.MessageType.context_menu_command,
)
"""Types of messages that people or bots wrote, as opposed to Discord's own notices."""


async def fetch(client: discord.Client, file: StoredAttachment) -> bytes:
    """Return the bytes of an attachment. Its message is fetched again, because attachment URLs expire after a day.

    Raises SurfaceError, and the library's errors.
    """
    channel_id, message_id, attachment_id = (int(part) for part in file.ref.split("/"))
    message = await client.get_partial_messageable(channel_id).get_partial_message(message_id).fetch()
    for attachment in message.attachments:
        if attachment.id == attachment_id:
            return await attachment.read()
    raise SurfaceError(user_messages.ATTACHMENT_GONE)


async def above(client: discord.Client, reader: MessageReader, turn: Turn) -> ThreadAbove | None:
    """Return what people and other bots wrote before the question: in its thread, or in the message it replies to.

    A forum post begins with its title. None if the question starts the conversation, and in direct messages. Raises
    the library's errors.
    """
    thread, question_id = turn.thread, turn.message_id.partition(":")[0]
    if not thread.thread_id.isdecimal() or not question_id.isdecimal() or thread.thread_id == thread.channel_id:
        return None
    parent = client.get_channel(int(thread.channel_id))
    title = ""
    if thread.thread_id != question_id:
        if isinstance(parent, discord.ForumChannel):
            title = message_text.post_title(await _post(client, int(thread.thread_id)))
        messages = await messages_before(
            client, parent, int(thread.channel_id), int(thread.thread_id), int(question_id)
        )
    elif isinstance(parent, discord.ForumChannel):
        return None
    else:
        messages = await _replied_to(client, int(thread.channel_id), int(question_id))
    guild = parent.guild if isinstance(parent, discord.abc.GuildChannel) else None
    return await _as_read(client, reader, messages, title, guild)


async def _as_read(
    client: discord.Client,
    reader: MessageReader,
    messages: Sequence[discord.Message],
    title: str,
    guild: discord.Guild | None,
) -> ThreadAbove | None:
    me = client.user.id if client.user else 0
    written = [one for one in messages if one.author.id != me and one.type in CONTENT_TYPES]
    relevant = [one for one in written if message_text.everything(one)]
    if not relevant and not title:
        return None
    kept = relevant if len(relevant) <= MAX_KEPT else [relevant[0], *relevant[1 - MAX_KEPT :]]
    people = dict.fromkeys(str(one.author.id) for one in kept if not one.author.bot)
    lines = [f"{name_of(one)}: {(await reader.everything(one, guild))[:MESSAGE_CHARS]}" for one in kept]
    return ThreadAbove("\n".join(filter(None, [title, *lines])), tuple(people))


async def _post(client: discord.Client, thread_id: int) -> object:
    return client.get_channel(thread_id) or await client.fetch_channel(thread_id)


async def _replied_to(client: discord.Client, channel_id: int, question_id: int) -> list[discord.Message]:
    """Return the message that the question replies to, if there is one."""
    question = await client.get_partial_messageable(channel_id).get_partial_message(question_id).fetch()
    message = question.reference.resolved if question.reference else None
    return [message] if isinstance(message, discord.Message) else []


async def messages_before(
    client: discord.Client, parent: object, channel_id: int, thread_id: int, question_id: int
) -> list[discord.Message]:
    """Return the messages of a thread before the question, oldest first.

    A thread started from a message of the channel has that message's ID.
    """
    try:
        messages = [one async for one in _before(client, thread_id, question_id)]
    except discord.NotFound:
        # Without threads, a chain of replies is the conversation, and its first message is not a channel.
        return await _replied_to(client, channel_id, question_id)
    if any(one.id == thread_id for one in messages):
        return list(reversed(messages))
    # The first message of a forum post is in the post; that of another thread is in the channel.
    first_in = thread_id if isinstance(parent, discord.ForumChannel) else channel_id
    try:
        first = [await client.get_partial_messageable(first_in).get_partial_message(thread_id).fetch()]
    except discord.HTTPException:
        first = []
    return [*first, *reversed(messages)]


def _before(client: discord.Client, thread_id: int, question_id: int) -> AsyncIterator[discord.Message]:
    return client.get_partial_messageable(thread_id).history(limit=MAX_READ, before=discord.Object(question_id))


def name_of(message: discord.Message) -> str:
    """Return the name of the author, with a note for bots."""
    is_bot = message.author.bot or message.webhook_id is not None
    return f"{message.author.display_name} (a bot)" if is_bot else message.author.display_name
