"""Reads the history of a Discord channel as a source of documents. discord.py respects Discord's rate limits."""

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
from bot.platforms.discord import user_messages
from bot.platforms.discord.connection import configured_urls, translated_login_errors
from bot.platforms.discord.message_reader import MessageReader
from bot.types.conversation import Author
from knowledge.errors import SourceError
from knowledge.sources.chat_channel import ChannelSource, Entry, Post

TYPES = {
    discord.MessageType.default: "Default",
    discord.MessageType.reply: "Reply",
    discord.MessageType.chat_input_command: "ChatInputCommand",
    discord.MessageType.context_menu_command: "ContextMenuCommand",
}
"""Types of messages that people wrote, with the names that DiscordChatExporter uses."""

Readable = discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.ForumChannel


def source(
    settings: Settings, channel_id: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> ChannelSource:
    """Return the history of a channel as a source. Makes no request yet. Raises ConfigError if no token is set."""
    if settings.discord_token is None:
        raise ConfigError(user_messages.LOGIN_MISSING)
    token = settings.discord_token.get_secret_value()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Channel]:
        client = discord.Client(intents=discord.Intents(guilds=True), max_messages=None)
        with configured_urls(settings):
            async with client:
                with translated_errors(), translated_login_errors():
                    await client.login(token)
                with translated_errors():
                    channel = await _fetch_channel(client, int(channel_id))
                    guild = await client.fetch_guild(channel.guild.id, with_counts=False)
                    places = [*await guild.fetch_channels(), *await guild.active_threads()]
                reader = MessageReader(client, channels={place.id: place for place in places})
                yield Channel(client, channel, guild, reader)

    return ChannelSource(f"discord:{channel_id}", opened, clock=clock)


@contextlib.contextmanager
def translated_errors() -> Any:
    """Raise SourceError in place of the library's errors and of ConfigError."""
    try:
        yield
    except discord.NotFound:
        raise SourceError(user_messages.CHANNEL_UNKNOWN) from None
    except discord.Forbidden:
        raise SourceError(user_messages.CHANNEL_NOT_READABLE) from None
    except ConfigError as error:
        raise SourceError(str(error)) from None
    except (discord.DiscordException, aiohttp.ClientError, TimeoutError, OSError) as error:
        status = f", status {error.status}" if isinstance(error, discord.HTTPException) else ""
        raise SourceError(user_messages.history_unreadable(f"{type(error).__name__}{status}")) from None


async def _fetch_channel(client: discord.Client, channel_id: int) -> Readable:
    channel = await client.fetch_channel(channel_id)
    if not isinstance(channel, Readable):
        raise SourceError(user_messages.CHANNEL_WITHOUT_MESSAGES)
    return channel


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels that a member may ingest, from the channels and permissions that the gateway sent."""

    client: discord.Client
    member: discord.Member | discord.User

    async def readable(self, channel_id: str, by: Author) -> ChatChannel:
        """Return the channel if the bot and the member may read its history. Raises NotAllowed, UsageError."""
        channel = self.client.get_channel(int(channel_id)) if channel_id.isdecimal() else None
        if isinstance(channel, discord.Thread):
            raise UsageError(user_messages.CHANNEL_IS_A_THREAD)
        if isinstance(self.member, discord.User) or channel is None:
            raise UsageError(user_messages.CHANNEL_OUTSIDE_SERVER)
        if not isinstance(channel, Readable):
            raise UsageError(user_messages.CHANNEL_WITHOUT_MESSAGES)
        if channel.guild.id != self.member.guild.id:
            raise NotAllowed(user_messages.CHANNEL_ON_OTHER_SERVER)
        if not _may_read(channel.permissions_for(self.member)):
            raise NotAllowed(user_messages.CHANNEL_NOT_READABLE_BY_YOU)
        if not _may_read(channel.permissions_for(channel.guild.me)):
            raise UsageError(user_messages.CHANNEL_NOT_READABLE)
        public = _may_read(channel.permissions_for(channel.guild.default_role))
        return ChatChannel(channel_id, channel.name, public)


def _may_read(rights: discord.Permissions) -> bool:
    return rights.view_channel and rights.read_message_history


@dataclass(slots=True)
class Channel:
    """An open channel. The bot's own messages are left out, because its answers are not evidence."""

    client: discord.Client
    channel: Readable
    guild: discord.Guild
    reader: MessageReader

    async def posts(self, *, after: datetime | None, before: datetime | None) -> AsyncIterator[Post]:
        """Yield the messages of the channel, or the posts of a forum, newest first."""
        with translated_errors():
            if isinstance(self.channel, discord.ForumChannel):
                for thread in await self._forum_threads(after, before):
                    yield _thread_post(str(thread.id), thread.id, {}, thread)
                return
            limits = {"after": after - timedelta(milliseconds=1) if after else None, "before": before}
            async for message in self.channel.history(limit=None, oldest_first=False, **limits):
                started = await self._thread_of(message)
                entry = await self._entry(message)
                if started is not None:
                    yield _thread_post(str(message.id), message.id, entry, started)
                elif entry:
                    yield Post(str(message.id), message.created_at.timestamp(), entry)

    async def replies(self, post: Post) -> tuple[Entry, ...]:
        """Return the thread of a post. Each message refers to the first one, so that the thread stays together."""
        thread_id = int(post.thread.split()[0])
        with translated_errors():
            thread = await self.client.fetch_channel(thread_id)
            if not isinstance(thread, discord.Thread):
                return ()
            messages = [message async for message in thread.history(limit=None, oldest_first=True)]
        root = int(post.key) if post.entry else None
        read = [await self._entry(message) for message in messages if message.id != root]
        entries = [dict(entry) for entry in read if entry]
        has_own_name = str(thread_id) != post.key or not post.entry
        return tuple(_tied_to_first(post, entries, thread.name if has_own_name else ""))

    def export(self, entries: Sequence[Entry]) -> bytes:
        """Return the messages in the export format of DiscordChatExporter."""
        channel = {"id": str(self.channel.id), "name": self.channel.name, "type": "GuildTextChat"}
        return json.dumps({"guild": {"name": self.guild.name}, "channel": channel, "messages": list(entries)}).encode()

    async def _forum_threads(self, after: datetime | None, before: datetime | None) -> list[discord.Thread]:
        assert isinstance(self.channel, discord.ForumChannel)
        active = [thread for thread in await self.channel.guild.active_threads() if thread.parent_id == self.channel.id]
        threads = {thread.id: thread for thread in active}
        async for thread in self.channel.archived_threads(limit=None):
            threads[thread.id] = thread
        times = {number: discord.utils.snowflake_time(number) for number in threads}
        wanted = [n for n, at in times.items() if (after is None or at >= after) and (before is None or at < before)]
        return [threads[number] for number in sorted(wanted, reverse=True)]

    async def _thread_of(self, message: discord.Message) -> discord.Thread | None:
        """Return the thread that a message started, or that Discord's notice in the channel announces."""
        if message.type is discord.MessageType.thread_created and message.reference is not None:
            with contextlib.suppress(discord.NotFound, discord.Forbidden):
                thread = await self.client.fetch_channel(message.reference.channel_id)
                return thread if isinstance(thread, discord.Thread) else None
        return message.thread

    async def _entry(self, message: discord.Message) -> Entry:
        """Return the message as an export entry; empty for the bot's own messages and Discord's notices."""
        kind = TYPES.get(message.type)
        if kind is None or (self.client.user is not None and message.author.id == self.client.user.id):
            return {}
        entry: dict[str, Any] = {
            "id": str(message.id),
            "type": kind,
            "timestamp": message.created_at.isoformat(),
            "content": await self.reader.everything(message, self.guild),
            "author": {
                "id": str(message.author.id),
                "name": message.author.name,
                "nickname": message.author.display_name,
            },
        }
        if message.reference is not None and message.reference.message_id:
            entry["reference"] = {"messageId": str(message.reference.message_id)}
        return entry


def _thread_post(key: str, number: int, entry: Entry, thread: discord.Thread) -> Post:
    """Return a post for a thread. Its ``thread`` state starts with the thread's ID and changes with new messages."""
    last = thread.last_message_id or thread.id
    thread_state = f"{thread.id} {thread.message_count} {last}"
    at = discord.utils.snowflake_time(number).timestamp()
    return Post(key, at, entry, thread_state, discord.utils.snowflake_time(last).timestamp())


def _tied_to_first(post: Post, entries: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Make every reply refer to the thread's first message; a thread with its own ``name`` starts with the name."""
    if not entries:
        return entries
    anchor = str(post.entry.get("id") or entries[0]["id"])
    if name:
        entries[0]["content"] = f"{name}\n{entries[0]['content']}"
    ids = {entry["id"] for entry in entries}
    for entry in entries:
        replied_to = entry.get("reference", {}).get("messageId")
        if entry["id"] != anchor and replied_to not in ids:
            entry["reference"] = {"messageId": anchor}
    return entries
