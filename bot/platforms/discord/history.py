"""A Discord channel as a source of documents: its history through discord.py, which keeps to Discord's rate limits."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import discord

from bot.commands.base import ChatChannel
from bot.config import Settings
from bot.errors import ConfigError, NotAllowed, UsageError
from bot.platforms.discord import parse, user_messages
from bot.platforms.discord.connection import addressed, explained
from bot.types.conversation import Author
from knowledge.errors import SourceError
from knowledge.sources.chat_channel import ChannelSource, Entry, Post

TYPES = {
    discord.MessageType.default: "Default",
    discord.MessageType.reply: "Reply",
    discord.MessageType.chat_input_command: "ChatInputCommand",
    discord.MessageType.context_menu_command: "ContextMenuCommand",
}
"""What somebody said, as DiscordChatExporter calls it."""
CLOSED = "I may not read that channel; give me View Channel and Read Message History there, then try again."
GONE = "There is no such channel, or I am not on its server."
NO_TEXT = "That is no channel with messages; name a text channel or a forum."

Readable = discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.ForumChannel


def source(
    settings: Settings, channel_id: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> ChannelSource:
    """The history of a channel. Nothing is asked yet. Raises ConfigError."""
    if settings.discord_token is None:
        raise ConfigError(user_messages.LOGIN_MISSING)
    token = settings.discord_token.get_secret_value()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Channel]:
        client = discord.Client(intents=discord.Intents(guilds=True), max_messages=None)
        with addressed(settings):
            async with client:
                with told(), explained():
                    await client.login(token)
                with told():
                    channel = await _fetched(client, int(channel_id))
                    guild = await client.fetch_guild(channel.guild.id, with_counts=False)
                yield Channel(client, channel, guild.name)

    return ChannelSource(f"discord:{channel_id}", opened, clock=clock)


@contextlib.contextmanager
def told() -> Any:
    """Raise SourceError in place of whatever the library raises."""
    try:
        yield
    except discord.NotFound:
        raise SourceError(GONE) from None
    except discord.Forbidden:
        raise SourceError(CLOSED) from None
    except ConfigError as error:
        raise SourceError(str(error)) from None
    except (discord.DiscordException, aiohttp.ClientError, TimeoutError, OSError) as error:
        status = f", status {error.status}" if isinstance(error, discord.HTTPException) else ""
        raise SourceError(f"Discord cannot be read ({type(error).__name__}{status}); try again later.") from None


async def _fetched(client: discord.Client, channel_id: int) -> Readable:
    channel = await client.fetch_channel(channel_id)
    if not isinstance(channel, Readable):
        raise SourceError(NO_TEXT)
    return channel


@dataclass(frozen=True, slots=True)
class Channels:
    """Which channels of the server the member may have taken in; the gateway told of them and of everybody's rights."""

    client: discord.Client
    member: discord.Member | discord.User

    async def readable(self, channel_id: str, by: Author) -> ChatChannel:
        """The channel, if the bot and the member may read its history. Raises NotAllowed, UsageError."""
        channel = self.client.get_channel(int(channel_id)) if channel_id.isdecimal() else None
        if isinstance(channel, discord.Thread):
            raise UsageError("That is a thread; name its channel, and its threads are read with it.")
        if isinstance(self.member, discord.User) or channel is None:
            raise UsageError(f"{GONE} Write the command on the server itself.")
        if not isinstance(channel, Readable):
            raise UsageError(NO_TEXT)
        if channel.guild.id != self.member.guild.id:
            raise NotAllowed("That channel is on another server; write the command there.")
        if not _may_read(channel.permissions_for(self.member)):
            raise NotAllowed("You may not read that channel, so you cannot have it taken in.")
        if not _may_read(channel.permissions_for(channel.guild.me)):
            raise UsageError(CLOSED)
        public = _may_read(channel.permissions_for(channel.guild.default_role))
        return ChatChannel(channel_id, channel.name, public)


def _may_read(rights: discord.Permissions) -> bool:
    return rights.view_channel and rights.read_message_history


@dataclass(slots=True)
class Channel:
    """An open channel. What the bot itself wrote is left out: answers are no evidence."""

    client: discord.Client
    channel: Readable
    guild: str

    async def posts(self, *, after: datetime | None, before: datetime | None) -> AsyncIterator[Post]:
        """What stands in the channel, newest first; in a forum its posts."""
        with told():
            if isinstance(self.channel, discord.ForumChannel):
                for thread in await self._forum(after, before):
                    yield _begun(str(thread.id), thread.id, {}, thread)
                return
            limits = {"after": after - timedelta(milliseconds=1) if after else None, "before": before}
            async for message in self.channel.history(limit=None, oldest_first=False, **limits):
                begun = await self._thread_of(message)
                entry = self._entry(message)
                if begun is not None:
                    yield _begun(str(message.id), message.id, entry, begun)
                elif entry:
                    yield Post(str(message.id), message.created_at.timestamp(), entry)

    async def replies(self, post: Post) -> tuple[Entry, ...]:
        """The thread of a post: everything goes back to its first message, so that it stays together."""
        thread_id = int(post.thread.split()[0])
        with told():
            thread = await self.client.fetch_channel(thread_id)
            if not isinstance(thread, discord.Thread):
                return ()
            messages = [message async for message in thread.history(limit=None, oldest_first=True)]
        root = int(post.key) if post.entry else None
        entries = [dict(entry) for message in messages if message.id != root and (entry := self._entry(message))]
        named = str(thread_id) != post.key or not post.entry
        return tuple(_together(post, entries, thread.name if named else ""))

    def export(self, entries: Sequence[Entry]) -> bytes:
        """In the form of DiscordChatExporter."""
        channel = {"id": str(self.channel.id), "name": self.channel.name, "type": "GuildTextChat"}
        return json.dumps({"guild": {"name": self.guild}, "channel": channel, "messages": list(entries)}).encode()

    async def _forum(self, after: datetime | None, before: datetime | None) -> list[discord.Thread]:
        assert isinstance(self.channel, discord.ForumChannel)
        active = [thread for thread in await self.channel.guild.active_threads() if thread.parent_id == self.channel.id]
        threads = {thread.id: thread for thread in active}
        async for thread in self.channel.archived_threads(limit=None):
            threads[thread.id] = thread
        times = {number: discord.utils.snowflake_time(number) for number in threads}
        wanted = [n for n, at in times.items() if (after is None or at >= after) and (before is None or at < before)]
        return [threads[number] for number in sorted(wanted, reverse=True)]

    async def _thread_of(self, message: discord.Message) -> discord.Thread | None:
        """The thread that a message began, or that a line in the channel tells of."""
        if message.type is discord.MessageType.thread_created and message.reference is not None:
            with contextlib.suppress(discord.NotFound, discord.Forbidden):
                thread = await self.client.fetch_channel(message.reference.channel_id)
                return thread if isinstance(thread, discord.Thread) else None
        return message.thread

    def _entry(self, message: discord.Message) -> Entry:
        """The message as an export has it; empty where nobody said it."""
        kind = TYPES.get(message.type)
        if kind is None or (self.client.user is not None and message.author.id == self.client.user.id):
            return {}
        entry: dict[str, Any] = {
            "id": str(message.id),
            "type": kind,
            "timestamp": message.created_at.isoformat(),
            "content": parse.readable(message),
            "author": {
                "id": str(message.author.id),
                "name": message.author.name,
                "nickname": message.author.display_name,
            },
        }
        if message.embeds:
            entry["embeds"] = [{"title": embed.title, "description": embed.description} for embed in message.embeds]
        if message.attachments:
            entry["attachments"] = [{"fileName": file.filename} for file in message.attachments]
        if message.reference is not None and message.reference.message_id:
            entry["reference"] = {"messageId": str(message.reference.message_id)}
        return entry


def _begun(key: str, number: int, entry: Entry, thread: discord.Thread) -> Post:
    """A post with its thread, whose state begins with its id."""
    last = thread.last_message_id or thread.id
    state = f"{thread.id} {thread.message_count} {last}"
    at = discord.utils.snowflake_time(number).timestamp()
    return Post(key, at, entry, state, discord.utils.snowflake_time(last).timestamp())


def _together(post: Post, entries: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The replies, each tied to the thread's first message; a thread with a ``name`` of its own begins with it."""
    if not entries:
        return entries
    anchor = str(post.entry.get("id") or entries[0]["id"])
    if name:
        entries[0]["content"] = f"{name}\n{entries[0]['content']}"
    known = {entry["id"] for entry in entries}
    for entry in entries:
        answered = entry.get("reference", {}).get("messageId")
        if entry["id"] != anchor and answered not in known:
            entry["reference"] = {"messageId": anchor}
    return entries
