"""Handles message shortcuts (ask about a message, forget it), and the button that shares a private answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.commands import ask
from bot.engine.dispatch.permissions import with_granted_role
from bot.engine.ports.surface import Surface
from bot.errors import NotAllowed, ParleyError, UsageError
from bot.platforms.question_about_message import question_about
from bot.platforms.slack import errors, message_text, modals, payloads, render, user_messages
from bot.platforms.slack.background_tasks import BackgroundTasks
from bot.platforms.slack.channel_readers import ChannelReaders
from bot.platforms.slack.command_replies import ReplySender, ReplyTarget
from bot.platforms.slack.command_runner import CommandRunner
from bot.platforms.slack.installation import manifest
from bot.platforms.slack.name_directory import NameDirectory
from bot.platforms.slack.payloads import BotUser
from bot.platforms.slack.users import UserDirectory
from bot.types.conversation import ThreadKey
from bot.types.turns import Turn

if TYPE_CHECKING:
    from bot.engine.dispatch.dispatcher import Dispatcher


class MessageShortcuts:
    """The message shortcuts of one workspace; the workspace router calls them."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        bot: BotUser,
        *,
        client: AsyncWebClient,
        users: UserDirectory,
        names: NameDirectory,
        readers: ChannelReaders,
        replies: ReplySender,
        command_runner: CommandRunner,
        background: BackgroundTasks,
        surface_for: Callable[[Turn], Surface],
    ) -> None:
        self._dispatcher = dispatcher
        self._bot = bot
        self._client = client
        self._users = users
        self._names = names
        self._readers = readers
        self._replies = replies
        self._command_runner = command_runner
        self._background = background
        self._surface_for = surface_for

    async def on_about(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Open the modal that asks for a question about the message."""
        await ack()
        said = await self._names.readable(message_text.everything(body.get("message") or {}))
        about = {"channel": body["channel"]["id"], "url": body.get("response_url", ""), "said": said}
        try:
            with errors.translated():
                await self._client.views_open(
                    trigger_id=body["trigger_id"], view=modals.about_view(manifest.ABOUT_SHORTCUT, about)
                )
        except ParleyError as error:
            self._send_text(_target_of(body), str(error))

    async def on_question(self, ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        """Answer the question from the modal. Only the asker sees the answer."""
        await ack()
        about = json.loads(view.get("private_metadata") or "{}")
        question = str(view["state"]["values"]["question"]["text"].get("value") or "").strip()
        by = await self._users.author(body["user"]["id"])
        target = ReplyTarget(about["channel"], by.id, response_url=about["url"])
        text = question_about(question, about["said"])
        self._background.start(self._command_runner.run("ask", text, target, by, self._bot.tenant_id))

    async def on_forget(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Delete the question that the message is, or that it answers, and confirm."""
        await ack()
        try:
            await self._forget(body)
            notice = user_messages.FORGOTTEN
        except ParleyError as refusal:
            notice = str(refusal)
        self._send_text(_target_of(body), notice)

    async def _forget(self, body: dict[str, Any]) -> None:
        message, by = body["message"], await self._users.author(body["user"]["id"])
        tenant_id = self._bot.tenant_id
        answered_turns = render.turns_of(message)
        for turn_id in answered_turns:
            await self._dispatcher.forget(turn_id, by, tenant_id=tenant_id, surface_for=self._surface_for)
        if answered_turns:
            return
        is_asker = message.get("user") == by.id
        settings = self._command_runner.services.stores.settings
        if not is_asker and not (await with_granted_role(settings, by, tenant_id)).is_admin:
            raise NotAllowed(user_messages.NOT_YOURS_TO_FORGET)
        thread = ThreadKey(tenant_id, "slack", body["channel"]["id"], message.get("thread_ts") or message["ts"])
        if not await self._dispatcher.deleted(thread, message["ts"], self._surface_for):
            raise UsageError(user_messages.NOTHING_TO_FORGET)

    async def on_share(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Show a private answer in the channel, once among all processes."""
        await ack()
        click = payloads.parse_click(body, self._bot)
        if click is None:
            return
        by = await self._users.author(click.user_id)
        thread_ts = click.thread_ts if click.thread_ts != click.message_ts else None
        target = ReplyTarget(click.channel_id, click.user_id, thread_ts, body.get("response_url", ""))
        try:
            audience = await self._readers.of_shared_reply(by, click.channel_id)
            services = self._command_runner.services
            async with ask.sharing(services, click.tenant_id, click.turn_id, by, audience) as answer:
                await self._replies.send(target, answer)
        except ParleyError as refusal:
            self._send_text(target, str(refusal))

    def _send_text(self, target: ReplyTarget, text: str) -> None:
        self._background.start(self._replies.send_text(target, text))


def _target_of(body: Mapping[str, Any]) -> ReplyTarget:
    thread_ts = (body.get("message") or {}).get("thread_ts")
    return ReplyTarget(body["channel"]["id"], body["user"]["id"], thread_ts, body.get("response_url", ""))
