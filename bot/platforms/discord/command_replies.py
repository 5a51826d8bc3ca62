"""Shows the progress and the reply of a command: in an interaction, below a message, or as a direct message."""

from __future__ import annotations

import contextlib
import io
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol

import discord

from bot.commands.base import File, OnUpdate, Reply
from bot.errors import ParleyError
from bot.platforms.discord import render, text_limits, user_messages
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

        An interaction expires after 15 minutes; after that the reply is sent as a message.
        """
        shown = render.reply(reply)
        try:
            if reply.private:
                may_share = reply.shareable and self._interaction.guild_id is not None
                view = render.share_view(reply.turn_id) if may_share else None
                await self._interaction.edit_original_response(**_edit_options(shown), view=view)
            else:
                # The first follow-up of a deferred interaction replaces its ephemeral waiting message.
                await self._interaction.edit_original_response(content=user_messages.SHARED, view=None)
                await self._interaction.followup.send(ephemeral=False, **_send_options(shown))
        except discord.HTTPException as error:
            if error.status not in (401, 404):
                raise
            await self._send_message(shown, private=reply.private)

    async def _send_message(self, shown: render.Shown, *, private: bool) -> None:
        channel = self._interaction.channel
        if private or not isinstance(channel, discord.abc.Messageable):
            await self._interaction.user.send(**_send_options(shown))
        else:
            await channel.send(**_send_options(shown))


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
        """Show the reply. In a server, send a private one by direct message and say so in the channel."""
        if not reply.private or self._in_place:
            await self._show(render.reply(reply))
            return
        text = user_messages.SENT_PRIVATELY
        nonce = short_nonce(f"private {self._message.id}")
        try:
            await self._message.author.send(**_send_options(render.reply(reply)), nonce=nonce)
        except discord.Forbidden:
            text = user_messages.DM_CLOSED
        await self._show(render.Shown(content=text))

    async def _show(self, shown: render.Shown) -> None:
        if self._posted is None:
            await self._post_below(shown)
        else:
            await self._posted.edit(**_edit_options(shown), view=None)

    async def _post_below(self, shown: render.Shown, view: discord.ui.View | None = None) -> discord.Message:
        # The nonce lets a second process that received the same event post nothing. Discord compares it with all of the
        # bot's messages of the last minutes, in every channel, so each message of a reply needs its own.
        nonce = short_nonce(f"below {self._message.id}")
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
    except (discord.DiscordException, OSError) as error:
        log.warning("the reply of a command could not be shown: %s", error)


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
