"""Data of the Discord double: users, channels, messages and attachments, with their API payloads."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

TEXT, DM, VOICE, NEWS, NEWS_THREAD, THREAD, PRIVATE_THREAD, STAGE, FORUM = 0, 1, 2, 5, 10, 11, 12, 13, 15
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
"""The permissions of an ordinary member."""

Json = dict[str, Any]


@dataclass
class User:
    """A person or a bot, with its permissions in the guild.

    ``outside``: no member of any guild. ``left``: those of the guilds it is no member of. ``pending``: it has not
    passed the screening of new members. ``guest``: it was invited to a voice channel alone.
    """

    id: int
    name: str
    bot: bool = False
    permissions: int = MEMBER
    accepts_dms: bool = True
    outside: bool = False
    left: set[int] = field(default_factory=set)
    pending: bool = False
    guest: bool = False

    def is_member(self, guild_id: int) -> bool:
        """Return whether the user is a member of a guild."""
        return not self.outside and guild_id not in self.left

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
    """An uploaded file."""

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
    """The content of a message from a moment on; ``at`` is in monotonic seconds."""

    at: float
    content: str
    embeds: list[Json]
    components: list[Json]


@dataclass
class Message:
    """A message with all its versions."""

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
    """Its type, if it is neither a plain message nor a reply."""
    seen_by: User | None = None
    """For an ephemeral message, the only user who sees it."""
    snapshots: list[Json] = field(default_factory=list)
    """The messages that it forwards, as they were then."""
    poll: Json | None = None
    stickers: tuple[str, ...] = ()
    pings: bool = True
    """Whether a reply mentions the author of what it replies to."""

    def __post_init__(self) -> None:
        self.record_version()

    def record_version(self) -> None:
        """Add the current content to the versions."""
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
        """Return the custom_id of each button by its label."""
        return {button["label"]: button["custom_id"] for row in self.components for button in row["components"]}

    def embed_text(self) -> str:
        """Return all text in its embeds."""
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
    hidden: bool = False
    """Whether @everyone may not view it."""
    private: bool = False
    """Whether a thread is private."""
    news: bool = False
    """Whether a thread belongs to an announcement channel."""
    tags: dict[int, str] = field(default_factory=dict)
    """The tags of a forum by ID, or those of a post in it."""
    messages: dict[int, Message] = field(default_factory=dict)

    def payload(self) -> Json:
        last = str(max(self.messages)) if self.messages else None
        base: Json = {
            "id": str(self.id),
            "type": PRIVATE_THREAD if self.private else NEWS_THREAD if self.news else self.kind,
            "last_message_id": last,
        }
        if self.recipient is not None:
            return base | {"recipients": [self.recipient.payload()]}
        base |= {"guild_id": str(self.guild_id), "name": self.name, "rate_limit_per_user": 0}
        if self.kind == THREAD:
            return base | self._thread_fields()
        if self.kind == FORUM:
            plain = {"moderated": False, "emoji_id": None, "emoji_name": None}
            tags = [{"id": str(number), "name": name, **plain} for number, name in self.tags.items()]
            base |= {"available_tags": tags, "flags": 0}
        if self.kind in (VOICE, STAGE):
            base |= {"bitrate": 64000, "user_limit": 0, "rtc_region": None}
        return base | {
            "position": 0,
            "permission_overwrites": self._hiding(),
            "parent_id": None,
            "nsfw": False,
            "topic": None,
        }

    def _hiding(self) -> list[Json]:
        if not self.hidden:
            return []
        return [{"id": str(self.guild_id), "type": 0, "allow": "0", "deny": str(PERMISSIONS["view_channel"])}]

    def overwrites(self, role_id: int) -> list[Json]:
        """Return what everybody and the bot's role are denied here, in Discord's format."""
        bits = sum(PERMISSIONS[name] for name in self.denied)
        own = [{"id": str(role_id), "type": 0, "allow": "0", "deny": str(bits)}] if bits else []
        return self._hiding() + own

    def _thread_fields(self) -> Json:
        return {
            "parent_id": str(self.parent_id),
            "owner_id": str(self.owner_id),
            "message_count": sum(not message.deleted for message in self.messages.values()),
            "member_count": 1,
            "applied_tags": [str(number) for number in self.tags],
            "thread_metadata": {
                "archived": self.archived,
                "locked": self.locked,
                "auto_archive_duration": 1440,
                "archive_timestamp": now(),
                "create_timestamp": now(),
            },
        }


def now() -> str:
    """Return the current time in Discord's format."""
    return datetime.now(UTC).isoformat()
