"""State of the Discord double: guilds, users, channels and files, with their API payloads. No sockets."""

from __future__ import annotations

import itertools
import re
import time

from tests.doubles.discord_content import is_reply, sticker_items
from tests.doubles.discord_models import (
    ADMINISTRATOR,
    DM,
    MANAGE_GUILD,
    MEMBER,
    TEXT,
    THREAD,
    Attachment,
    Channel,
    Json,
    Message,
    User,
    now,
)
from tests.doubles.discord_rules import missing_access, missing_permissions, unknown_channel, unknown_message

GUEST_FLAG = 1 << 4
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
EPOCH_MS = 1_420_070_400_000
"""Discord's epoch, from which the time in an ID counts."""


def shard_of(guild_id: int | None, shards: int) -> int:
    """Return the shard that receives the events of a guild. The first shard receives direct messages."""
    return (guild_id >> 22) % shards if guild_id is not None else 0


class World:
    """A guild, further guilds and users that the test adds, and the bot, which is a member of every guild."""

    def __init__(self, url: str = "") -> None:
        self.url = url
        self._count = itertools.count()
        self.users: dict[int, User] = {}
        self.channels: dict[int, Channel] = {}
        self.files: dict[int, Attachment] = {}
        self.bot = self.add_user("Parley", bot=True)
        self.application_id = self.bot.id
        self.owner = self.add_user("Owner", permissions=MEMBER | ADMINISTRATOR)
        self.guild_id = self.snowflake()
        self.guilds = {self.guild_id: "Lanternfish"}
        self.features: dict[int, list[str]] = {}
        self.bot_role_id = self.snowflake()
        self.admin_role_id = self.snowflake()

    def snowflake(self) -> int:
        """Return a new ID in Discord's format: the time, then a unique number."""
        return ((int(time.time() * 1000) - EPOCH_MS) << 22) | (next(self._count) & 0x3FFFFF)

    def snowflake_at(self, seconds: float) -> int:
        """Return an ID created at a moment in seconds since 1970."""
        return ((int(seconds * 1000) - EPOCH_MS) << 22) | (next(self._count) & 0x3FFFFF)

    def add_user(self, name: str, *, bot: bool = False, permissions: int = MEMBER) -> User:
        user = User(self.snowflake(), name, bot, permissions)
        self.users[user.id] = user
        return user

    def add_guild(self, name: str, *, shard: int = 0, shards: int = 1) -> int:
        """Add a guild whose events go to ``shard`` out of ``shards``; return its ID."""
        guild_id = self.snowflake()
        while shard_of(guild_id, shards) != shard:
            guild_id += 1 << 22
        self.guilds[guild_id] = name
        return guild_id

    def add_channel(self, name: str, kind: int = TEXT, guild_id: int | None = None) -> Channel:
        channel = Channel(self.snowflake(), kind, name, guild_id or self.guild_id)
        self.channels[channel.id] = channel
        return channel

    def dm(self, user: User) -> Channel:
        for channel in self.channels.values():
            if channel.recipient is user:
                return channel
        channel = Channel(self.snowflake(), DM, user.name, None, recipient=user)
        self.channels[channel.id] = channel
        return channel

    def add_file(self, name: str, content_type: str, data: bytes) -> Attachment:
        file = Attachment(self.snowflake(), name, content_type, data)
        file.url = f"{self.url}/files/{file.id}/{name}"
        self.files[file.id] = file
        return file

    def add_past_message(
        self,
        place: Channel,
        user: User,
        text: str,
        at: float,
        *,
        reply_to: Message | None = None,
        kind: int | None = None,
    ) -> Message:
        """Add a message from the past, ``at`` seconds since 1970. The gateway sends no event for it."""
        reference = {"message_id": str(reply_to.id), "channel_id": str(place.id)} if reply_to else None
        message = Message(self.snowflake_at(at), place.id, user, text, reference=reference, flags=0, kind=kind)
        place.messages[message.id] = message
        return message

    def add_past_thread(self, parent: Channel, name: str, at: float, starter: Message | None = None) -> Channel:
        """Add a thread from the past, started from a message of the channel or without one."""
        number = starter.id if starter else self.snowflake_at(at)
        thread = Channel(number, THREAD, name, parent.guild_id, parent.id, self.owner.id)
        self.channels[thread.id] = thread
        return thread

    def accessible_channel(self, channel_id: int, *needed: str) -> Channel:
        """Return a channel that the bot sees and has the ``needed`` permissions in. Raises ApiError."""
        channel = self.channels.get(channel_id)
        if channel is None:
            raise unknown_channel()
        denied = channel.denied | (self.channels[channel.parent_id].denied if channel.parent_id else set())
        if "view_channel" in denied:
            raise missing_access()
        if any(name in denied for name in needed):
            raise missing_permissions()
        return channel

    def message(self, channel_id: int, message_id: int) -> Message:
        message = self.accessible_channel(channel_id).messages.get(message_id)
        if message is None or message.deleted:
            raise unknown_message()
        return message

    # --- payloads

    def role_payloads(self, guild_id: int) -> list[Json]:
        plain = {"color": 0, "hoist": False, "icon": None, "position": 0, "mentionable": False, "flags": 0}
        colors = {"colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None}}
        everyone = plain | colors | {"id": str(guild_id), "name": "@everyone", "managed": False}
        own = plain | colors | {"id": str(self.bot_role_id), "name": "Parley", "managed": True, "position": 1}
        admin = plain | colors | {"id": str(self.admin_role_id), "name": "Admins", "managed": False, "position": 2}
        return [
            everyone | {"permissions": str(MEMBER)},
            own | {"permissions": str(MEMBER), "tags": {"bot_id": str(self.bot.id)}},
            admin | {"permissions": str(MEMBER | ADMINISTRATOR)},
        ]

    def member_payload(self, user: User) -> Json:
        roles = [str(self.admin_role_id)] if user.permissions & (ADMINISTRATOR | MANAGE_GUILD) else []
        if user is self.bot:
            roles = [str(self.bot_role_id)]
        return {"roles": roles, "joined_at": now(), "deaf": False, "mute": False, "nick": None} | {
            "flags": GUEST_FLAG if user.guest else 0,
            "pending": user.pending,
        }

    def guild_payload(self, guild_id: int) -> Json:
        here = [channel for channel in self.channels.values() if channel.guild_id == guild_id]
        return {
            "id": str(guild_id),
            "name": self.guilds[guild_id],
            "icon": None,
            "owner_id": str(self.owner.id),
            "roles": self.role_payloads(guild_id),
            "emojis": [],
            "stickers": [],
            "features": self.features.get(guild_id, []),
            "members": [self.member_payload(self.bot) | {"user": self.bot.payload()}],
            "channels": [channel.payload() for channel in here if channel.kind != THREAD],
            "threads": [channel.payload() for channel in here if channel.kind == THREAD and not channel.archived],
            "member_count": len(self.users),
            "large": False,
            "unavailable": False,
            "joined_at": now(),
            "voice_states": [],
            "presences": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
            "verification_level": 0,
            "default_message_notifications": 0,
            "explicit_content_filter": 0,
            "mfa_level": 0,
            "nsfw_level": 0,
            "premium_tier": 0,
            "premium_progress_bar_enabled": False,
            "system_channel_id": None,
            "system_channel_flags": 0,
            "rules_channel_id": None,
            "public_updates_channel_id": None,
            "afk_channel_id": None,
            "afk_timeout": 300,
            "preferred_locale": "en-US",
            "vanity_url_code": None,
            "description": None,
            "banner": None,
            "splash": None,
            "discovery_splash": None,
            "application_id": None,
        }

    def message_payload(self, message: Message, *, with_reference: bool = True) -> Json:
        users, roles = self.mentioned(message)
        payload: Json = {
            "id": str(message.id),
            "channel_id": str(message.channel_id),
            "author": message.author.payload(),
            "content": message.content,
            "timestamp": now(),
            "edited_timestamp": now() if message.edits else None,
            "tts": False,
            "mention_everyone": re.search(r"@(?:everyone|here)\b", _CODE.sub("", message.content)) is not None,
            "mentions": [user.payload() for user in users],
            "mention_roles": [str(role) for role in roles],
            "attachments": [file.payload() for file in message.attachments],
            "embeds": message.embeds,
            "components": message.components,
            "pinned": False,
            "type": message.kind if message.kind is not None else 19 if is_reply(message) else 0,
            "flags": message.flags,
        }
        payload |= {"sticker_items": sticker_items(message)} if message.stickers else {}
        payload |= {"message_snapshots": message.snapshots} if message.snapshots else {}
        payload |= {"poll": message.poll} if message.poll else {}
        if message.nonce is not None:
            payload["nonce"] = message.nonce
        if message.id in self.channels:
            payload["thread"] = self.channels[message.id].payload()
        if message.reference and with_reference:
            payload["message_reference"] = message.reference
        if is_reply(message) and message.reference and with_reference:
            replied_to = self.channels[message.channel_id].messages.get(int(message.reference.get("message_id", 0)))
            payload["referenced_message"] = self.message_payload(replied_to) if replied_to else None
        return payload

    def event_payload(self, message: Message, *, content_allowed: bool) -> Json:
        """Return a message as the gateway sends it: empty without the intent, unless it is for or by the bot."""
        payload = self.message_payload(message)
        channel = self.channels[message.channel_id]
        if channel.guild_id is not None:
            payload |= {"guild_id": str(channel.guild_id), "member": self.member_payload(message.author)}
            payload["mentions"] = [
                self.users[int(user["id"])].payload() | {"member": self.member_payload(self.users[int(user["id"])])}
                for user in payload["mentions"]
            ]
        for_bot = channel.guild_id is None or message.author is self.bot or self.bot in self.mentioned(message)[0]
        if not content_allowed and not for_bot:
            payload |= {"content": "", "embeds": [], "attachments": [], "components": []}
            payload.pop("poll", None)
            payload.pop("message_snapshots", None)
        return payload

    def mentioned(self, message: Message) -> tuple[list[User], list[int]]:
        """Return the users and role IDs that a message mentions, outside code.

        A reply that pings mentions the author of what it replies to.
        """
        text = _CODE.sub("", message.content)
        ids = {int(found) for found in re.findall(r"<@!?(\d+)>", text)}
        if message.reference and is_reply(message) and message.pings and message.author is not self.bot:
            replied_to = self.channels[message.channel_id].messages.get(int(message.reference.get("message_id", 0)))
            ids |= {replied_to.author.id} if replied_to else set()
        roles = [int(found) for found in re.findall(r"<@&(\d+)>", text)]
        return [self.users[found] for found in ids if found in self.users], roles
