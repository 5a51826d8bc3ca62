"""Looks into the Slack double: channels, people, messages, and the transcript of a conversation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from tests.doubles.slack_socket import SocketMode
from tests.doubles.slack_world import Channel, Message, World


class Inspection:
    """What a workspace has and shows."""

    def __init__(self, world: World, socket: SocketMode) -> None:
        self.world = world
        self.socket = socket

    def channel(self, name: str) -> Channel:
        """Return a channel by ID or name."""
        channels = self.world.channels
        by_name = (channel for channel in channels.values() if channel.name == name)
        return channels[name] if name in channels else next(by_name)

    def user_id(self, name: str) -> str:
        """Return a user's ID by ID or name."""
        users = self.world.users
        return name if name in users else next(user.id for user in users.values() if user.name == name)

    def messages(self, channel: str, thread_ts: str | None = None) -> list[Message]:
        """Return the visible messages of a channel, or of one of its threads."""
        target = self.channel(channel)
        if thread_ts is not None:
            return self.world.thread(target.id, thread_ts)
        in_channel = (message for message in self.world.messages if message.channel == target.id)
        return [message for message in in_channel if not (message.deleted or message.only_for)]

    def payload_with_thread(self, message: Message) -> dict[str, Any]:
        """Return a message's payload as channel history returns it, with the state of its thread."""
        replies = [reply for reply in self.world.thread(message.channel, message.ts) if reply.ts != message.ts]
        if not replies:
            return message.payload()
        latest = max(reply.ts for reply in replies)
        return message.payload() | {"thread_ts": message.ts, "reply_count": len(replies), "latest_reply": latest}

    def replies(self, message: Message) -> list[Message]:
        """Return the bot's replies in the thread of a message."""
        thread = self.world.thread(message.channel, message.thread_ts or message.ts)
        return [reply for reply in thread if reply.bot_id and reply.ts > message.ts]

    def ephemeral_texts(self, user: str) -> list[str]:
        """Return the ephemeral messages that the user saw, oldest first."""
        author = self.user_id(user)
        return [message.shown for message in self.world.messages if message.only_for == author]

    async def until(self, condition: Callable[[], object], *, timeout: float = 120.0) -> None:
        """Wait until the condition holds; fail with the transcript after ``timeout`` seconds."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, (
                f"the condition never held; the transcript:\n{self.transcript(versions=True)}"
            )
            await asyncio.sleep(0.01)

    async def settled(self) -> None:
        """Wait until every delivery so far is acknowledged."""
        await self.until(lambda: all(delivery.acked.is_set() for delivery in self.socket.deliveries))

    def transcript(self, *, versions: bool = False) -> str:
        """Return the conversation as text; with ``versions``, each edit with its time."""
        lines = []
        for message in self.world.messages:
            channel = self.world.channels[message.channel].name
            author = self.world.users[message.user].name
            note = f" (only {self.world.users[message.only_for].name} sees this)" if message.only_for else ""
            note += " (deleted)" if message.deleted else ""
            for version in message.versions if versions else message.versions[-1:]:
                text = version.shown.replace("\n", "\n    ")
                buttons = f"\n    {' '.join(f'[{name}]' for name in version.buttons)}" if version.buttons else ""
                depth = " > thread" if message.thread_ts else ""
                lines.append(f"{version.at:6.2f}s #{channel}{depth} {author}{note}: {text}{buttons}")
        return "\n".join(lines)
