"""A stateful test double of Discord on loopback: REST API v10 and gateway, with Discord's rules and rate limits.

    async with DiscordDouble() as discord:
        general = discord.channel("general")
        asked = await discord.say(general, discord.user("Ada"), f"{discord.bot.mention} hello?")
        await discord.until(lambda: discord.messages(asked.id))

A request that breaks a rule is refused as Discord refuses it. What Discord allows but the bot must not do is recorded
in ``violations``. Every message keeps all its versions.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from aiohttp import web

from tests.doubles import discord_interaction_payloads as payloads
from tests.doubles.discord_content import FORWARD, snapshot
from tests.doubles.discord_gateway import DIRECT_MESSAGES, GUILD_MESSAGES, GUILDS, MESSAGE_CONTENT, Gateway, Session
from tests.doubles.discord_interactions import Interaction
from tests.doubles.discord_models import (
    ADMINISTRATOR,
    EPHEMERAL,
    FORUM,
    MEMBER,
    NEWS,
    TEXT,
    THREAD,
    Attachment,
    Channel,
    Json,
    Message,
    User,
)
from tests.doubles.discord_rest import Fault, Rest
from tests.doubles.discord_transcript import transcript
from tests.doubles.discord_world import World

LIMITS = {
    "POST /channels/{channel_id}/messages": (5, 5.0),
    "PATCH /channels/{channel_id}/messages/{message_id}": (5, 5.0),
    "*": (50, 1.0),
    "global": (50, 1.0),
}
MAX_INVALID = 10_000
"""Responses of 401, 403 and 429 within ten minutes after which Discord bans an IP address."""
CONTENT_INTENT_FLAG = 1 << 19


class DiscordDouble:
    """A Discord with one guild; ``add_guild`` adds more. Use as an async context manager.

    ``approved``: privileged intents that the bot may use. ``shards``: connections among which a bot must divide the
    guilds. ``max_invalid``: invalid requests within ten minutes that are a violation.
    """

    def __init__(
        self,
        *,
        token: str = "double.bot.token",
        approved: frozenset[str] = frozenset({"message_content"}),
        limits: dict[str, tuple[int, float]] | None = None,
        shards: int = 1,
        max_invalid: int = MAX_INVALID,
    ) -> None:
        self.shards = shards
        self.token = token
        self.approved = approved
        self.flags = CONTENT_INTENT_FLAG if "message_content" in approved else 0
        self.world = World()
        self.bot = self.world.bot
        self.violations: list[str] = []
        self.interactions: dict[str, Interaction] = {}
        self.commands: list[Json] = []
        self.command_syncs = 0
        self.gateway = Gateway(self)
        self.gateway.changed = self.changed
        self.rest = Rest(self, LIMITS | (limits or {}), max_invalid)
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self._port = 0

    # --- the server

    async def __aenter__(self) -> DiscordDouble:
        app = web.Application()
        app.router.add_get("/gateway/", self.gateway.handle)
        app.router.add_get("/files/{id}/{name}", self._file)
        app.router.add_route("*", "/api/v10/{path:.*}", self.rest.handle)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.world.url = f"http://127.0.0.1:{self._port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.gateway.close()
        if self._runner is not None:
            await self._runner.cleanup()
        for interaction in self.interactions.values():
            if interaction.acknowledged_by is None:
                self.violations.append("an interaction was never acknowledged")

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/api/v10"

    @property
    def gateway_url(self) -> str:
        return f"ws://127.0.0.1:{self._port}/gateway/"

    async def _file(self, request: web.Request) -> web.Response:
        file = self.world.files.get(int(request.match_info["id"]))
        if file is None:
            return web.Response(status=404)
        return web.Response(body=file.data, content_type=file.content_type)

    def fail(
        self, method: str, pattern: str, *, status: int, code: int = 0, times: int = 1, retry_after: float = 0.0
    ) -> None:
        """Fail the next ``times`` requests whose path matches ``pattern``."""
        self.rest.faults.append(Fault(method, pattern, status, code, times, retry_after))

    # --- users, guilds and channels

    def user(self, name: str, *, admin: bool = False, bot: bool = False) -> User:
        """Return the user of that name; create it on first use."""
        for user in self.world.users.values():
            if user.name == name:
                return user
        return self.world.add_user(name, bot=bot, permissions=MEMBER | (ADMINISTRATOR if admin else 0))

    def channel(self, name: str, kind: int = TEXT, guild_id: int | None = None) -> Channel:
        """Return the channel of that name; create it on first use, which must be before the bot connects."""
        guild_id = guild_id or self.world.guild_id
        for channel in self.world.channels.values():
            if (channel.name, channel.kind, channel.guild_id) == (name, kind, guild_id):
                return channel
        return self.world.add_channel(name, kind, guild_id)

    def add_guild(self, name: str, shard: int) -> int:
        """Add a guild on a shard, before the bot connects; return its ID."""
        return self.world.add_guild(name, shard=shard, shards=self.shards)

    def thread(self, message: Message) -> Channel | None:
        """Return the thread that was created from a message."""
        return self.world.channels.get(message.id)

    def messages(self, place: Channel | Message | int) -> list[Message]:
        """Return the messages in a channel or in the thread of a message, oldest first; none if it does not exist."""
        place_id = place if isinstance(place, int) else place.id
        channel = self.world.channels.get(place_id)
        return [message for message in channel.messages.values() if not message.deleted] if channel else []

    def answers(self, place: Channel | Message | int) -> list[Message]:
        """Return the bot's messages there."""
        return [message for message in self.messages(place) if message.author is self.bot]

    # --- actions of users

    async def say(
        self,
        place: Channel,
        user: User,
        text: str,
        *,
        attachments: tuple[tuple[str, str, bytes], ...] = (),
        reply_to: Message | None = None,
        forwards: Message | None = None,
        **more: Any,
    ) -> Message:
        """Send a message as a user; ``more`` is what ``Message`` takes, such as a poll, stickers or embeds."""
        _check_membership(place, user)
        assert place.kind != FORUM, "Discord refuses messages in a forum: they belong into its posts"
        place.archived = False
        reference: Json | None = {"message_id": str(reply_to.id), "channel_id": str(place.id)} if reply_to else None
        if forwards is not None:
            reference = {"type": FORWARD, "message_id": str(forwards.id), "channel_id": str(forwards.channel_id)}
            more["snapshots"] = [snapshot(forwards)]
        more["attachments"] = [self.world.add_file(*file) for file in attachments]
        message = Message(self.world.snowflake(), place.id, user, text, reference=reference, flags=0, **more)
        return await self.publish(place, message)

    async def post(self, forum: Channel, user: User, title: str, text: str, *tags: str, **more: Any) -> Message:
        """Start a post in a forum. Its first message has the ID of its thread."""
        assert forum.kind == FORUM
        _check_membership(forum, user)
        message = Message(self.world.snowflake(), 0, user, text, flags=0, **more)
        message.channel_id = message.id
        chosen = {number: name for number, name in forum.tags.items() if name in tags}
        thread = Channel(message.id, THREAD, title, forum.guild_id, forum.id, user.id, tags=chosen)
        self.world.channels[thread.id] = thread
        payload = thread.payload() | {"newly_created": True}
        await self.gateway.dispatch("THREAD_CREATE", lambda session: payload, needs=GUILDS, guild_id=forum.guild_id)
        return await self.publish(thread, message)

    async def dm(self, user: User, text: str, **more: Any) -> Message:
        """Send a direct message to the bot as a user."""
        return await self.say(self.world.dm(user), user, text, **more)

    async def redeliver(self, message: Message) -> None:
        """Send a message through the gateway once more."""
        await self._send_message_event("MESSAGE_CREATE", message)

    async def edit(self, message: Message, text: str) -> None:
        """Edit a message as its author."""
        await self.update(message, {"content": text}, [])

    async def add_link_preview(self, message: Message) -> None:
        """Send the event for a link preview: an edit by nobody, without a time."""
        await self._send_message_event("MESSAGE_UPDATE", message)

    async def say_undelivered(self, place: Channel, user: User, text: str) -> Message:
        """Send a message as a user without a gateway event."""
        message = Message(self.world.snowflake(), place.id, user, text, flags=0)
        place.messages[message.id] = message
        return message

    async def delete(self, message: Message) -> None:
        """Delete a message as its author."""
        await self.remove(message)

    async def slash(
        self,
        name: str,
        options: dict[str, object] | None = None,
        *,
        user: User,
        channel: Channel,
        file: tuple[str, str, bytes] | None = None,
    ) -> Interaction:
        """Run a slash command, such as "budget show", as a user whose client offers it."""
        data = payloads.slash_command(self.world, self.commands, name, options or {}, file, user)
        return await self._send_interaction(2, data, user, channel)

    async def suggestions(self, name: str, option: str, typed: str, *, user: User, channel: Channel) -> Json:
        """Return the suggestions while a user types into an option: value by name."""
        data = payloads.autocomplete(self.commands, name, option, typed)
        interaction = await self._send_interaction(4, data, user, channel)
        await self.until(lambda: interaction.suggestions is not None)
        return {choice["name"]: choice["value"] for choice in interaction.suggestions or []}

    async def menu(self, name: str, message: Message, user: User) -> Interaction:
        """Choose an entry in the context menu of a message."""
        data = payloads.message_menu(self.world, self.commands, name, message)
        return await self._send_interaction(2, data, user, self.world.channels[message.channel_id])

    async def click(self, label: str, message: Message, user: User) -> Interaction:
        """Press the button with that label or custom_id below a message."""
        buttons = message.buttons()
        custom_id = buttons.get(label, label)
        assert custom_id in buttons.values(), f"there is no button {label}; there are {sorted(buttons)}"
        data = {"custom_id": custom_id, "component_type": 2}
        return await self._send_interaction(3, data, user, self.world.channels[message.channel_id], message)

    async def submit(self, shown: Interaction, values: dict[str, str]) -> Interaction:
        """Fill in and submit the modal that the bot showed."""
        assert shown.modal is not None, "no modal was shown"
        rows = [
            {"type": 1, "components": [{"type": 4, "custom_id": key, "value": value}]} for key, value in values.items()
        ]
        data = {"custom_id": shown.modal["custom_id"], "components": rows}
        return await self._send_interaction(5, data, shown.user, shown.channel, shown.source)

    async def _send_interaction(
        self, kind: int, data: Json, user: User, channel: Channel, source: Message | None = None
    ) -> Interaction:
        _check_membership(channel, user)
        interaction = Interaction(
            self.world.snowflake(), secrets.token_urlsafe(16), kind, user, channel, time.monotonic(), source
        )
        self.interactions[interaction.token] = interaction
        payload = payloads.interaction_event(self.world, interaction, data)
        await self.gateway.dispatch("INTERACTION_CREATE", lambda session: payload, needs=0, guild_id=channel.guild_id)
        return interaction

    # --- state changes and their events

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
        self.changed()
        return thread

    async def _send_message_event(self, event: str, message: Message) -> None:
        def payload(session: Session) -> Json:
            return self.world.event_payload(message, content_allowed=bool(session.intents & MESSAGE_CONTENT))

        channel = self.world.channels[message.channel_id]
        await self.gateway.dispatch(event, payload, needs=_required_intent(channel), guild_id=channel.guild_id)

    # --- waiting

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

    async def connected(self, task: asyncio.Task[None] | None = None) -> None:
        """Wait until the bot is connected. Raises the error of ``task`` if it ends first."""
        await self.until(lambda: self.gateway.connected or (task is not None and task.done()))
        if task is not None and task.done():
            await task

    def transcript(self) -> str:
        """Return every channel with its messages as text."""
        return transcript(self.world)


def _required_intent(channel: Channel) -> int:
    return GUILD_MESSAGES if channel.guild_id is not None else DIRECT_MESSAGES


def _check_membership(place: Channel, user: User) -> None:
    assert place.guild_id is None or user.is_member(place.guild_id), f"{user.name} is not in the guild"
