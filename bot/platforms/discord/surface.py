"""Shows the reply to one turn on Discord: in a thread made from the question, a thread, a DM, or a reply."""

from __future__ import annotations

import contextlib
import io
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import discord

from bot.errors import MessageGone, for_operator
from bot.platforms.discord import errors, render, text_limits, thread_context, user_messages
from bot.platforms.discord.message_reader import MessageReader
from bot.platforms.discord.render import NO_MENTIONS, short_nonce
from bot.platforms.discord.transcripts import PlaceTranscripts
from bot.types.conversation import ChatMessage, Extent, StoredAttachment, ThreadAbove
from bot.types.display import Activity, Limits, Part
from bot.types.turns import Turn

log = logging.getLogger(__name__)

MAX_SEARCHED = 100
"""Maximum number of messages after the question that are searched for a post whose outcome is unknown."""

LIMITS = Limits(message_chars=1850, edit_interval=1.0, size=text_limits.size)
"""Less than Discord's 2,000, because brackets around links, aligned tables and notes need space."""

TYPING_SECONDS = 8.0
"""How often the typing indicator is sent again. Discord shows it for ten seconds."""
ARCHIVE_MINUTES: Literal[1440] = 1440
_REF = re.compile(r"\d+/\d+")


@dataclass(frozen=True, slots=True)
class _Destination:
    channel: discord.PartialMessageable
    reply_to: discord.MessageReference | None = None


class DiscordSurface:
    """Shows the reply to one turn. References have the form ``CHANNEL/MESSAGE``.

    It finds or creates its destination at the first post, so that it also works after a restart. A private answer whose
    command is gone has references of the place where the command waited: editing one of them posts a direct message.
    """

    limits = LIMITS

    def __init__(self, client: discord.Client, turn: Turn, reader: MessageReader) -> None:
        self._client = client
        self._reader = reader
        self._turn = turn
        self._destination: _Destination | None = None
        self._existing_refs = set(turn.parts)
        self._moved_refs: dict[str, str] = {}

    async def post(self, part: Part) -> str:
        """Post a message once: Discord returns the first message if the nonce is repeated within minutes."""
        shown = render.part(part)
        async with errors.translated_errors():
            self._destination = self._destination or await self._find_destination()
            try:
                message = await self._send(self._destination, shown, short_nonce(part.nonce))
            except discord.NotFound as error:
                if error.code != errors.UNKNOWN_CHANNEL or not self._may_reply():
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
            async with errors.translated_errors():
                self._destination = self._destination or await self._find_destination()
                async for message in self._destination.channel.history(limit=MAX_SEARCHED, after=self._asked):
                    ref = f"{message.channel.id}/{message.id}"
                    if ref not in self._existing_refs and _belongs_to(message, self._turn.id, short_nonce(nonce)):
                        self._existing_refs.add(ref)
                        return ref
        except MessageGone:
            return None
        return None

    @property
    def _asked(self) -> discord.Object:
        """The question's message, or the moment of a private question, which has none."""
        asked = self._turn.message_id.partition(":")[0]
        return discord.Object(int(asked) if asked.isdecimal() else discord.utils.time_snowflake(self._turn.created_at))

    async def edit(self, ref: str, part: Part) -> None:
        """Edit the message to show ``part``. An archived thread is reopened first."""
        if self._is_elsewhere(ref):
            known = self._moved_refs.get(ref) or await self.find(part.nonce)
            if known is None:
                self._moved_refs[ref] = await self.post(part)
                return
            self._moved_refs[ref] = ref = known
        shown = render.part(part)
        async with errors.translated_errors():
            try:
                await self._edit(ref, shown)
            except discord.HTTPException as error:
                if error.code == errors.ARCHIVED:
                    await self._reopen(ref)
                elif error.code == errors.MISSING_PERMISSIONS and shown.embed is not None:
                    shown = render.without_embed(shown)
                else:
                    await self._explain_to_asker(error.code)
                    raise
                await self._edit(ref, shown)

    activity_seconds = TYPING_SECONDS

    async def show_activity(self, activity: Activity | None) -> None:
        """Show the typing indicator while there is no text to see. Discord removes it itself."""
        if activity is None or activity.writing:
            return
        async with errors.translated_errors():
            await self._client.http.send_typing(self._typing_place())

    def _typing_place(self) -> int:
        thread = self._turn.thread
        if self._destination is not None:
            return self._destination.channel.id
        is_thread_made = thread.thread_id.isdecimal() and thread.thread_id != self._turn.message_id
        return int(thread.thread_id if is_thread_made else thread.channel_id)

    async def delete(self, ref: str) -> None:
        """Delete the message. A message that no longer exists is no error, nor one that was shown elsewhere."""
        if self._is_elsewhere(ref):
            if ref not in self._moved_refs:
                return
            ref = self._moved_refs[ref]
        with contextlib.suppress(MessageGone):
            async with errors.translated_errors():
                await self._message(ref).delete()

    async def fetch(self, file: StoredAttachment) -> bytes:
        """Return the bytes of a file that was attached to the question."""
        async with errors.translated_errors():
            return await thread_context.fetch(self._client, file)

    async def above(self) -> ThreadAbove | None:
        """Return the thread above the question, or the message it replies to; None if there is neither."""
        async with errors.translated_errors():
            return await thread_context.above(self._client, self._reader, self._turn)

    async def transcript(self, extent: Extent) -> Sequence[ChatMessage]:
        """Return the messages before the question that it asks to summarize."""
        asked = int(self._turn.message_id.partition(":")[0])
        return await PlaceTranscripts(self._client, self._reader, self._turn.thread, asked).transcript(extent)

    async def hand_over(self, name: str, data: bytes) -> None:
        """Post a file below the reply, once. Where the bot may not attach files, send it to the asker directly."""
        nonce = short_nonce(f"file {self._turn.id}")
        async with errors.translated_errors():
            self._destination = self._destination or await self._find_destination()
            try:
                await self._destination.channel.send(file=_file(name, data), allowed_mentions=NO_MENTIONS, nonce=nonce)
            except discord.Forbidden as error:
                if error.code != errors.MISSING_PERMISSIONS:
                    raise
                dm = await self._client.create_dm(discord.Object(int(self._turn.author.id)))
                text = user_messages.sent_directly(self._turn.thread.channel_id)
                await dm.send(text, file=_file(name, data), allowed_mentions=NO_MENTIONS, nonce=nonce)

    async def _explain_to_asker(self, code: int) -> None:
        """Tell the asker by direct message why there is no answer, if the bot may not write in the channel."""
        if code not in errors.CLOSED:
            return
        text = user_messages.cannot_answer_in(self._turn.thread.channel_id, user_messages.REASONS_GONE[code])
        with contextlib.suppress(discord.HTTPException):
            dm = await self._client.create_dm(discord.Object(int(self._turn.author.id)))
            await dm.send(text, allowed_mentions=NO_MENTIONS, nonce=short_nonce(f"shut out {self._turn.id}"))

    def _is_elsewhere(self, ref: str) -> bool:
        """Return whether the reference of a private answer is not one of its direct messages."""
        return self._turn.thread.private and _REF.fullmatch(ref) is None

    # --- the destination

    async def _find_destination(self) -> _Destination:
        thread = self._turn.thread
        if thread.private:
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
            is_thread = error.code == errors.THREAD_EXISTS
            if error.code in (errors.UNKNOWN_MESSAGE, errors.WRONG_CHANNEL_KIND):
                is_thread = await self._is_in_thread()
            if error.code == errors.UNKNOWN_MESSAGE and not is_thread:
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
            if error.code == errors.CANNOT_REPLY and destination.reply_to is not None:
                # A reply needs Read Message History; an ordinary message does not.
                return await self._send(_Destination(destination.channel), shown, nonce)
            if error.code != errors.MISSING_PERMISSIONS or shown.embed is None:
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
            await self._explain_to_asker(errors.LOCKED)
            raise MessageGone(user_messages.cannot_show(errors.LOCKED))
        try:
            await thread.edit(archived=False)
        except discord.Forbidden:
            await self._explain_to_asker(errors.ARCHIVED)
            raise MessageGone(user_messages.cannot_show(errors.ARCHIVED)) from None


def _file(name: str, data: bytes) -> discord.File:
    return discord.File(io.BytesIO(data), filename=name)


def _belongs_to(message: discord.Message, turn_id: str, nonce: str) -> bool:
    """Return whether the message has the nonce, or is a draft with the buttons of the turn."""
    return message.nonce == nonce or turn_id in render.turn_ids(message)
