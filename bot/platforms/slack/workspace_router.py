"""Routes every request from Slack to the event handlers of its workspace."""

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
from bot.platforms.json_input import object_field
from bot.platforms.slack import modals, payloads, render
from bot.platforms.slack.background_tasks import BackgroundTasks
from bot.platforms.slack.installation import manifest
from bot.platforms.slack.workspace import EventHandlers, Workspaces
from bot.types.bounded_mapping import RecentEntries

log = logging.getLogger(__name__)

RECORD_INTERVAL = 3600.0
"""Seconds between two records of the same kind of event."""

RecordEvent = Callable[[str, str], Coroutine[Any, Any, None]]
"""``record_event(tenant_id, kind)`` stores that an event of that kind arrived."""


class WorkspaceRouter:
    """Routes the requests of a Bolt app to the workspaces.

    The app needs ``process_before_response=True``: it then acknowledges after the listener has finished.
    """

    def __init__(
        self,
        workspaces: Workspaces,
        background: BackgroundTasks,
        record_event: RecordEvent,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspaces = workspaces
        self._background = background
        self._record_event = record_event
        self._clock = clock
        self._recorded_at: RecentEntries[tuple[str, str], float] = RecentEntries()

    def select_installation(self, context: AsyncBoltContext, body: dict[str, Any]) -> None:
        """Correct the workspace in the context, because Bolt takes that of the person who acts.

        Raises nothing. An organization that does not belong to the corrected workspace is removed too.
        """
        team_id = payloads.installed_team(body)
        if team_id and team_id != context.team_id:
            context["team_id"] = team_id
            if not context.is_enterprise_install:
                context["enterprise_id"] = None

    async def authorize(
        self, context: AsyncBoltContext, enterprise_id: str | None, team_id: str | None
    ) -> AuthorizeResult | None:
        """Return whether the app is installed in the event's workspace.

        The result contains no real token: each workspace's client fetches its own.
        """
        workspace = await self._workspaces.of_event(
            team_id, enterprise_id, org_wide=bool(context.is_enterprise_install)
        )
        if workspace is None:
            return None
        bot = (await workspace.handlers()).bot
        return AuthorizeResult(
            enterprise_id=enterprise_id,
            team_id=team_id,
            bot_user_id=bot.user_id,
            bot_id=bot.bot_id,
            bot_token="xoxb-kept-by-the-workspace",  # noqa: S106
        )

    def register(self, app: AsyncApp) -> None:
        """Register the listeners. Bolt uses the first that matches, so the general ones come last."""
        app.shortcut(manifest.ABOUT_SHORTCUT)(self.on_about)
        app.shortcut(manifest.FORGET_SHORTCUT)(self.on_forget)
        app.view(manifest.ABOUT_SHORTCUT)(self.on_question)
        app.action(render.SHARE_ACTION)(self.on_share)
        app.event("message")(self.on_message)
        app.event("app_mention")(self.on_message)
        app.event("agent_session_stopped")(self.on_stopped)
        app.event("reaction_added")(self.on_reaction)
        app.event("reaction_removed")(self.on_reaction)
        app.event("app_uninstalled")(self.on_removed)
        app.event("tokens_revoked")(self.on_revoked)
        app.command(re.compile(r".*"))(self.on_command)
        app.action(re.compile(r".*"))(self.on_click)
        app.view(modals.REASON_VIEW)(self.on_reason)
        # Without an acknowledgment Slack redelivers an event.
        app.event(re.compile(r".*"))(self.on_other_event)
        app.error(self.on_error)

    async def _handlers(self, context: AsyncBoltContext) -> EventHandlers:
        workspace = await self._workspaces.of_event(
            context.team_id, context.enterprise_id, org_wide=bool(context.is_enterprise_install)
        )
        assert workspace is not None, "authorized just before"
        return await workspace.handlers()

    async def on_message(self, event: dict[str, Any], body: dict[str, Any], context: AsyncBoltContext) -> None:
        """Handle a message or a mention."""
        handlers = await self._handlers(context)
        self._record(handlers, event)
        await handlers.listeners.on_message(event, body)

    async def on_stopped(self, event: dict[str, Any], context: AsyncBoltContext) -> None:
        """Handle Slack's own stop button."""
        handlers = await self._handlers(context)
        self._record(handlers, event)
        await handlers.listeners.on_stopped(event)

    async def on_reaction(self, event: dict[str, Any], context: AsyncBoltContext) -> None:
        """Handle an emoji that was added to a message or removed."""
        handlers = await self._handlers(context)
        self._record(handlers, event)
        await handlers.reactions.on_reaction(event)

    async def on_command(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        """Handle a slash command."""
        await (await self._handlers(context)).listeners.on_command(ack, body)

    async def on_click(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        """Handle a button."""
        await (await self._handlers(context)).listeners.on_click(ack, body)

    async def on_reason(
        self, ack: AsyncAck, body: dict[str, Any], view: dict[str, Any], context: AsyncBoltContext
    ) -> None:
        """Handle the reason for a 👎."""
        await (await self._handlers(context)).listeners.on_reason(ack, body, view)

    async def on_about(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        """Handle the shortcut that asks about a message."""
        await (await self._handlers(context)).shortcuts.on_about(ack, body)

    async def on_question(
        self, ack: AsyncAck, body: dict[str, Any], view: dict[str, Any], context: AsyncBoltContext
    ) -> None:
        """Handle the question about a message."""
        await (await self._handlers(context)).shortcuts.on_question(ack, body, view)

    async def on_forget(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        """Handle the shortcut that forgets a message."""
        await (await self._handlers(context)).shortcuts.on_forget(ack, body)

    async def on_share(self, ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        """Handle the button that shares a private answer."""
        await (await self._handlers(context)).shortcuts.on_share(ack, body)

    async def on_removed(self, body: dict[str, Any], context: AsyncBoltContext) -> None:
        """Handle the removal of the app from a workspace."""
        sent_at = body.get("event_time")
        removed_at = float(sent_at) if isinstance(sent_at, int | float) else time.time()
        try:
            await self._workspaces.remove(context.team_id, context.enterprise_id, removed_at)
        except ParleyError as error:
            log.error("%s", error)

    async def on_revoked(self, event: dict[str, Any], body: dict[str, Any], context: AsyncBoltContext) -> None:
        """Handle revoked tokens. Only the bot's token matters: Parley stores no user tokens."""
        if object_field(event, "tokens").get("bot"):
            await self.on_removed(body, context)

    async def on_other_event(self, event: dict[str, Any]) -> None:
        """Acknowledge an event that the bot does not use."""
        log.debug("Ignored the event %s", event.get("type"))

    async def on_error(self, error: Exception, body: dict[str, Any]) -> None:
        """Log a failed listener. It sends no acknowledgment, so Slack redelivers the event."""
        kind = object_field(body, "event").get("type") or body.get("type") or body.get("command")
        log.error("Handling %s from Slack failed: %s", kind, for_operator(error), exc_info=unforeseen(error))

    def _record(self, handlers: EventHandlers, event: dict[str, Any]) -> None:
        """Record that this kind of event arrives, at most once an hour; ``parley doctor`` reports missing kinds."""
        kind = subscription_of(event)
        key = (handlers.bot.tenant_id, kind)
        if not kind or self._clock() - self._recorded_at.get(key, float("-inf")) < RECORD_INTERVAL:
            return
        self._recorded_at[key] = self._clock()
        self._background.start(self._record_event(*key))


def subscription_of(event: dict[str, Any]) -> str:
    """Return the name by which the manifest subscribes to the event; empty if the payload does not show it."""
    if event.get("type") != "message":
        return str(event.get("type") or "")
    names = {"channel": "message.channels", "group": "message.groups", "im": "message.im", "mpim": "message.mpim"}
    return names.get(str(event.get("channel_type")), "")
