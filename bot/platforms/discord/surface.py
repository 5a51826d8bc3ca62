"""Shows the reply to one turn on Discord: in a thread made from the question, a thread, a DM, or a reply."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
import discord

from bot.errors import EditRefused, LayoutRefused, MessageGone, PlatformAway, RateLimited, SurfaceError, for_operator
from bot.platforms.discord import render, text_limits, thread_context, user_messages
from bot.platforms.discord.message_reader import MessageReader
from bot.platforms.discord.render import NO_MENTIONS, short_nonce
from bot.types.conversation import StoredAttachment, ThreadAbove
from bot.types.display import Limits, Part
from bot.types.turns import Turn

log = logging.getLogger(__name__)

MAX_SEARCHED = 100
"""Maximum number of messages after the question that are searched for a post whose outcome is unknown."""

LIMITS = Limits(message_chars=1850, edit_interval=1.0, size=text_limits.size)
"""Less than Discord's 2,000, because brackets around links, aligned tables and notes need space."""

ARCHIVE_MINUTES: Literal[1440] = 1440

# Discord's JSON error codes
UNKNOWN_CHANNEL = 10003
UNKNOWN_MESSAGE = 10008
TOO_MANY_EDITS = 30046
MISSING_ACCESS = 50001
MESSAGE_OF_ANOTHER_USER = 50005
EMPTY_MESSAGE = 50006
NOT_A_TEXT_CHANNEL = 50008
MISSING_PERMISSIONS = 50013
WRONG_CHANNEL_KIND = 50024
INVALID_FORM = 50035
ARCHIVED = 50083
THREAD_EXISTS = 160004
CANNOT_REPLY = 160002
LOCKED = 160005

CLOSED = frozenset((MISSING_ACCESS, WRONG_CHANNEL_KIND, NOT_A_TEXT_CHANNEL, MISSING_PERMISSIONS, ARCHIVED, LOCKED))
"""Codes of places where the bot may not write: the asker is told by direct message."""


@dataclass(frozen=True, slots=True)
class _Destination:
    channel: discord.PartialMessageable
    reply_to: discord.MessageReference | None = None


class DiscordSurface:
    """Shows the reply to one turn. References have the form ``CHANNEL/MESSAGE``.

    It finds or creates its destination at the first post, so that it also works after a restart.
    """

    limits = LIMITS

    def __init__(self, client: discord.Client, turn: Turn, reader: MessageReader) -> None:
        self._client = client
        self._reader = reader
        self._turn = turn
        self._destination: _Destination | None = None
        self._existing_refs = set(turn.parts)

    async def post(self, part: Part) -> str:
        """Post a message once: Discord returns the first message if the nonce is repeated within minutes."""
        shown = render.part(part)
        async with translated_errors():
            self._destination = self._destination or await self._find_destination()
            try:
                message = await self._send(self._destination, shown, short_nonce(part.nonce))
            except discord.NotFound as error:
                if error.code != UNKNOWN_CHANNEL or not self._may_reply():
                    raise
                self._destination = self._in_channel()
                message = await self._send(self._destination, shown, short_nonce(part.nonce))
            except discord.HTTPException as error:
                await self._explain_to_asker(error.code)
                raise
        ref = f"{message.channel.id}/{message.id}"
        self._existing_refs.add(ref)
        return ref

    async def find(self, nonce: str) -> str | None:
        """Search the destination for a message of the turn that has no reference yet.

        Discord remembers a nonce only for some minutes. The last message of a draft is found by the turn ID in its
        buttons.
        """
        try:
            async with translated_errors():
                self._destination = self._destination or await self._find_destination()
                since = discord.Object(int(self._turn.message_id.partition(":")[0]))
                async for message in self._destination.channel.history(limit=MAX_SEARCHED, after=since):
                    ref = f"{message.channel.id}/{message.id}"
                    if ref not in self._existing_refs and _belongs_to(message, self._turn.id, short_nonce(nonce)):
                        self._existing_refs.add(ref)
                        return ref
        except MessageGone:
            return None
        return None

    async def edit(self, ref: str, part: Part) -> None:
        """Edit the message to show ``part``. An archived thread is reopened first."""
        shown = render.part(part)
        async with translated_errors():
            try:
                await self._edit(ref, shown)
            except discord.HTTPException as error:
                if error.code == ARCHIVED:
                    await self._reopen(ref)
                elif error.code == MISSING_PERMISSIONS and shown.embed is not None:
                    shown = render.without_embed(shown)
                else:
                    await self._explain_to_asker(error.code)
                    raise
                await self._edit(ref, shown)

    async def delete(self, ref: str) -> None:
        """Delete the message. A message that no longer exists is no error."""
        with contextlib.suppress(MessageGone):
            async with translated_errors():
                await self._message(ref).delete()

    async def fetch(self, file: StoredAttachment) -> bytes:
        """Return the bytes of a file that was attached to the question."""
        async with translated_errors():
            return await thread_context.fetch(self._client, file)

    async def above(self) -> ThreadAbove | None:
        """Return the thread above the question, or the message it replies to; None if there is neither."""
        async with translated_errors():
            return await thread_context.above(self._client, self._reader, self._turn)

    async def hand_over(self, name: str, data: bytes) -> None:
        """Post a file below the reply, once. Where the bot may not attach files, send it to the asker directly."""
        nonce = short_nonce(f"file {self._turn.id}")
        async with translated_errors():
            self._destination = self._destination or await self._find_destination()
            try:
                await self._destination.channel.send(file=_file(name, data), allowed_mentions=NO_MENTIONS, nonce=nonce)
            except discord.Forbidden as error:
                if error.code != MISSING_PERMISSIONS:
                    raise
                dm = await self._client.create_dm(discord.Object(int(self._turn.author.id)))
                text = user_messages.sent_directly(self._turn.thread.channel_id)
                await dm.send(text, file=_file(name, data), allowed_mentions=NO_MENTIONS, nonce=nonce)

    async def _explain_to_asker(self, code: int) -> None:
        """Tell the asker by direct message why there is no answer, if the bot may not write in the channel."""
        if code not in CLOSED:
            return
        text = user_messages.cannot_answer_in(self._turn.thread.channel_id, user_messages.REASONS_GONE[code])
        with contextlib.suppress(discord.HTTPException):
            dm = await self._client.create_dm(discord.Object(int(self._turn.author.id)))
            await dm.send(text, allowed_mentions=NO_MENTIONS, nonce=short_nonce(f"shut out {self._turn.id}"))

    # --- the destination

    async def _find_destination(self) -> _Destination:
        thread = self._turn.thread
        if not thread.thread_id.isdecimal():
            # An earlier process left this private question. Its interaction has expired, and a DM is as private.
            dm = await self._client.create_dm(discord.Object(int(self._turn.author.id)))
            return _Destination(self._client.get_partial_messageable(dm.id))
        if thread.thread_id == self._turn.message_id:
            return await self._open_thread()
        return _Destination(self._channel(thread.thread_id))

    async def _open_thread(self) -> _Destination:
        """Create a thread from the question, with the question's ID; without permission, reply to the question.

        The first message of a forum post has the ID of its thread, so the thread exists.
        """
        thread = self._turn.thread
        if isinstance(self._client.get_channel(int(thread.channel_id)), discord.ForumChannel):
            return _Destination(self._channel(thread.thread_id))
        name = render.thread_name(self._turn.question)
        try:
            await self._client.http.start_thread_with_message(
                int(thread.channel_id), int(thread.thread_id), name=name, auto_archive_duration=ARCHIVE_MINUTES
            )
        except discord.HTTPException as error:
            if error.status >= 500:
                raise
            is_thread = error.code == THREAD_EXISTS
            if error.code in (UNKNOWN_MESSAGE, WRONG_CHANNEL_KIND):
                is_thread = await self._is_in_thread()
            if error.code == UNKNOWN_MESSAGE and not is_thread:
                raise
            if not is_thread:
                log.info(
                    "no thread in channel %s, replying to the question instead: %s",
                    thread.channel_id,
                    for_operator(error),
                )
                return self._in_channel()
        return _Destination(self._channel(thread.thread_id))

    async def _is_in_thread(self) -> bool:
        """Return whether the question is the first message of a thread, as in a forum that is not in the cache."""
        try:
            return isinstance(await self._client.fetch_channel(int(self._turn.thread.thread_id)), discord.Thread)
        except (discord.NotFound, discord.Forbidden):
            return False

    def _may_reply(self) -> bool:
        thread = self._turn.thread
        has_root = thread.thread_id.isdecimal() and thread.thread_id != thread.channel_id
        return has_root and (self._destination is None or self._destination.reply_to is None)

    def _in_channel(self) -> _Destination:
        thread = self._turn.thread
        reference = discord.MessageReference(
            message_id=int(thread.thread_id), channel_id=int(thread.channel_id), fail_if_not_exists=False
        )
        return _Destination(self._channel(thread.channel_id), reference)

    def _channel(self, channel_id: str) -> discord.PartialMessageable:
        return self._client.get_partial_messageable(int(channel_id))

    def _message(self, ref: str) -> discord.PartialMessage:
        channel, _, message = ref.partition("/")
        return self._channel(channel).get_partial_message(int(message))

    # --- sending and editing

    async def _send(self, destination: _Destination, shown: render.Shown, nonce: str) -> discord.Message:
        try:
            return await self._send_once(destination, shown, nonce)
        except discord.HTTPException as error:
            if error.code == CANNOT_REPLY and destination.reply_to is not None:
                # A reply needs Read Message History; an ordinary message does not.
                return await self._send(_Destination(destination.channel), shown, nonce)
            if error.code != MISSING_PERMISSIONS or shown.embed is None:
                raise
            return await self._send_once(destination, render.without_embed(shown), nonce)

    async def _send_once(self, destination: _Destination, shown: render.Shown, nonce: str) -> discord.Message:
        view = render.view(shown.buttons)
        options: dict[str, Any] = {
            "embeds": [shown.embed] if shown.embed else [],
            "nonce": nonce,
            "allowed_mentions": NO_MENTIONS,
        }
        if view is not None:
            options["view"] = view
        if destination.reply_to is not None:
            options["reference"] = destination.reply_to
        return await destination.channel.send(shown.content, **options)

    async def _edit(self, ref: str, shown: render.Shown) -> None:
        await self._message(ref).edit(
            content=shown.content,
            embeds=[shown.embed] if shown.embed else [],
            view=render.view(shown.buttons),
            allowed_mentions=NO_MENTIONS,
        )

    async def _reopen(self, ref: str) -> None:
        thread = await self._client.fetch_channel(int(ref.partition("/")[0]))
        if not isinstance(thread, discord.Thread) or thread.locked:
            await self._explain_to_asker(LOCKED)
            raise MessageGone(user_messages.cannot_show(LOCKED))
        try:
            await thread.edit(archived=False)
        except discord.Forbidden:
            await self._explain_to_asker(ARCHIVED)
            raise MessageGone(user_messages.cannot_show(ARCHIVED)) from None


def _file(name: str, data: bytes) -> discord.File:
    return discord.File(io.BytesIO(data), filename=name)


def _belongs_to(message: discord.Message, turn_id: str, nonce: str) -> bool:
    """Return whether the message has the nonce, or is a draft with the buttons of the turn."""
    return message.nonce == nonce or turn_id in render.turn_ids(message)


@contextlib.asynccontextmanager
async def translated_errors() -> AsyncIterator[None]:
    """Raise RateLimited, MessageGone or another SurfaceError in place of the library's errors.

    The library raises RuntimeError for a closed session; a reference of another platform raises ValueError.
    """
    try:
        yield
    except discord.RateLimited as error:
        raise RateLimited(user_messages.RATE_LIMITED, retry_after=error.retry_after) from error
    except discord.HTTPException as error:
        raise _translated(error) from error
    except ValueError as error:
        raise SurfaceError(user_messages.connection_failed(error or type(error).__name__)) from error
    except (aiohttp.ClientError, OSError, RuntimeError) as error:
        raise PlatformAway(user_messages.connection_failed(error or type(error).__name__)) from error


def _translated(error: discord.HTTPException) -> SurfaceError:
    if error.status == 429:
        wait = error.response.headers.get("Retry-After", "5")
        return RateLimited(user_messages.RATE_LIMITED, retry_after=float(wait))
    if error.code in user_messages.REASONS_GONE:
        return MessageGone(user_messages.cannot_show(error.code))
    if error.status == 401:
        return MessageGone(user_messages.token_no_longer_accepted())
    return _refusal(error)(user_messages.refused(error.status, error.code, error.text))


def _refusal(error: discord.HTTPException) -> type[SurfaceError]:
    if error.code in (TOO_MANY_EDITS, MESSAGE_OF_ANOTHER_USER):
        return EditRefused
    if error.code in (INVALID_FORM, EMPTY_MESSAGE):
        return LayoutRefused
    return PlatformAway if error.status >= 500 else SurfaceError
