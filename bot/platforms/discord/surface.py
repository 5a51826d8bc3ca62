"""A place on Discord where one reply appears: a thread made from the question, a thread, a DM, or a reply."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
import discord

from bot.errors import MessageGone, RateLimited, SurfaceError
from bot.platforms.discord import render, thread_context, user_messages
from bot.types.conversation import StoredAttachment, ThreadAbove
from bot.types.display import Limits, Part
from bot.types.turns import Turn

log = logging.getLogger(__name__)

LOOKED_THROUGH = 100
"""Messages after the question among which a post is looked for of which nobody knows whether it went through."""

LIMITS = Limits(message_chars=1850, edit_interval=1.0)
"""Below Discord's 2,000: brackets around links, aligned tables and notes need room."""

ARCHIVE_MINUTES: Literal[1440] = 1440
NONCE_CHARS = 25
NO_MENTIONS = discord.AllowedMentions.none()

UNKNOWN_CHANNEL = 10003
UNKNOWN_MESSAGE = 10008
MISSING_ACCESS = 50001
MISSING_PERMISSIONS = 50013
ARCHIVED = 50083
THREAD_EXISTS = 160004
LOCKED = 160005
_GONE = {
    UNKNOWN_CHANNEL: "the channel or thread is no longer there",
    10004: "the bot is no longer on this server",
    UNKNOWN_MESSAGE: "the message was deleted",
    MISSING_ACCESS: "the bot cannot see this channel; give it View Channel there",
    50007: "this person takes no direct messages from the bot",
    MISSING_PERMISSIONS: "the bot may not write here; give it Send Messages and Send Messages in Threads",
    ARCHIVED: "the thread is archived and cannot be woken",
    LOCKED: "the thread is locked",
}


@dataclass(frozen=True, slots=True)
class _Place:
    channel: discord.PartialMessageable
    reply_to: discord.MessageReference | None = None


class DiscordSurface:
    """Shows the reply of one turn. Finds or makes its place at the first post, so that it also works after a restart.

    A reference is ``CHANNEL/MESSAGE``.
    """

    limits = LIMITS

    def __init__(self, client: discord.Client, turn: Turn) -> None:
        self._client = client
        self._turn = turn
        self._place: _Place | None = None
        self._known = set(turn.parts)

    async def post(self, part: Part) -> str:
        """Post once: Discord returns the first message when the same nonce comes again within minutes."""
        shown = render.part(part)
        async with told():
            self._place = self._place or await self._find_place()
            try:
                message = await self._send(self._place, shown, short(part.nonce))
            except discord.NotFound as error:
                if error.code != UNKNOWN_CHANNEL or not self._may_reply():
                    raise
                self._place = self._in_channel()
                message = await self._send(self._place, shown, short(part.nonce))
            except discord.Forbidden as error:
                await self._complain(error.code)
                raise
        ref = f"{message.channel.id}/{message.id}"
        self._known.add(ref)
        return ref

    async def find(self, nonce: str) -> str | None:
        """Look through the place for a message of the turn that is not known yet.

        Discord itself knows a nonce for some minutes only; the last message of a draft names its turn in its buttons.
        """
        try:
            async with told():
                self._place = self._place or await self._find_place()
                since = discord.Object(int(self._turn.message_id.partition(":")[0]))
                async for message in self._place.channel.history(limit=LOOKED_THROUGH, after=since):
                    ref = f"{message.channel.id}/{message.id}"
                    if ref not in self._known and _is_of(message, self._turn.id, short(nonce)):
                        self._known.add(ref)
                        return ref
        except MessageGone:
            return None
        return None

    async def edit(self, ref: str, part: Part) -> None:
        """Make the message read as ``part`` says; an archived thread is woken first."""
        shown = render.part(part)
        async with told():
            try:
                await self._edit(ref, shown)
            except discord.HTTPException as error:
                if error.code == ARCHIVED:
                    await self._wake(ref)
                elif error.code == MISSING_PERMISSIONS and shown.embed is not None:
                    shown = render.without_embed(shown)
                else:
                    await self._complain(error.code)
                    raise
                await self._edit(ref, shown)

    async def delete(self, ref: str) -> None:
        """Take the message away; one that is gone already is no error."""
        with contextlib.suppress(MessageGone):
            async with told():
                await self._message(ref).delete()

    async def fetch(self, file: StoredAttachment) -> bytes:
        """The bytes of a file that was attached to the question."""
        async with told():
            return await thread_context.fetch(self._client, file)

    async def above(self) -> ThreadAbove | None:
        """The thread above the question, or the message it replies to; None where there is neither."""
        async with told():
            return await thread_context.above(self._client, self._turn)

    async def hand_over(self, name: str, data: bytes) -> None:
        """Post a file below the reply, once; to the asker's direct messages where the bot may not attach files."""
        nonce = short(f"file {self._turn.id}")
        async with told():
            self._place = self._place or await self._find_place()
            try:
                await self._place.channel.send(file=_file(name, data), allowed_mentions=NO_MENTIONS, nonce=nonce)
            except discord.Forbidden as error:
                if error.code != MISSING_PERMISSIONS:
                    raise
                dm = await self._client.create_dm(discord.Object(int(self._turn.author.id)))
                word = user_messages.cannot_write(self._turn.thread.channel_id)
                await dm.send(word, file=_file(name, data), allowed_mentions=NO_MENTIONS, nonce=nonce)

    async def _complain(self, code: int) -> None:
        """Tell the asker why there is no answer, where the bot may not write what it was asked."""
        if code not in (MISSING_ACCESS, MISSING_PERMISSIONS, LOCKED):
            return
        told = user_messages.shut_out(self._turn.thread.channel_id, _GONE[code])
        with contextlib.suppress(discord.HTTPException):
            dm = await self._client.create_dm(discord.Object(int(self._turn.author.id)))
            await dm.send(told, allowed_mentions=NO_MENTIONS, nonce=short(f"shut out {self._turn.id}"))

    # --- where

    async def _find_place(self) -> _Place:
        thread = self._turn.thread
        if not thread.thread_id.isdecimal():
            # A private question that an earlier process left behind: its interaction is void, a DM is as private.
            dm = await self._client.create_dm(discord.Object(int(self._turn.author.id)))
            return _Place(self._client.get_partial_messageable(dm.id))
        if thread.thread_id == self._turn.message_id:
            return await self._open_thread()
        return _Place(self._channel(thread.thread_id))

    async def _open_thread(self) -> _Place:
        """A thread from the question, which gets the question's own id; without the right to, a reply to it."""
        thread = self._turn.thread
        name = render.thread_name(self._turn.question)
        try:
            await self._client.http.start_thread_with_message(
                int(thread.channel_id), int(thread.thread_id), name=name, auto_archive_duration=ARCHIVE_MINUTES
            )
        except discord.HTTPException as error:
            if error.code == UNKNOWN_MESSAGE or error.status >= 500:
                raise
            if error.code != THREAD_EXISTS:
                log.info("no thread in channel %s, answering by a reply: %s", thread.channel_id, error)
                return self._in_channel()
        return _Place(self._channel(thread.thread_id))

    def _may_reply(self) -> bool:
        thread = self._turn.thread
        apart = thread.thread_id.isdecimal() and thread.thread_id != thread.channel_id
        return apart and (self._place is None or self._place.reply_to is None)

    def _in_channel(self) -> _Place:
        thread = self._turn.thread
        reference = discord.MessageReference(
            message_id=int(thread.thread_id), channel_id=int(thread.channel_id), fail_if_not_exists=False
        )
        return _Place(self._channel(thread.channel_id), reference)

    def _channel(self, channel_id: str) -> discord.PartialMessageable:
        return self._client.get_partial_messageable(int(channel_id))

    def _message(self, ref: str) -> discord.PartialMessage:
        channel, _, message = ref.partition("/")
        return self._channel(channel).get_partial_message(int(message))

    # --- what

    async def _send(self, place: _Place, shown: render.Shown, name: str) -> discord.Message:
        try:
            return await self._send_once(place, shown, name)
        except discord.Forbidden as error:
            if error.code != MISSING_PERMISSIONS or shown.embed is None:
                raise
            return await self._send_once(place, render.without_embed(shown), name)

    async def _send_once(self, place: _Place, shown: render.Shown, name: str) -> discord.Message:
        view = render.view(shown.buttons)
        options: dict[str, Any] = {
            "embeds": [shown.embed] if shown.embed else [],
            "nonce": name,
            "allowed_mentions": NO_MENTIONS,
        }
        if view is not None:
            options["view"] = view
        if place.reply_to is not None:
            options["reference"] = place.reply_to
        return await place.channel.send(shown.content, **options)

    async def _edit(self, ref: str, shown: render.Shown) -> None:
        await self._message(ref).edit(
            content=shown.content,
            embeds=[shown.embed] if shown.embed else [],
            view=render.view(shown.buttons),
            allowed_mentions=NO_MENTIONS,
        )

    async def _wake(self, ref: str) -> None:
        thread = await self._client.fetch_channel(int(ref.partition("/")[0]))
        if not isinstance(thread, discord.Thread) or thread.locked:
            await self._complain(LOCKED)
            raise MessageGone(_GONE[LOCKED].capitalize() + ".")
        await thread.edit(archived=False)


def _file(name: str, data: bytes) -> discord.File:
    return discord.File(io.BytesIO(data), filename=name)


def _is_of(message: discord.Message, turn_id: str, name: str) -> bool:
    """Whether it is the message of that nonce, or a draft with the buttons of the turn."""
    return message.nonce == name or turn_id in render.turns_of(message)


def short(name: str) -> str:
    """A part's name within Discord's 25 characters."""
    return name if len(name) <= NONCE_CHARS else hashlib.blake2s(name.encode(), digest_size=12).hexdigest()


@contextlib.asynccontextmanager
async def told() -> AsyncIterator[None]:
    """Say what went wrong in the engine's words: RateLimited, MessageGone or SurfaceError.

    A closed session is a RuntimeError, a reference of another platform a ValueError.
    """
    try:
        yield
    except discord.RateLimited as error:
        raise RateLimited("Discord asks to wait.", retry_after=error.retry_after) from error
    except discord.HTTPException as error:
        raise _translated(error) from error
    except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
        raise SurfaceError(f"Discord could not be reached: {error or type(error).__name__}") from error


def _translated(error: discord.HTTPException) -> SurfaceError:
    if error.status == 429:
        wait = error.response.headers.get("Retry-After", "5")
        return RateLimited("Discord asks to wait.", retry_after=float(wait))
    if error.code in _GONE:
        return MessageGone(f"Nothing can be shown: {_GONE[error.code]}.")
    if error.status == 401:
        return MessageGone("Nothing can be shown: Discord no longer accepts the bot's token.")
    return SurfaceError(f"Discord refused the message ({error.status}, code {error.code}): {error.text}")
