"""Shows the progress and the reply of a command: in an interaction, below a message, or as a direct message."""

from __future__ import annotations

import contextlib
import io
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import discord

from bot.commands.base import File, OnUpdate, Reply
from bot.commands.reply_delivery import Place, show_in_first
from bot.errors import ParleyError, SurfaceError, for_operator
from bot.platforms.discord import render, text_limits, user_messages
from bot.platforms.discord.errors import translated_errors
from bot.platforms.discord.render import NO_MENTIONS, short_nonce

log = logging.getLogger(__name__)

UPDATE_INTERVAL = 2.0
"""Minimum seconds between two progress updates: all edits of an interaction share one small rate limit."""


class CommandReply(Protocol):
    """Shows the progress of a command, then its reply."""

    async def update(self, text: str, /, stop: str = "") -> None: ...

    async def finish(self, reply: Reply) -> None: ...


class InteractionReply:
    """Replies to a slash command or a button whose interaction was deferred as ephemeral."""

    def __init__(self, interaction: discord.Interaction) -> None:
        self._interaction = interaction

    async def update(self, text: str, /, stop: str = "") -> None:
        """Replace the waiting message by a progress update."""
        await self._interaction.edit_original_response(**_update_options(text, stop))

    async def finish(self, reply: Reply) -> None:
        """Show the reply to the asker or to the channel.

        An interaction expires after 15 minutes; after that the reply is sent as a message. Files that Discord does not
        take are left out.
        """
        shown = render.reply(reply)
        versions = _with_and_without_files(shown)
        places: list[Place]
        if reply.private:
            may_share = reply.shareable and self._interaction.guild_id is not None
            view = render.share_view(reply.turn_id) if may_share else None
            places = [partial(self._show_to_asker, version, view) for version in versions]
            places += [partial(self._send_to_asker, version) for version in versions]
            places.append(self._say_that_direct_messages_are_closed)
        else:
            places = [partial(self._show_to_channel, version) for version in versions]
            places += [partial(self._send_to_channel, version) for version in versions]
            places.append(partial(self._send_to_asker, versions[-1]))
        await show_in_first("a command", places)

    async def _show_to_asker(self, shown: render.Shown, view: discord.ui.View | None) -> None:
        async with translated_errors():
            await self._interaction.edit_original_response(**_edit_options(shown), view=view)

    async def _show_to_channel(self, shown: render.Shown) -> None:
        # The first follow-up of a deferred interaction replaces its ephemeral waiting message.
        async with translated_errors():
            await self._interaction.edit_original_response(content=user_messages.SHARED, view=None)
            await self._interaction.followup.send(ephemeral=False, **_send_options(shown))

    async def _send_to_asker(self, shown: render.Shown) -> None:
        async with translated_errors():
            await self._interaction.user.send(**_send_options(shown))
        with contextlib.suppress(SurfaceError):
            async with translated_errors():
                await self._interaction.edit_original_response(content=user_messages.SENT_PRIVATELY, view=None)

    async def _send_to_channel(self, shown: render.Shown) -> None:
        channel = self._interaction.channel
        if not isinstance(channel, discord.abc.Messageable):
            raise SurfaceError(user_messages.NO_CHANNEL)
        async with translated_errors():
            await channel.send(**_send_options(shown))

    async def _say_that_direct_messages_are_closed(self) -> None:
        """Tell the asker in the channel how to get the reply, which only they may see."""
        await self._send_to_channel(render.Shown(user_messages.cannot_send_privately(self._interaction.user.id)))


class MessageReply:
    """Replies to a command written as a message: below it, or by direct message if the reply is private."""

    def __init__(self, message: discord.Message, *, in_place: bool = False) -> None:
        self._message = message
        self._in_place = in_place or message.guild is None
        self._posted: discord.Message | None = None

    async def update(self, text: str, /, stop: str = "") -> None:
        """Post the first progress update, then replace it."""
        if self._posted is None:
            shown = render.Shown(content=render.markdown(text))
            self._posted = await self._post_below(shown, render.stop_ingestion_view(stop))
        else:
            await self._posted.edit(**_update_options(text, stop))

    async def finish(self, reply: Reply) -> None:
        """Show the reply. In a server, send a private one by direct message and say so in the channel.

        If the progress message can no longer be edited, the reply is posted anew. Files that Discord does not take are
        left out.
        """
        versions = _with_and_without_files(render.reply(reply))
        places: list[Place]
        if reply.private and not self._in_place:
            places = [partial(self._send_to_asker, version) for version in versions]
            places += self._places_below(render.Shown(content=user_messages.DM_CLOSED))
        else:
            places = [place for version in versions for place in self._places_below(version)]
            places.append(partial(self._send_to_asker, versions[-1]))
        await show_in_first("a command", places)

    def _places_below(self, shown: render.Shown) -> list[Place]:
        return [*([partial(self._edit, shown)] if self._posted else []), partial(self._post_anew, shown)]

    async def _edit(self, shown: render.Shown) -> None:
        assert self._posted is not None
        async with translated_errors():
            await self._posted.edit(**_edit_options(shown), view=None)

    async def _post_anew(self, shown: render.Shown) -> None:
        """Post the reply below the command, and delete the progress message, which cannot become the reply."""
        async with translated_errors():
            await self._post_below(shown)
        if self._posted is not None:
            with contextlib.suppress(SurfaceError):
                async with translated_errors():
                    await self._posted.delete()

    async def _send_to_asker(self, shown: render.Shown) -> None:
        async with translated_errors():
            await self._message.author.send(**_send_options(shown), nonce=short_nonce(f"private {self._message.id}"))
        if not self._in_place:
            await show_in_first("a command", self._places_below(render.Shown(content=user_messages.SENT_PRIVATELY)))

    async def _post_below(self, shown: render.Shown, view: discord.ui.View | None = None) -> discord.Message:
        # The nonce lets a second process that received the same event post nothing. Discord compares it with all of the
        # bot's messages of the last minutes, in every channel, so each message of a reply needs its own.
        nonce = short_nonce(f"{'below' if self._posted is None else 'anew'} {self._message.id}")
        options = _send_options(shown) | {"nonce": nonce} | ({"view": view} if view else {})
        if not isinstance(self._message.channel, discord.DMChannel):
            options["reference"] = self._message.to_reference(fail_if_not_exists=False)
        try:
            sent: discord.Message = await self._message.channel.send(**options)
        except discord.Forbidden:
            if self._message.guild is None:
                raise
            sent = await self._send_directly(shown, nonce=nonce)
        return sent

    async def _send_directly(self, shown: render.Shown, *, nonce: str) -> discord.Message:
        content = f"{user_messages.sent_directly(str(self._message.channel.id))}\n{shown.content}"
        fitting = content if text_limits.size(content) <= text_limits.CONTENT else shown.content
        return await self._message.author.send(**_send_options(replace(shown, content=fitting)), nonce=nonce)


async def run_and_reply(run: Callable[[OnUpdate], Awaitable[Reply]], shown_in: CommandReply) -> None:
    """Run a command and show its reply, its refusal or, after an unexpected error, a trace ID. Never raises."""
    try:
        reply = await run(throttled(shown_in.update))
    except ParleyError as error:
        reply = Reply(str(error))
    except Exception:
        trace_id = secrets.token_hex(4)
        log.exception("a command failed, trace ID %s", trace_id)
        reply = Reply(user_messages.failed(trace_id))
    try:
        await shown_in.finish(reply)
    except (ParleyError, discord.DiscordException, OSError) as error:
        log.warning("the reply of a command could not be shown: %s", for_operator(error))


def throttled(
    update: OnUpdate, *, clock: Callable[[], float] = time.monotonic, interval: float = UPDATE_INTERVAL
) -> OnUpdate:
    """Return ``update`` limited to one call every ``interval`` seconds. Updates that cannot be shown are skipped."""
    last: float | None = None

    async def show(text: str, /, stop: str = "") -> None:
        nonlocal last
        if last is not None and clock() - last < interval:
            return
        last = clock()
        with contextlib.suppress(discord.DiscordException, OSError):
            await update(text, stop)

    return show


def _with_and_without_files(shown: render.Shown) -> list[render.Shown]:
    """Return the reply, and if it has files, the reply without them, with a note that says so."""
    if not shown.files:
        return [shown]
    note = f"\n{user_messages.FILES_LEFT_OUT}"
    return [
        shown,
        replace(
            shown, content=text_limits.cut(shown.content, text_limits.CONTENT - text_limits.size(note)) + note, files=()
        ),
    ]


def _update_options(text: str, stop: str) -> dict[str, Any]:
    view = render.stop_ingestion_view(stop)
    return {"content": render.markdown(text), "view": view, "allowed_mentions": NO_MENTIONS}


def _send_options(shown: render.Shown) -> dict[str, Any]:
    options: dict[str, Any] = {"content": shown.content, "allowed_mentions": NO_MENTIONS}
    if shown.files:
        options["files"] = [_file(file) for file in shown.files]
    return options


def _edit_options(shown: render.Shown) -> dict[str, Any]:
    files = [_file(file) for file in shown.files]
    return {"content": shown.content, "attachments": files, "allowed_mentions": NO_MENTIONS}


def _file(file: File) -> discord.File:
    return discord.File(io.BytesIO(file.data), filename=file.name)
