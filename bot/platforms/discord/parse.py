"""Parses Discord messages and interactions into the engine's types. Makes no requests."""

from __future__ import annotations

import re
from collections.abc import Sequence

import discord

from bot.platforms.authored_text import speaker
from bot.platforms.discord.errors import translated_errors
from bot.platforms.discord.message_text import known_names, with_names
from bot.types.conversation import Attachment, Author, Incoming, IncomingKind, ThreadKey

DIRECT_MESSAGES = "discord:dm"
"""Workspace name for direct messages, which belong to no server."""

_PING = re.compile(r"<@[!&]?(\d{1,20})>")
_EVERYBODY = re.compile(r"(?<!\w)@(?:everyone|here)\b")
_spoken = speaker("> ")
_CONTENT_TYPES = (discord.MessageType.default, discord.MessageType.reply)


def incoming(
    message: discord.Message,
    channel: object,
    me: int,
    *,
    tenant: str,
    admins: Sequence[str] = (),
) -> Incoming | None:
    """Return the question in a message; None if it is by a bot, a notice of Discord's, or meant for others.

    ``channel`` is the message's channel; a thread that the cache does not have must be fetched before. Without a
    mention, a message in a thread has the kind ``follow_up``, and so has a reply to the bot in a channel; others there
    are ``overheard``. The dispatcher decides whether the bot answers them. ``text`` has the names that Discord sent
    along.
    """
    if message.author.bot or message.webhook_id is not None or message.type not in _CONTENT_TYPES:
        return None
    if message.guild is None and not _is_direct(message):
        return None
    channel_id, thread_id, kind = _location(message, channel, me)
    if kind in ("follow_up", "overheard") and (_is_for_others(message, me) or _says_nothing(message)):
        return None
    return Incoming(
        thread=key(tenant, channel_id, thread_id),
        message_id=str(message.id),
        author=author(message.author, admins=admins),
        text=_text(message, me),
        kind=kind,
        sent_at=message.created_at,
        edited_at=message.edited_at,
        attachments=tuple(
            attachment(file, ref=f"{message.channel.id}/{message.id}/{file.id}") for file in message.attachments
        ),
    )


def _is_direct(message: discord.Message) -> bool:
    """Return whether a message without a server is a direct one, and not of a server that Discord has not sent yet."""
    is_of_server = getattr(message.channel, "guild_id", None) is not None
    return not is_of_server and not isinstance(message.author, discord.Member)


def _location(message: discord.Message, channel: object, me: int) -> tuple[str, str, IncomingKind]:
    here = str(message.channel.id)
    if message.guild is None:
        return here, here, "dm"
    mentioned = mentions(message, me)
    if isinstance(channel, discord.Thread):
        return str(channel.parent_id), here, "mention" if mentioned else "follow_up"
    if mentioned:
        return here, str(_root(message, me)), "mention"
    if _answered_author(message) == me:
        return here, str(_root(message, me)), "follow_up"
    return here, str(message.id), "overheard"


def workspace(guild_id: int | None) -> str:
    """Return the name of a server for ``Settings.tenant_of``."""
    return DIRECT_MESSAGES if guild_id is None else f"discord:{guild_id}"


def key(tenant: str, channel_id: str, thread_id: str | None = None) -> ThreadKey:
    """Return the key of a conversation. A DM channel is both channel and thread."""
    return ThreadKey(tenant, "discord", channel_id, thread_id or channel_id)


def mentions(message: discord.Message, me: int) -> bool:
    """Return whether the bot is mentioned: by name, by its own role, or by a reply that pings it.

    A mention in code or in a quotation does not count.
    """
    own = own_ids(message, me)
    if any(found[1] in own for found in _PING.finditer(_spoken(message.content))):
        return True
    is_written = any(found[1] in own for found in _PING.finditer(message.content))
    is_pinged = any(user.id == me for user in message.mentions)
    return is_pinged and (not is_written or _answered_author(message) == me)


def _is_for_others(message: discord.Message, me: int) -> bool:
    """Return whether a message that does not mention the bot names other people or groups, or replies to a person."""
    spoken = _spoken(message.content)
    if message.mention_everyone or _PING.search(spoken) or _EVERYBODY.search(spoken):
        return True
    return message.type is discord.MessageType.reply and _answered_author(message) != me


def _says_nothing(message: discord.Message) -> bool:
    """Return whether a message has neither words nor files of its own, such as a sticker, a poll or a forward."""
    return not message.content.strip() and not message.attachments


def _answered_author(message: discord.Message) -> int | None:
    """Return who wrote the message that this one replies to; None if it replies to none, or that one is gone."""
    answered = message.reference.resolved if message.reference else None
    return answered.author.id if isinstance(answered, discord.Message) else None


def _own_roles(message: discord.Message, me: int) -> set[int]:
    return {role.id for role in message.role_mentions if role.tags is not None and role.tags.bot_id == me}


def _root(message: discord.Message, me: int) -> int:
    """Return the ID of the message that started the conversation; a thread made from a message has its ID, too.

    Where the bot may not create threads, it answers by a reply to that message. A reply to such an answer continues the
    same conversation.
    """
    answered = message.reference.resolved if message.reference else None
    if not isinstance(answered, discord.Message) or answered.author.id != me or answered.reference is None:
        return message.id
    return answered.reference.message_id or message.id


def own_ids(message: discord.Message, me: int) -> set[str]:
    """Return the IDs with which the message mentions the bot: its own, and that of its role."""
    return {str(me)} | {str(role) for role in _own_roles(message, me)}


def _text(message: discord.Message, me: int) -> str:
    """Return the content without the bot's own mention, with the names that Discord sent along."""
    text = without_own(message.content, own_ids(message, me))
    return with_names(text, known_names(message, message.guild, text))


def command_text(message: discord.Message, me: int) -> str:
    """Return the message as a command reads it: without the bot's mention, with people and channels as IDs."""
    return without_own(message.content, own_ids(message, me))


def without_own(text: str, own: set[str]) -> str:
    """Remove the bot's own mention and the space around it, except in code and quotations."""
    text = text.replace("\0", "")
    spoken = _spoken(text)
    text = _PING.sub(lambda found: "\0" if found[1] in own and spoken[found.start()] == "<" else found[0], text)
    text = re.sub(r"\A\s*\0[,:]?", "", text)
    text = re.sub(r"[ \t]*\0(?=[?.,!;:])", "", text)
    return re.sub(r"[ \t]*\0[ \t]*", " ", text).strip()


def author(
    user: discord.User | discord.Member,
    *,
    admins: Sequence[str] = (),
    permissions: discord.Permissions | None = None,
) -> Author:
    """Return the author of a message. Admins have Administrator or Manage Server, or their ID is in PARLEY_ADMINS."""
    if permissions is None and isinstance(user, discord.Member):
        permissions = user.guild_permissions
    permitted = permissions is not None and (permissions.administrator or permissions.manage_guild)
    is_admin = permitted or is_listed(user.id, admins)
    return Author(id=str(user.id), name=user.display_name, is_admin=is_admin)


def is_listed(user_id: int, admins: Sequence[str]) -> bool:
    """Return whether PARLEY_ADMINS names the user."""
    return str(user_id) in admins or f"discord:{user_id}" in admins


def attachment(file: discord.Attachment, *, ref: str = "") -> Attachment:
    """Return a file attached to a message or a command; ``ref`` is ``CHANNEL/MESSAGE/ATTACHMENT`` for a message.

    Reading it raises SurfaceError.
    """

    async def read() -> bytes:
        async with translated_errors():
            return await file.read()

    return Attachment(
        name=file.filename,
        content_type=(file.content_type or "application/octet-stream").split(";")[0],
        size=file.size,
        read=read,
        ref=ref,
    )


def is_private_thread(channel: object) -> bool:
    """Return whether only the people who were added read the channel, and not everyone who reads its parent."""
    return isinstance(channel, discord.Thread) and channel.is_private()


def may_read_history(person: object, channel: object) -> bool:
    """Return whether a person may read the earlier messages of a channel; in direct messages everybody may."""
    if not isinstance(channel, discord.abc.GuildChannel | discord.Thread):
        return not isinstance(person, discord.Member)
    return isinstance(person, discord.Member) and channel.permissions_for(person).read_message_history


def interaction_author(interaction: discord.Interaction, admins: Sequence[str]) -> Author:
    """Return the user of an interaction; in a server, with the permissions that Discord sent with it."""
    permissions = interaction.permissions if interaction.guild_id is not None else None
    return author(interaction.user, admins=admins, permissions=permissions)


def interaction_key(interaction: discord.Interaction, tenant: str) -> ThreadKey:
    """Return the key of the conversation in which a button was pressed or a command was run."""
    channel = interaction.channel
    here = str(interaction.channel_id or 0)
    if isinstance(channel, discord.Thread):
        return key(tenant, str(channel.parent_id), here)
    return key(tenant, here)
