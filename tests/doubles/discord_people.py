"""What people do in the Discord double: they write, edit, forward, click, run commands and submit modals."""

from __future__ import annotations

import secrets
import time
from typing import Any

from tests.doubles import discord_interaction_payloads as payloads
from tests.doubles.discord_content import FORWARD, snapshot
from tests.doubles.discord_events import Events
from tests.doubles.discord_gateway import DIRECT_REACTIONS, GUILD_REACTIONS, GUILDS
from tests.doubles.discord_interactions import Interaction
from tests.doubles.discord_models import ADMINISTRATOR, FORUM, MEMBER, TEXT, THREAD, Channel, Json, Message, User


class People(Events):
    """The people of the guilds, where they write, and what they do. ``shards`` divide the guilds."""

    def __init__(self, shards: int) -> None:
        super().__init__()
        self.shards = shards
        self.interactions: dict[str, Interaction] = {}
        self.commands: list[Json] = []

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

    async def react(self, message: Message, user: User, emoji: str, *, removed: bool = False) -> None:
        """Add an emoji to a message, or remove it. Discord describes the member only where one is added on a server."""
        channel = self.world.channels[message.channel_id]
        _check_membership(channel, user)
        event: Json = {
            "user_id": str(user.id),
            "channel_id": str(channel.id),
            "message_id": str(message.id),
            "emoji": {"id": None, "name": emoji},
            "burst": False,
            "type": 0,
        }
        if channel.guild_id is not None:
            event["guild_id"] = str(channel.guild_id)
        if channel.guild_id is not None and not removed:
            event["member"] = self.world.member_payload(user) | {"user": user.payload()}
        await self.gateway.dispatch(
            "MESSAGE_REACTION_REMOVE" if removed else "MESSAGE_REACTION_ADD",
            lambda session: event,
            needs=DIRECT_REACTIONS if channel.guild_id is None else GUILD_REACTIONS,
            guild_id=channel.guild_id,
        )

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


def _check_membership(place: Channel, user: User) -> None:
    assert place.guild_id is None or user.is_member(place.guild_id), f"{user.name} is not in the guild"
