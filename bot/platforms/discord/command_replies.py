"""Where a command's reply goes: into an interaction, or under a message."""

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
from bot.platforms.discord import render, user_messages

log = logging.getLogger(__name__)

UPDATE_EVERY = 2.0
"""Seconds between two steps of progress: all edits of an interaction share one small budget."""

NO_MENTIONS = discord.AllowedMentions.none()


class Answering(Protocol):
    """Shows how far a command is, then its reply."""

    async def update(self, text: str, /, stop: str = "") -> None: ...

    async def finish(self, reply: Reply) -> None: ...


class InteractionAnswer:
    """Answers a slash command or a button whose interaction was deferred as ephemeral."""

    def __init__(self, interaction: discord.Interaction) -> None:
        self._interaction = interaction

    async def update(self, text: str, /, stop: str = "") -> None:
        """Replace the waiting message by a step of progress."""
        await self._interaction.edit_original_response(**_step(text, stop))

    async def finish(self, reply: Reply) -> None:
        """Show the reply to the asker, or to the channel. After 15 minutes the interaction is void: a message then."""
        shown = render.reply(reply)
        try:
            if reply.private:
                view = render.share_view() if reply.shareable and self._interaction.guild_id is not None else None
                await self._interaction.edit_original_response(**_edit(shown), view=view)
            else:
                # The first follow-up of a deferred interaction takes over its ephemeral place.
                await self._interaction.edit_original_response(content=user_messages.SHARED, view=None)
                await self._interaction.followup.send(ephemeral=False, **_send(shown))
        except discord.HTTPException as error:
            if error.status not in (401, 404):
                raise
            await self._afterwards(shown, private=reply.private)

    async def _afterwards(self, shown: render.Shown, *, private: bool) -> None:
        channel = self._interaction.channel
        if private or not isinstance(channel, discord.abc.Messageable):
            await self._interaction.user.send(**_send(shown))
        else:
            await channel.send(**_send(shown))


class MessageAnswer:
    """Answers a command that was written as a message: below it, or as a DM when the reply is private."""

    def __init__(self, message: discord.Message, *, in_place: bool = False) -> None:
        self._message = message
        self._in_place = in_place or message.guild is None
        self._posted: discord.Message | None = None

    async def update(self, text: str, /, stop: str = "") -> None:
        """Post the first step of progress, then replace it."""
        if self._posted is None:
            self._posted = await self._below(render.Shown(content=render.markdown(text)), render.halt_view(stop))
        else:
            await self._posted.edit(**_step(text, stop))

    async def finish(self, reply: Reply) -> None:
        """Show the reply; in a guild a private one goes to the asker's DM, and the channel is told so."""
        if not reply.private or self._in_place:
            await self._show(render.reply(reply))
            return
        told = user_messages.SENT_PRIVATELY
        try:
            await self._message.author.send(**_send(render.reply(reply)), nonce=str(self._message.id))
        except discord.Forbidden:
            told = user_messages.DM_CLOSED
        await self._show(render.Shown(content=told))

    async def _show(self, shown: render.Shown) -> None:
        if self._posted is None:
            await self._below(shown)
        else:
            await self._posted.edit(**_edit(shown), view=None)

    async def _below(self, shown: render.Shown, view: discord.ui.View | None = None) -> discord.Message:
        # One nonce a message: a second process that got the same event posts nothing of its own.
        options = _send(shown) | {"nonce": str(self._message.id)} | ({"view": view} if view else {})
        if not isinstance(self._message.channel, discord.DMChannel):
            options["reference"] = self._message.to_reference(fail_if_not_exists=False)
        try:
            sent: discord.Message = await self._message.channel.send(**options)
        except discord.Forbidden:
            if self._message.guild is None:
                raise
            told = user_messages.cannot_write(str(self._message.channel.id))
            content = f"{told}\n{shown.content}"
            fitting = content if len(content) <= render.CONTENT_CHARS else shown.content
            sent = await self._message.author.send(**_send(replace(shown, content=fitting)), nonce=options["nonce"])
        return sent


async def carry_out(run: Callable[[OnUpdate], Awaitable[Reply]], answer: Answering) -> None:
    """Run a command and show what comes of it: its reply, its words of refusal, or a trace id. Never raises."""
    try:
        reply = await run(paced(answer.update))
    except ParleyError as error:
        reply = Reply(str(error))
    except Exception:
        trace = secrets.token_hex(4)
        log.exception("a command failed, trace %s", trace)
        reply = Reply(user_messages.failed(trace))
    try:
        await answer.finish(reply)
    except (discord.DiscordException, OSError) as error:
        log.warning("a command's reply could not be shown: %s", error)


def paced(update: OnUpdate, *, clock: Callable[[], float] = time.monotonic, every: float = UPDATE_EVERY) -> OnUpdate:
    """Progress at most every ``every`` seconds; a step that cannot be shown is passed over."""
    last: float | None = None

    async def show(text: str, /, stop: str = "") -> None:
        nonlocal last
        if last is not None and clock() - last < every:
            return
        last = clock()
        with contextlib.suppress(discord.DiscordException, OSError):
            await update(text, stop)

    return show


def _step(text: str, stop: str) -> dict[str, Any]:
    return {"content": render.markdown(text), "view": render.halt_view(stop), "allowed_mentions": NO_MENTIONS}


def _send(shown: render.Shown) -> dict[str, Any]:
    options: dict[str, Any] = {"content": shown.content, "allowed_mentions": NO_MENTIONS}
    if shown.files:
        options["files"] = [_file(file) for file in shown.files]
    return options


def _edit(shown: render.Shown) -> dict[str, Any]:
    files = [_file(file) for file in shown.files]
    return {"content": shown.content, "attachments": files, "allowed_mentions": NO_MENTIONS}


def _file(file: File) -> discord.File:
    return discord.File(io.BytesIO(file.data), filename=file.name)
