"""Changes the state of the Discord double, sends the gateway events of the changes, and waits for conditions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from tests.doubles.discord_gateway import DIRECT_MESSAGES, GUILD_MESSAGES, GUILDS, MESSAGE_CONTENT, Gateway, Session
from tests.doubles.discord_models import EPHEMERAL, NEWS, THREAD, Attachment, Channel, Json, Message, User
from tests.doubles.discord_transcript import transcript
from tests.doubles.discord_world import World

MOST_ACTIVE_THREADS = 1000
"""Threads of a server that Discord keeps active: the one that has been silent longest is archived first."""


class Events:
    """The world with its events. ``violations``: what Discord allows but the bot must not do."""

    gateway: Gateway

    def __init__(self) -> None:
        self.world = World()
        self.bot = self.world.bot
        self.violations: list[str] = []
        self.typing: list[int] = []
        """The channels in which the bot showed the typing indicator, by ID, each time."""
        self._changed = asyncio.Condition()

    async def publish(self, channel: Channel, message: Message) -> Message:
        """Add a message to its channel and send its event."""
        channel.messages[message.id] = message
        if not message.flags & EPHEMERAL:
            await self._send_message_event("MESSAGE_CREATE", message)
        self.changed()
        return message

    async def update(self, message: Message, body: Json, files: list[Attachment]) -> None:
        """Change the given fields of a message and send its event."""
        message.content = body.get("content") or "" if "content" in body else message.content
        message.embeds = body.get("embeds") or [] if "embeds" in body else message.embeds
        message.components = body.get("components") or [] if "components" in body else message.components
        message.attachments = message.attachments + files
        message.record_version()
        if not message.flags & EPHEMERAL:
            await self._send_message_event("MESSAGE_UPDATE", message)
        self.changed()

    async def remove(self, message: Message) -> None:
        """Mark a message as deleted and send its event."""
        message.deleted = True
        channel = self.world.channels[message.channel_id]
        data = {"id": str(message.id), "channel_id": str(channel.id)}
        if channel.guild_id is not None:
            data["guild_id"] = str(channel.guild_id)
        await self.gateway.dispatch(
            "MESSAGE_DELETE", lambda session: data, needs=_required_intent(channel), guild_id=channel.guild_id
        )
        self.changed()

    async def open_thread(
        self, message: Message, name: str, owner: User | None = None, *, private: bool = False
    ) -> Channel:
        """Create a thread from a message; it gets the message's ID."""
        parent = self.world.channels[message.channel_id]
        guild_id, owner_id = parent.guild_id, (owner or self.bot).id
        thread = Channel(message.id, THREAD, name, guild_id, parent.id, owner_id, private=private)
        thread.news = parent.kind == NEWS
        self.world.channels[thread.id] = thread
        payload = thread.payload() | {"newly_created": True}
        await self.gateway.dispatch("THREAD_CREATE", lambda session: payload, needs=GUILDS, guild_id=guild_id)
        await self._archive_beyond_limit(parent.guild_id)
        self.changed()
        return thread

    async def archive(self, thread: Channel) -> None:
        """Archive a thread and send its event, as Discord does after a time without messages."""
        thread.archived = True
        payload = thread.payload()
        await self.gateway.dispatch("THREAD_UPDATE", lambda session: payload, needs=GUILDS, guild_id=thread.guild_id)

    async def _archive_beyond_limit(self, guild_id: int | None) -> None:
        channels = self.world.channels.values()
        active = [one for one in channels if one.kind == THREAD and one.guild_id == guild_id and not one.archived]
        if len(active) > MOST_ACTIVE_THREADS:
            await self.archive(min(active, key=lambda one: max(one.messages, default=one.id)))

    async def _send_message_event(self, event: str, message: Message) -> None:
        def payload(session: Session) -> Json:
            return self.world.event_payload(message, content_allowed=bool(session.intents & MESSAGE_CONTENT))

        channel = self.world.channels[message.channel_id]
        await self.gateway.dispatch(event, payload, needs=_required_intent(channel), guild_id=channel.guild_id)

    def changed(self) -> None:
        """Wake everything that waits for a condition."""

        async def wake() -> None:
            async with self._changed:
                self._changed.notify_all()

        task = asyncio.get_running_loop().create_task(wake())
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def until(self, condition: Callable[[], object], timeout: float = 120.0) -> None:
        """Wait until ``condition`` returns a true value. Raises AssertionError with the transcript on a timeout."""
        deadline = time.monotonic() + timeout
        while not condition():
            left = deadline - time.monotonic()
            assert left > 0, f"condition not met within {timeout} s; violations {self.violations}\n{self.transcript()}"
            try:
                async with asyncio.timeout(min(left, 0.2)), self._changed:
                    await self._changed.wait()
            except TimeoutError:
                continue

    def transcript(self) -> str:
        """Return every channel with its messages as text."""
        return transcript(self.world)


def _required_intent(channel: Channel) -> int:
    return GUILD_MESSAGES if channel.guild_id is not None else DIRECT_MESSAGES
