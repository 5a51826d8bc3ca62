"""A Discord message becomes an Incoming, or nothing. Pure: reads what the gateway sent and asks for nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import discord

from bot.types.conversation import Attachment, Author, Incoming, IncomingKind, ThreadKey

DIRECT_MESSAGES = "discord:dm"
"""Stands for the server where there is none."""

_TOKEN = re.compile(r"<(?P<sign>@!?|@&|#)(?P<id>\d{1,20})>|</(?P<command>[^:>]+):\d+>|<a?:(?P<emoji>\w+):\d+>")
_PING = re.compile(r"<@[!&]?(\d{1,20})>")
_ASKED = (discord.MessageType.default, discord.MessageType.reply)


def incoming(
    message: discord.Message,
    place: object,
    me: int,
    *,
    tenant: str,
    admins: Sequence[str] = (),
) -> Incoming | None:
    """The question in a message, or None when it is not for the bot.

    ``place`` is the message's channel, resolved (a thread that the cache does not know is fetched before). A message in
    a thread without a mention comes out as ``follow_up``, one in a channel as ``overheard``: whether the bot answers
    there is the desk's to say.
    """
    if message.author.bot or message.webhook_id is not None or message.type not in _ASKED:
        return None
    channel_id, thread_id, kind = _where(message, place, me)
    return Incoming(
        thread=key(tenant, channel_id, thread_id),
        message_id=str(message.id),
        author=author(message.author, admins=admins),
        text=_text(message, me),
        kind=kind,
        sent_at=message.created_at,
        attachments=tuple(
            attachment(file, ref=f"{message.channel.id}/{message.id}/{file.id}") for file in message.attachments
        ),
    )


def _where(message: discord.Message, place: object, me: int) -> tuple[str, str, IncomingKind]:
    here = str(message.channel.id)
    if message.guild is None:
        return here, here, "dm"
    asked = mentions(message, me)
    if isinstance(place, discord.Thread):
        return str(place.parent_id), here, "mention" if asked else "follow_up"
    return (here, str(_root(message, me)), "mention") if asked else (here, str(message.id), "overheard")


def workspace(guild_id: int | None) -> str:
    """The server as ``Settings.tenant_of`` names it."""
    return DIRECT_MESSAGES if guild_id is None else f"discord:{guild_id}"


def key(tenant: str, channel_id: str, thread_id: str | None = None) -> ThreadKey:
    """The conversation's key: a DM channel is both channel and thread."""
    return ThreadKey(tenant, "discord", channel_id, thread_id or channel_id)


def mentions(message: discord.Message, me: int) -> bool:
    """Whether the bot is addressed: by name, by its own role, or by a reply to one of its messages that pings it."""
    if any(user.id == me for user in message.mentions) or me in message.raw_mentions:
        return True
    return bool(_own_roles(message, me))


def _own_roles(message: discord.Message, me: int) -> set[int]:
    return {role.id for role in message.role_mentions if role.tags is not None and role.tags.bot_id == me}


def _root(message: discord.Message, me: int) -> int:
    """The message that began the conversation. A thread made from a message has that message's id.

    Where the bot may not make threads it answers by a reply to that message; a reply to such an answer goes on there.
    """
    answered = message.reference.resolved if message.reference else None
    if not isinstance(answered, discord.Message) or answered.author.id != me or answered.reference is None:
        return message.id
    return answered.reference.message_id or message.id


def _own(message: discord.Message, me: int) -> set[str]:
    return {str(me)} | {str(role) for role in _own_roles(message, me)}


def readable(message: discord.Message) -> str:
    """The message as a person reads it, everybody's mentions by name."""
    return _decoded(message, set())


def _text(message: discord.Message, me: int) -> str:
    return _decoded(message, _own(message, me))


def _decoded(message: discord.Message, own: set[str]) -> str:
    users = {str(user.id): user.display_name for user in message.mentions}
    roles = {str(role.id): role.name for role in message.role_mentions}
    channels = {str(channel.id): getattr(channel, "name", "channel") for channel in message.channel_mentions}
    return decode(message.content, own=own, users=users, roles=roles, channels=channels)


def order(message: discord.Message, me: int) -> str:
    """The message as a command may read it: without the bot's mention, with people and channels by their ids."""
    return without_own(message.content, _own(message, me))


def without_own(text: str, own: set[str]) -> str:
    """The text without the bot's own mention and the space around it."""
    text = _PING.sub(lambda found: "\0" if found[1] in own else found[0], text.replace("\0", ""))
    text = re.sub(r"\A\s*\0[,:]?", "", text)
    text = re.sub(r"[ \t]*\0(?=[?.,!;:])", "", text)
    return re.sub(r"[ \t]*\0[ \t]*", " ", text).strip()


def decode(
    text: str,
    *,
    own: set[str],
    users: Mapping[str, str],
    roles: Mapping[str, str],
    channels: Mapping[str, str],
) -> str:
    """Discord's markers as a person reads them; the bot's own mention is taken out with the space around it."""

    def read(found: re.Match[str]) -> str:
        if found["command"]:
            return f"/{found['command']}"
        if found["emoji"]:
            return f":{found['emoji']}:"
        if found["sign"] == "#":
            return f"#{channels.get(found['id'], 'unknown-channel')}"
        names, unknown = (roles, "unknown-role") if found["sign"] == "@&" else (users, "unknown-user")
        return f"@{names.get(found['id'], unknown)}"

    return _TOKEN.sub(read, without_own(text, own))


def author(
    user: discord.User | discord.Member,
    *,
    admins: Sequence[str] = (),
    permissions: discord.Permissions | None = None,
) -> Author:
    """A person. Admin: administrator or manage server in the guild, or named in PARLEY_ADMINS by id."""
    if permissions is None and isinstance(user, discord.Member):
        permissions = user.guild_permissions
    rights = permissions is not None and (permissions.administrator or permissions.manage_guild)
    named = str(user.id) in admins or f"discord:{user.id}" in admins
    return Author(id=str(user.id), name=user.display_name, is_admin=rights or named)


def attachment(file: discord.Attachment, *, ref: str = "") -> Attachment:
    """A file beside a message or a command; ``ref`` is ``CHANNEL/MESSAGE/ATTACHMENT`` where a message has it."""
    return Attachment(
        name=file.filename,
        content_type=(file.content_type or "application/octet-stream").split(";")[0],
        size=file.size,
        read=file.read,
        ref=ref,
    )


def interaction_author(interaction: discord.Interaction, admins: Sequence[str]) -> Author:
    """Who pressed a button or ran a command; in a guild with the permissions that Discord sent along."""
    permissions = interaction.permissions if interaction.guild_id is not None else None
    return author(interaction.user, admins=admins, permissions=permissions)


def interaction_key(interaction: discord.Interaction, tenant: str) -> ThreadKey:
    """Where a button was pressed or a command was run."""
    channel = interaction.channel
    here = str(interaction.channel_id or 0)
    if isinstance(channel, discord.Thread):
        return key(tenant, str(channel.parent_id), here)
    return key(tenant, here)
