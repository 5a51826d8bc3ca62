"""Handles emoji below messages on Discord: ratings, stopping an answer, and proposals to save it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import discord

from bot.commands import saved_answers
from bot.commands.services import Services
from bot.engine.dispatch.reactions import MarkedMessage, Reactions
from bot.errors import ParleyError
from bot.platforms.discord import parse
from bot.platforms.discord.admin_messages import DiscordAdminMessenger
from bot.platforms.discord.handler_tasks import HandlerTasks
from bot.platforms.emoji_marks import mark_of
from bot.types.conversation import Author

log = logging.getLogger(__name__)


class ReactionEvents:
    """Carries out the emoji that people add, and withdraws the ratings of those that they remove.

    Every connected process receives every event, so each effect is the same if it happens twice.
    """

    def __init__(
        self,
        client: discord.Client,
        reactions: Reactions,
        services: Services,
        *,
        tenant_of: Callable[[int | None], str],
        admins: Sequence[str],
        tasks: HandlerTasks,
    ) -> None:
        self._client = client
        self._reactions = reactions
        self._services = services
        self._tenant_of = tenant_of
        self._admins = admins
        self._tasks = tasks
        self._messenger = DiscordAdminMessenger(client, tenant_of)

    async def changed(self, payload: discord.RawReactionActionEvent) -> None:
        """Handle an emoji that was added or removed. Never raises for expected failures."""
        mark = mark_of(payload.emoji.name, self._services.settings.save_emoji)
        is_own = self._client.user is not None and payload.user_id == self._client.user.id
        if mark is None or is_own or (payload.member is not None and payload.member.bot):
            return
        message, by = self._message(payload), self._author(payload)
        with self._tasks.track():
            try:
                if payload.event_type == "REACTION_REMOVE":
                    await self._reactions.remove(mark, message, by)
                    return
                turn = await self._reactions.add(mark, message, by)
                if mark == "save" and turn is not None:
                    await saved_answers.propose(self._services, self._messenger, turn, by)
            except ParleyError as error:
                log.warning("the emoji below message %s had no effect: %s", payload.message_id, error)

    def _message(self, payload: discord.RawReactionActionEvent) -> MarkedMessage:
        channel = self._client.get_channel(payload.channel_id)
        parent = channel.parent_id if isinstance(channel, discord.Thread) else payload.channel_id
        return MarkedMessage(
            self._tenant_of(payload.guild_id),
            "discord",
            str(parent),
            str(payload.message_id),
            ref=f"{payload.channel_id}/{payload.message_id}",
            ref_names_channel=True,
        )

    def _author(self, payload: discord.RawReactionActionEvent) -> Author:
        """Return who added or removed the emoji. Discord describes people only when they add one on a server."""
        if payload.member is not None:
            return parse.author(payload.member, admins=self._admins)
        return Author(str(payload.user_id), "", is_admin=parse.is_listed(payload.user_id, self._admins))
