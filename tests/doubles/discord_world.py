"""What the Discord double knows: people, channels, messages, and the rules for them. Plain data, no sockets."""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

EPOCH_MS = 1_420_070_400_000
TEXT, DM, VOICE, NEWS, THREAD, FORUM = 0, 1, 2, 5, 11, 15
EPHEMERAL, LOADING, SUPPRESS_EMBEDS = 1 << 6, 1 << 7, 1 << 2

ADMINISTRATOR = 1 << 3
MANAGE_GUILD = 1 << 5
PERMISSIONS = {
    "view_channel": 1 << 10,
    "send_messages": 1 << 11,
    "embed_links": 1 << 14,
    "attach_files": 1 << 15,
    "read_message_history": 1 << 16,
    "use_application_commands": 1 << 31,
    "create_public_threads": 1 << 35,
    "send_messages_in_threads": 1 << 38,
}
MEMBER = sum(PERMISSIONS.values())

Json = dict[str, Any]


class ApiError(Exception):
    """Discord says no: status, code and words."""

    def __init__(self, status: int, code: int, message: str, errors: Json | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"message": message, "code": code} | ({"errors": errors} if errors else {})


def unknown_channel() -> ApiError:
    return ApiError(404, 10003, "Unknown Channel")


def unknown_message() -> ApiError:
    return ApiError(404, 10008, "Unknown Message")


def missing_access() -> ApiError:
    return ApiError(403, 50001, "Missing Access")


def missing_permissions() -> ApiError:
    return ApiError(403, 50013, "Missing Permissions")


def invalid_form(where: str, why: str) -> ApiError:
    return ApiError(400, 50035, "Invalid Form Body", {where: {"_errors": [{"code": "BASE_TYPE", "message": why}]}})


@dataclass
class User:
    """A person or a bot. ``permissions`` are what it may do in the guild."""

    id: int
    name: str
    bot: bool = False
    permissions: int = MEMBER
    takes_dms: bool = True

    def payload(self) -> Json:
        return {
            "id": str(self.id),
            "username": self.name.lower().replace(" ", "_"),
            "discriminator": "0",
            "global_name": self.name,
            "avatar": None,
            "bot": self.bot,
        }

    @property
    def mention(self) -> str:
        return f"<@{self.id}>"


@dataclass
class Attachment:
    """A file that somebody sent."""

    id: int
    name: str
    content_type: str
    data: bytes
    url: str = ""

    def payload(self) -> Json:
        return {
            "id": str(self.id),
            "filename": self.name,
            "size": len(self.data),
            "url": self.url,
            "proxy_url": self.url,
            "content_type": self.content_type,
        }


@dataclass
class Version:
    """How a message read at a moment."""

    at: float
    content: str
    embeds: list[Json]
    components: list[Json]


@dataclass
class Message:
    """A message with everything it ever said."""

    id: int
    channel_id: int
    author: User
    content: str
    embeds: list[Json] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    flags: int = 0
    nonce: str | None = None
    reference: Json | None = None
    versions: list[Version] = field(default_factory=list)
    deleted: bool = False
    kind: int | None = None
    """Its type, where it is neither a plain message nor a reply."""
    seen_by: User | None = None
    """For an ephemeral message, the only one who sees it."""

    def __post_init__(self) -> None:
        self.keep()

    def keep(self) -> None:
        """Remember how it reads now."""
        self.versions.append(Version(time.monotonic(), self.content, self.embeds, self.components))

    @property
    def edits(self) -> int:
        return len(self.versions) - 1

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def loading(self) -> bool:
        return bool(self.flags & LOADING)

    def buttons(self) -> dict[str, str]:
        """Label to custom_id."""
        return {button["label"]: button["custom_id"] for row in self.components for button in row["components"]}

    def embed_text(self) -> str:
        """Everything that stands in its embeds."""
        found = []
        for embed in self.embeds:
            found += [embed.get("title", ""), embed.get("description", ""), embed.get("footer", {}).get("text", "")]
        return "\n".join(text for text in found if text)


@dataclass
class Channel:
    """A channel, a thread or a DM. ``denied`` names permissions that the bot lacks here."""

    id: int
    kind: int
    name: str
    guild_id: int | None
    parent_id: int | None = None
    owner_id: int = 0
    recipient: User | None = None
    archived: bool = False
    locked: bool = False
    denied: set[str] = field(default_factory=set)
    messages: dict[int, Message] = field(default_factory=dict)

    def payload(self) -> Json:
        last = str(max(self.messages)) if self.messages else None
        base: Json = {"id": str(self.id), "type": self.kind, "last_message_id": last}
        if self.recipient is not None:
            return base | {"recipients": [self.recipient.payload()]}
        base |= {"guild_id": str(self.guild_id), "name": self.name, "rate_limit_per_user": 0}
        if self.kind == THREAD:
            return base | self._thread()
        if self.kind == FORUM:
            base |= {"available_tags": [], "flags": 0}
        if self.kind == VOICE:
            base |= {"bitrate": 64000, "user_limit": 0, "rtc_region": None}
        return base | {"position": 0, "permission_overwrites": [], "parent_id": None, "nsfw": False, "topic": None}

    def overwrites(self, role_id: int) -> list[Json]:
        """What the bot's role is denied here, as Discord writes it."""
        bits = sum(PERMISSIONS[name] for name in self.denied)
        return [{"id": str(role_id), "type": 0, "allow": "0", "deny": str(bits)}] if bits else []

    def _thread(self) -> Json:
        return {
            "parent_id": str(self.parent_id),
            "owner_id": str(self.owner_id),
            "message_count": sum(not message.deleted for message in self.messages.values()),
            "member_count": 1,
            "thread_metadata": {
                "archived": self.archived,
                "locked": self.locked,
                "auto_archive_duration": 1440,
                "archive_timestamp": now(),
                "create_timestamp": now(),
            },
        }


def now() -> str:
    return datetime.now(UTC).isoformat()


def shard_of(guild_id: int | None, shards: int) -> int:
    """The shard that hears of a guild; of direct messages the first does."""
    return (guild_id >> 22) % shards if guild_id is not None else 0


class World:
    """A guild, others where the test founds them, the bot in all, and whoever the test invites."""

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
        self.bot_role_id = self.snowflake()
        self.admin_role_id = self.snowflake()

    def snowflake(self) -> int:
        """An id as Discord makes them: time, then a number of its own."""
        return ((int(time.time() * 1000) - EPOCH_MS) << 22) | (next(self._count) & 0x3FFFFF)

    def snowflake_at(self, seconds: float) -> int:
        """An id that was made at that moment, in seconds since 1970."""
        return ((int(seconds * 1000) - EPOCH_MS) << 22) | (next(self._count) & 0x3FFFFF)

    def add_user(self, name: str, *, bot: bool = False, permissions: int = MEMBER) -> User:
        user = User(self.snowflake(), name, bot, permissions)
        self.users[user.id] = user
        return user

    def add_guild(self, name: str, *, shard: int = 0, shards: int = 1) -> int:
        """Found another guild, whose events that shard of so many hears; its id."""
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

    def open(self, channel_id: int, *needed: str) -> Channel:
        """A channel that the bot sees and has the rights in. Raises ApiError."""
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
        message = self.open(channel_id).messages.get(message_id)
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
        return {"roles": roles, "joined_at": now(), "deaf": False, "mute": False, "nick": None, "flags": 0}

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
            "features": [],
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
            "mention_everyone": False,
            "mentions": [user.payload() for user in users],
            "mention_roles": [str(role) for role in roles],
            "attachments": [file.payload() for file in message.attachments],
            "embeds": message.embeds,
            "components": message.components,
            "pinned": False,
            "type": message.kind if message.kind is not None else 19 if message.reference else 0,
            "flags": message.flags,
        }
        if message.nonce is not None:
            payload["nonce"] = message.nonce
        if message.id in self.channels:
            payload["thread"] = self.channels[message.id].payload()
        if message.reference and with_reference:
            payload["message_reference"] = message.reference
            found = self.channels[message.channel_id].messages.get(int(message.reference.get("message_id", 0)))
            payload["referenced_message"] = self.message_payload(found) if found else None
        return payload

    def event_payload(self, message: Message, *, content_allowed: bool) -> Json:
        """A message as the gateway tells it: without the intent, emptied unless it concerns the bot."""
        payload = self.message_payload(message)
        channel = self.channels[message.channel_id]
        if channel.guild_id is not None:
            payload |= {"guild_id": str(channel.guild_id), "member": self.member_payload(message.author)}
            payload["mentions"] = [
                self.users[int(user["id"])].payload() | {"member": self.member_payload(self.users[int(user["id"])])}
                for user in payload["mentions"]
            ]
        concerns = channel.guild_id is None or message.author is self.bot or self.bot in self.mentioned(message)[0]
        if not content_allowed and not concerns:
            payload |= {"content": "", "embeds": [], "attachments": [], "components": []}
        return payload

    def mentioned(self, message: Message) -> tuple[list[User], list[int]]:
        ids = {int(found) for found in re.findall(r"<@!?(\d+)>", message.content)}
        if message.reference and message.author is not self.bot:
            answered = self.channels[message.channel_id].messages.get(int(message.reference.get("message_id", 0)))
            ids |= {answered.author.id} if answered else set()
        roles = [int(found) for found in re.findall(r"<@&(\d+)>", message.content)]
        return [self.users[found] for found in ids if found in self.users], roles


# --- rules for what a bot sends


_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
_BARE_LINK = re.compile(r"(?<![<\w])https?://\S+")


def check_message(body: Json, *, files: int, edit: bool = False) -> None:
    """Discord's limits of a message. Raises ApiError."""
    content = body.get("content") or ""
    if len(content) > 2000:
        raise invalid_form("content", "Must be 2000 or fewer in length.")
    if not edit and not content and not body.get("embeds") and not files and not body.get("components"):
        raise ApiError(400, 50006, "Cannot send an empty message")
    if len(str(body.get("nonce") or "")) > 25:
        raise invalid_form("nonce", "Must be 25 or fewer in length.")
    _check_embeds(body.get("embeds") or [])
    _check_components(body.get("components") or [])


def _check_embeds(embeds: list[Json]) -> None:
    if len(embeds) > 10:
        raise invalid_form("embeds", "Must be 10 or fewer in length.")
    total = 0
    for embed in embeds:
        title, text = embed.get("title", ""), embed.get("description", "")
        footer = embed.get("footer", {}).get("text", "")
        total += len(title) + len(text) + len(footer)
        if len(title) > 256 or len(text) > 4096 or len(footer) > 2048:
            raise invalid_form("embeds", "Too long.")
        if not (title or text or footer):
            raise ApiError(400, 50006, "Cannot send an empty message")
    if total > 6000:
        raise invalid_form("embeds", "Embed size exceeds maximum size of 6000")


def _check_components(rows: list[Json]) -> None:
    seen: set[str] = set()
    if len(rows) > 5:
        raise invalid_form("components", "Must be 5 or fewer in length.")
    for row in rows:
        if row.get("type") != 1 or not 1 <= len(row["components"]) <= 5:
            raise invalid_form("components", "An action row has 1 to 5 buttons.")
        for button in row["components"]:
            custom_id = button.get("custom_id", "")
            if not 1 <= len(custom_id) <= 100 or custom_id in seen:
                raise invalid_form("components", "custom_id must be 1 to 100 characters and unique.")
            if len(button.get("label", "")) > 80:
                raise invalid_form("components", "label must be 80 or fewer in length.")
            seen.add(custom_id)


def manners(body: Json) -> list[str]:
    """What Discord allows and this bot must not do: ping people, let links unfold, send text nobody can read twice."""
    faults = []
    allowed = body.get("allowed_mentions")
    if ("content" in body or "embeds" in body) and (
        allowed is None
        or allowed.get("parse") != []
        or allowed.get("users")
        or allowed.get("roles")
        or allowed.get("replied_user")
    ):
        faults.append(f"allowed_mentions lets people be pinged: {allowed}")
    if not (body.get("flags") or 0) & SUPPRESS_EMBEDS:
        bare = _BARE_LINK.search(_CODE.sub("", body.get("content") or ""))
        if bare:
            faults.append(f"a link that unfolds: {bare[0]}")
    return faults


_COMMAND_NAME = re.compile(r"[-_\w]{1,32}")
CHAT_INPUT, MESSAGE_MENU = 1, 3
SUB_COMMAND = 1


def check_command(command: Json) -> None:
    """Discord's rules for an application command. Raises ApiError."""
    if command.get("type", CHAT_INPUT) == MESSAGE_MENU:
        if not 1 <= len(command["name"]) <= 32 or command.get("description") or command.get("options"):
            raise invalid_form("name", "Context menu commands have a name and nothing else")
        return
    if not _COMMAND_NAME.fullmatch(command["name"]) or command["name"] != command["name"].lower():
        raise invalid_form("name", "Command name is invalid")
    if not 1 <= len(command.get("description", "")) <= 100:
        raise invalid_form("description", "Must be between 1 and 100 in length.")
    _check_options(command.get("options", []))


def _check_options(options: list[Json]) -> None:
    if len(options) > 25 or len({option["name"] for option in options}) != len(options):
        raise invalid_form("options", "At most 25, each of its own name")
    if any(option["type"] == SUB_COMMAND for option in options) != all(
        option["type"] == SUB_COMMAND for option in options or [{"type": 0}]
    ):
        raise invalid_form("options", "Sub-command and sub-command group option types are mutually exclusive")
    optional = False
    for option in options:
        if not _COMMAND_NAME.fullmatch(option["name"]) or not 1 <= len(option["description"]) <= 100:
            raise invalid_form("options", "Option name or description is invalid")
        if option["type"] == SUB_COMMAND:
            _check_options(option.get("options", []))
            continue
        if option.get("required") and optional:
            raise invalid_form("options", "Required options must be placed before non-required options")
        optional = optional or not option.get("required")
        if option.get("autocomplete") and option.get("choices"):
            raise invalid_form("options", "Autocomplete and choices are mutually exclusive")
        check_choices(option.get("choices") or [])


def check_choices(choices: list[Json]) -> None:
    """Discord's limits of choices and suggestions. Raises ApiError."""
    if len(choices) > 25:
        raise invalid_form("choices", "Must be 25 or fewer in length.")
    for choice in choices:
        if not (1 <= len(choice["name"]) <= 100 and 1 <= len(str(choice["value"])) <= 100):
            raise invalid_form("choices", "Must be between 1 and 100 in length.")


def check_modal(modal: Json) -> None:
    """Discord's limits of a modal. Raises ApiError."""
    if not 1 <= len(modal["title"]) <= 45 or not 1 <= len(modal["components"]) <= 5:
        raise invalid_form("title", "A modal has a title of 45 characters and 1 to 5 fields.")
    for row in modal["components"]:
        for field_ in row.get("components") or [row.get("component")]:
            if len(field_.get("label") or "") > 45 or len(field_.get("value") or "") > 4000:
                raise invalid_form("components", "Too long.")
