"""Every entry point from Slack, led to the workspace that it belongs to."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Coroutine
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.async_context import AsyncBoltContext

from bot.errors import ParleyError, for_operator, unforeseen
from bot.platforms.slack import manifest, render
from bot.platforms.slack.background_tasks import Errands
from bot.platforms.slack.workspace import Events, Workspaces

log = logging.getLogger(__name__)

NOTED_EVERY = 3600.0
"""Seconds between two notes of the same kind of event."""

Note = Callable[[str, str], Coroutine[Any, Any, None]]
"""``note(tenant_id, kind)``: an event of that kind came."""


class Switchboard:
    """Attaches to a Bolt app made with ``process_before_response=True``: the ack goes out when a listener is done."""

    def __init__(
        self,
        workspaces: Workspaces,
        errands: Errands,
        note: Note,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspaces = workspaces
        self._errands = errands
        self._note = note
        self._clock = clock
        self._noted: dict[tuple[str, str], float] = {}

    async def authorize(
        self, context: AsyncBoltContext, enterprise_id: str | None, team_id: str | None
    ) -> AuthorizeResult | None:
        """Whether the app is installed where the event came from. No token is given on: each client has its own."""
        workspace = await self._workspaces.of(team_id, enterprise_id, as_a_whole=bool(context.is_enterprise_install))
        if workspace is None:
            return None
        me = (await workspace.ears()).me
        return AuthorizeResult(
            enterprise_id=enterprise_id,
            team_id=team_id,
            bot_user_id=me.user_id,
            bot_id=me.bot_id,
            bot_token="xoxb-kept-by-the-workspace",  # noqa: S106
        )

    def register(self, app: AsyncApp) -> None:
        """Attach every entry point; what takes any action comes after what takes one."""
        app.shortcut(manifest.ABOUT)(self.on_about)
        app.shortcut(manifest.FORGET)(self.on_forget)
        app.view(manifest.ABOUT)(self.on_question)
        app.action(render.SHARE)(self.on_share)
        app.event("message")(self.on_message)
        app.event("app_mention")(self.on_message)
        app.event("agent_session_stopped")(self.on_stopped)
        app.event("app_uninstalled")(self.on_removed)
        app.event("tokens_revoked")(self.on_revoked)
        app.command(re.compile(r".*"))(self.on_command)
        app.action(re.compile(r".*"))(self.on_click)
        app.view(render.REASON_VIEW)(self.on_reason)
        # What Slack may send beyond that is acknowledged, or it would come again.
        app.event(re.compile(r".*"))(self.on_anything)
        app.error(self.on_error)

    async def _ears(self, context: AsyncBoltContext) -> Events:
        workspace = await self._workspaces.of(
            context.team_id, context.enterprise_id, as_a_whole=bool(context.is_enterprise_install)
        )
        assert workspace is not None, "authorized just now"
        return await workspace.ears()

    async def on_message(self, event: dict[str, Any], body: dict[str, Any], context: AsyncBoltContext) -> None:
        """A message, or a mention."""
        ears = await self._ears(context)
        self._heard(ears, event)
        await ears.listeners.on_message(event, body)

    async def on_stopped(self, event: dict[str, Any], body: dict[str, Any], context: AsyncBoltContext) -> None:
        """Slack's own stop button."""
        ears = await self._ears(context)
        self._heard(ears, event)
        await ears.listeners.on_stopped(event, body)

    async def on_command(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        """A slash command."""
        await (await self._ears(context)).listeners.on_command(ack, body)

    async def on_click(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        """A button under an answer."""
        await (await self._ears(context)).listeners.on_click(ack, body)

    async def on_reason(
        self, ack: AsyncAck, body: dict[str, Any], view: dict[str, Any], context: AsyncBoltContext
    ) -> None:
        """What somebody wrote beside a 👎."""
        await (await self._ears(context)).listeners.on_reason(ack, body, view)

    async def on_about(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        """The entry in a message's menu that asks about it."""
        await (await self._ears(context)).menus.on_about(ack, body)

    async def on_question(
        self, ack: AsyncAck, body: dict[str, Any], view: dict[str, Any], context: AsyncBoltContext
    ) -> None:
        """The question about a message."""
        await (await self._ears(context)).menus.on_question(ack, body, view)

    async def on_forget(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        """The entry in a message's menu that forgets it."""
        await (await self._ears(context)).menus.on_forget(ack, body)

    async def on_share(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        """The button that shares a private answer."""
        await (await self._ears(context)).menus.on_share(ack, body)

    async def on_removed(self, body: dict[str, Any], context: AsyncBoltContext) -> None:
        """The app was removed from a workspace."""
        told_at = float(body.get("event_time") or time.time())
        try:
            await self._workspaces.removed(context.team_id, context.enterprise_id, told_at)
        except ParleyError as error:
            log.error("%s", error)

    async def on_revoked(self, event: dict[str, Any], body: dict[str, Any], context: AsyncBoltContext) -> None:
        """Tokens were revoked: the bot's, or people's, of which there are none here."""
        if (event.get("tokens") or {}).get("bot"):
            await self.on_removed(body, context)

    async def on_anything(self, event: dict[str, Any]) -> None:
        """Acknowledge an event the bot has no use for."""
        log.debug("Nothing to do for %s", event.get("type"))

    async def on_error(self, error: Exception, body: dict[str, Any]) -> None:
        """Tell the log; without an ack Slack delivers once more."""
        what = (body.get("event") or {}).get("type") or body.get("type") or body.get("command")
        log.error("Taking in %s from Slack failed: %s", what, for_operator(error), exc_info=unforeseen(error))

    def _heard(self, ears: Events, event: dict[str, Any]) -> None:
        """Note now and then that this kind of event comes, so that ``parley doctor`` can tell which do not."""
        key = (ears.me.tenant_id, kind_of(event))
        if not key[1] or self._clock() - self._noted.get(key, float("-inf")) < NOTED_EVERY:
            return
        self._noted[key] = self._clock()
        self._errands.start(self._note(*key))


def kind_of(event: dict[str, Any]) -> str:
    """The name under which the manifest subscribes to the event; empty where its payload does not tell."""
    if event.get("type") != "message":
        return str(event.get("type") or "")
    kinds = {"channel": "message.channels", "group": "message.groups", "im": "message.im", "mpim": "message.mpim"}
    return kinds.get(str(event.get("channel_type")), "")
