"""A stateful Discord on loopback: REST API v10 and the gateway, with the platform's rules.

    async with DiscordDouble() as discord:
        general = discord.channel("general")
        asked = await discord.say(general, discord.user("Ada"), f"{discord.bot.mention} hello?")
        await discord.until(lambda: discord.messages(asked.id))

Breaking a rule is refused as Discord refuses it; what Discord would forgive but the bot must not do is kept in
``violations``. Every message keeps all its versions.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from types import TracebackType

from aiohttp import web

from tests.doubles import discord_offered as offered
from tests.doubles.discord_gateway import DIRECT_MESSAGES, GUILD_MESSAGES, GUILDS, MESSAGE_CONTENT, Gateway, Session
from tests.doubles.discord_interactions import Interaction
from tests.doubles.discord_rest import Fault, Rest
from tests.doubles.discord_world import (
    ADMINISTRATOR,
    EPHEMERAL,
    MEMBER,
    TEXT,
    THREAD,
    Attachment,
    Channel,
    Json,
    Message,
    User,
    World,
)

LIMITS = {
    "POST /channels/{channel_id}/messages": (5, 5.0),
    "PATCH /channels/{channel_id}/messages/{message_id}": (5, 5.0),
    "*": (50, 1.0),
    "global": (50, 1.0),
}
INVALID = 10_000
"""Answers of 401, 403 and 429 within ten minutes for which Discord shuts an address out."""
CONTENT_INTENT_FLAG = 1 << 19


class DiscordDouble:
    """One Discord with a guild, and others where ``guild`` founds them. Use as an async context manager.

    ``shards`` is how many connections it wants a bot to divide the guilds among, ``invalid`` how many invalid requests
    it takes in ten minutes.
    """

    def __init__(
        self,
        *,
        token: str = "double.bot.token",
        approved: frozenset[str] = frozenset({"message_content"}),
        limits: dict[str, tuple[int, float]] | None = None,
        shards: int = 1,
        invalid: int = INVALID,
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
        self.synced = 0
        self.gateway = Gateway(self)
        self.gateway.changed = self.changed
        self.rest = Rest(self, LIMITS | (limits or {}), invalid)
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
            if interaction.acked is None:
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
        """Let the next ``times`` requests that match fail."""
        self.rest.faults.append(Fault(method, pattern, status, code, times, retry_after))

    # --- who and where

    def user(self, name: str, *, admin: bool = False, bot: bool = False) -> User:
        """The person of that name; made on first use."""
        for user in self.world.users.values():
            if user.name == name:
                return user
        return self.world.add_user(name, bot=bot, permissions=MEMBER | (ADMINISTRATOR if admin else 0))

    def channel(self, name: str, kind: int = TEXT, guild_id: int | None = None) -> Channel:
        """The channel of that name; made on first use (before the bot connects, so that it knows it)."""
        guild_id = guild_id or self.world.guild_id
        for channel in self.world.channels.values():
            if (channel.name, channel.kind, channel.guild_id) == (name, kind, guild_id):
                return channel
        return self.world.add_channel(name, kind, guild_id)

    def guild(self, name: str, shard: int) -> int:
        """Found another guild that a shard hears of (before the bot connects); its id."""
        return self.world.add_guild(name, shard=shard, shards=self.shards)

    def thread(self, asked: Message) -> Channel | None:
        """The thread that was made from a message."""
        return self.world.channels.get(asked.id)

    def messages(self, place: Channel | Message | int) -> list[Message]:
        """What the bot and others said there and did not delete, oldest first; nothing where no such place is."""
        place_id = place if isinstance(place, int) else place.id
        channel = self.world.channels.get(place_id)
        return [message for message in channel.messages.values() if not message.deleted] if channel else []

    def answers(self, place: Channel | Message | int) -> list[Message]:
        """What the bot said there."""
        return [message for message in self.messages(place) if message.author is self.bot]

    # --- acts of people

    async def say(
        self,
        place: Channel,
        user: User,
        text: str,
        *,
        attachments: tuple[tuple[str, str, bytes], ...] = (),
        reply_to: Message | None = None,
    ) -> Message:
        """Somebody writes a message."""
        place.archived = False
        reference = {"message_id": str(reply_to.id), "channel_id": str(place.id)} if reply_to else None
        files = [self.world.add_file(*file) for file in attachments]
        message = Message(self.world.snowflake(), place.id, user, text, attachments=files, reference=reference, flags=0)
        return await self.tell(place, message)

    def past(
        self,
        place: Channel,
        user: User,
        text: str,
        at: float,
        *,
        reply_to: Message | None = None,
        kind: int | None = None,
    ) -> Message:
        """What somebody said at a moment in the past, in seconds since 1970; the gateway does not tell of it."""
        reference = {"message_id": str(reply_to.id), "channel_id": str(place.id)} if reply_to else None
        message = Message(self.world.snowflake_at(at), place.id, user, text, reference=reference, flags=0, kind=kind)
        place.messages[message.id] = message
        return message

    def past_thread(self, parent: Channel, name: str, at: float, begun: Message | None = None) -> Channel:
        """A thread that was begun in the past, with a message of the channel or without."""
        number = begun.id if begun else self.world.snowflake_at(at)
        thread = Channel(number, THREAD, name, parent.guild_id, parent.id, self.world.owner.id)
        self.world.channels[thread.id] = thread
        return thread

    async def dm(self, user: User, text: str) -> Message:
        """Somebody writes to the bot alone."""
        return await self.say(self.world.dm(user), user, text)

    async def redeliver(self, message: Message) -> None:
        """The gateway tells a message once more."""
        await self._announce("MESSAGE_CREATE", message)

    async def edit(self, message: Message, text: str) -> None:
        """Somebody changes a message of their own."""
        await self.change(message, {"content": text}, [])

    async def unfurl(self, message: Message) -> None:
        """Discord adds the preview of a link: an edit that nobody made, and that has no time."""
        await self._announce("MESSAGE_UPDATE", message)

    async def missed(self, place: Channel, user: User, text: str) -> Message:
        """Somebody writes a message that the gateway tells nobody."""
        message = Message(self.world.snowflake(), place.id, user, text, flags=0)
        place.messages[message.id] = message
        return message

    async def delete(self, message: Message) -> None:
        """Somebody deletes a message."""
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
        """Somebody runs a slash command ("budget show", say), as far as their client would offer it."""
        data = offered.chosen(self.world, self.commands, name, options or {}, file, user)
        return await self._interact(2, data, user, channel)

    async def suggestions(self, name: str, option: str, typed: str, *, user: User, channel: Channel) -> Json:
        """What is offered while somebody types into an option: name to value."""
        data = offered.typing(self.commands, name, option, typed)
        interaction = await self._interact(4, data, user, channel)
        await self.until(lambda: interaction.offered is not None)
        return {choice["name"]: choice["value"] for choice in interaction.offered or []}

    async def menu(self, name: str, message: Message, user: User) -> Interaction:
        """Somebody chooses an entry in the menu of a message."""
        command = next((one for one in self.commands if one["name"] == name and one.get("type") == 3), None)
        assert command is not None, f"there is no entry {name} in the menu of a message"
        resolved = {"messages": {str(message.id): self.world.message_payload(message)}}
        data = {"id": command["id"], "name": name, "type": 3, "target_id": str(message.id), "resolved": resolved}
        return await self._interact(2, data, user, self.world.channels[message.channel_id])

    async def click(self, label: str, message: Message, user: User) -> Interaction:
        """Somebody presses the button with that label (or custom_id) under a message."""
        buttons = message.buttons()
        custom_id = buttons.get(label, label)
        assert custom_id in buttons.values(), f"there is no button {label}; there are {sorted(buttons)}"
        data = {"custom_id": custom_id, "component_type": 2}
        return await self._interact(3, data, user, self.world.channels[message.channel_id], message)

    async def submit(self, shown: Interaction, values: dict[str, str]) -> Interaction:
        """Somebody fills in the modal that the bot showed."""
        assert shown.modal is not None, "no modal was shown"
        rows = [
            {"type": 1, "components": [{"type": 4, "custom_id": key, "value": value}]} for key, value in values.items()
        ]
        data = {"custom_id": shown.modal["custom_id"], "components": rows}
        return await self._interact(5, data, shown.user, shown.channel, shown.source)

    async def _interact(
        self, kind: int, data: Json, user: User, channel: Channel, source: Message | None = None
    ) -> Interaction:
        interaction = Interaction(
            self.world.snowflake(), secrets.token_urlsafe(16), kind, user, channel, time.monotonic(), source
        )
        self.interactions[interaction.token] = interaction
        payload: Json = {
            "id": str(interaction.id),
            "application_id": str(self.world.application_id),
            "type": kind,
            "data": data,
            "channel_id": str(channel.id),
            "channel": channel.payload(),
            "token": interaction.token,
            "version": 1,
            "locale": "en-US",
            "app_permissions": str(MEMBER),
            "attachment_size_limit": 10 << 20,
            "entitlements": [],
            "authorizing_integration_owners": {"0": str(channel.guild_id or 0)},
            "context": 0 if channel.guild_id else 1,
        }
        if channel.guild_id is None:
            payload["user"] = user.payload()
        else:
            member = self.world.member_payload(user) | {"user": user.payload(), "permissions": str(user.permissions)}
            payload |= {"guild_id": str(channel.guild_id), "guild_locale": "en-US", "member": member}
        if source is not None:
            payload["message"] = self.world.message_payload(source)
        await self.gateway.dispatch("INTERACTION_CREATE", lambda session: payload, needs=0, guild_id=channel.guild_id)
        return interaction

    # --- what happens, and who is told

    async def tell(self, channel: Channel, message: Message) -> Message:
        """Put a message into its channel and tell the gateway."""
        channel.messages[message.id] = message
        if not message.flags & EPHEMERAL:
            await self._announce("MESSAGE_CREATE", message)
        self.changed()
        return message

    async def change(self, message: Message, body: Json, files: list[Attachment]) -> None:
        """Edit a message."""
        message.content = body.get("content") or "" if "content" in body else message.content
        message.embeds = body.get("embeds") or [] if "embeds" in body else message.embeds
        message.components = body.get("components") or [] if "components" in body else message.components
        message.attachments = message.attachments + files
        message.keep()
        if not message.flags & EPHEMERAL:
            await self._announce("MESSAGE_UPDATE", message)
        self.changed()

    async def remove(self, message: Message) -> None:
        """Delete a message."""
        message.deleted = True
        channel = self.world.channels[message.channel_id]
        data = {"id": str(message.id), "channel_id": str(channel.id)}
        if channel.guild_id is not None:
            data["guild_id"] = str(channel.guild_id)
        await self.gateway.dispatch(
            "MESSAGE_DELETE", lambda session: data, needs=_needs(channel), guild_id=channel.guild_id
        )
        self.changed()

    async def open_thread(self, message: Message, name: str, owner: User | None = None) -> Channel:
        """Make a thread from a message; it gets the message's own id."""
        guild_id = self.world.channels[message.channel_id].guild_id
        thread = Channel(message.id, THREAD, name, guild_id, message.channel_id, (owner or self.bot).id)
        self.world.channels[thread.id] = thread
        payload = thread.payload() | {"newly_created": True}
        await self.gateway.dispatch("THREAD_CREATE", lambda session: payload, needs=GUILDS, guild_id=guild_id)
        self.changed()
        return thread

    async def _announce(self, event: str, message: Message) -> None:
        def payload(session: Session) -> Json:
            return self.world.event_payload(message, content_allowed=bool(session.intents & MESSAGE_CONTENT))

        place = self.world.channels[message.channel_id]
        await self.gateway.dispatch(event, payload, needs=_needs(place), guild_id=place.guild_id)

    # --- waiting and looking

    def changed(self) -> None:
        """Wake who waits for something to happen."""

        async def wake() -> None:
            async with self._changed:
                self._changed.notify_all()

        task = asyncio.get_running_loop().create_task(wake())
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def until(self, happened: Callable[[], object], timeout: float = 120.0) -> None:
        """Wait until something is so. Raises AssertionError with what was said when it does not come to be."""
        deadline = time.monotonic() + timeout
        while not happened():
            left = deadline - time.monotonic()
            assert left > 0, f"it did not happen within {timeout} s; violations {self.violations}\n{self.transcript()}"
            try:
                async with asyncio.timeout(min(left, 0.2)), self._changed:
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def connected(self, task: asyncio.Task[None] | None = None) -> None:
        """Wait until the bot is connected."""
        await self.until(lambda: self.gateway.connected or (task is not None and task.done()))
        if task is not None and task.done():
            await task

    def transcript(self) -> str:
        """Every place with what was said there, and how often each message was edited."""
        lines: list[str] = []
        for channel in self.world.channels.values():
            if channel.messages:
                lines += ["", _title(channel)]
            for message in channel.messages.values():
                lines += _lines(message)
        return "\n".join(lines)


def _needs(channel: Channel) -> int:
    return GUILD_MESSAGES if channel.guild_id is not None else DIRECT_MESSAGES


def _title(channel: Channel) -> str:
    if channel.recipient is not None:
        return f"== direct messages with {channel.recipient.name}"
    return f"== thread: {channel.name}" if channel.kind == THREAD else f"== #{channel.name}"


def _lines(message: Message) -> list[str]:
    marks = [f"{message.edits} edits"] if message.edits else []
    marks += ["deleted"] if message.deleted else []
    marks += [f"only {message.seen_by.name} sees this"] if message.seen_by else []
    head = f"{message.author.name}{' (' + ', '.join(marks) + ')' if marks else ''}:"
    body = [*message.content.split("\n"), *message.embed_text().split("\n")]
    body += [f"[file {file.name}, {len(file.data)} bytes]" for file in message.attachments]
    body += [f"[{'] ['.join(message.buttons())}]"] if message.components else []
    return [head, *(f"    {line}" for line in body if line)]
