"""Handles emoji below messages in one Slack workspace: ratings, stopping an answer, and proposals to save it."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from bot.commands import saved_answers
from bot.commands.services import Services
from bot.engine.dispatch.reactions import MarkedMessage, Reactions
from bot.errors import ParleyError
from bot.platforms.emoji_marks import mark_of
from bot.platforms.json_input import object_field, text_field
from bot.platforms.slack.admin_messages import WorkspaceMessenger
from bot.platforms.slack.background_tasks import BackgroundTasks
from bot.platforms.slack.payloads import BotUser
from bot.platforms.slack.users import UserDirectory
from bot.types.conversation import Author
from bot.types.turns import Turn

log = logging.getLogger(__name__)


class ReactionListener:
    """The listener for emoji; the workspace router calls it. ``saving`` are the emoji that save an answer."""

    def __init__(
        self,
        reactions: Reactions,
        services: Services,
        bot: BotUser,
        *,
        users: UserDirectory,
        messenger: WorkspaceMessenger,
        background: BackgroundTasks,
        saving: Collection[str],
    ) -> None:
        self._reactions = reactions
        self._services = services
        self._bot = bot
        self._users = users
        self._messenger = messenger
        self._background = background
        self._saving = saving

    async def on_reaction(self, event: dict[str, Any]) -> None:
        """Carry out an emoji that was added, or withdraw the rating of one that was removed.

        Raises StoreAway, so that Slack delivers the event again.
        """
        item, user = object_field(event, "item"), text_field(event, "user")
        channel, ts = text_field(item, "channel"), text_field(item, "ts")
        mark = mark_of(text_field(event, "reaction"), self._saving)
        if mark is None or not channel or not ts or user in ("", self._bot.user_id):
            return
        if mark != "stop" and text_field(event, "item_user") not in ("", self._bot.user_id):
            return
        message = MarkedMessage(self._bot.tenant_id, "slack", channel, ts, ref=ts)
        by = await self._users.author(user)
        if event.get("type") == "reaction_removed":
            await self._reactions.remove(mark, message, by)
            return
        turn = await self._reactions.add(mark, message, by)
        if mark == "save" and turn is not None:
            self._background.start(self._propose(turn, by))

    async def _propose(self, turn: Turn, by: Author) -> None:
        try:
            await saved_answers.propose(self._services, self._messenger, turn, by)
        except ParleyError as error:
            log.warning("The answer %s could not be proposed to the admins: %s", turn.id, error)
