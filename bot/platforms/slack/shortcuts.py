"""The entries in the menu of a message, and the button that shares a private answer with the channel."""

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
from bot.platforms.slack import errors, manifest, parse, render, user_messages
from bot.platforms.slack.background_tasks import Errands
from bot.platforms.slack.command_runner import Commands
from bot.platforms.slack.ephemeral import Place, Whisper
from bot.platforms.slack.parse import Me
from bot.platforms.slack.users import People
from bot.types.conversation import ThreadKey
from bot.types.turns import Turn

if TYPE_CHECKING:
    from bot.engine.dispatch.dispatcher import Dispatcher

QUOTED_CHARS = 1_500
"""``private_metadata`` of a view holds 3,000 characters."""


class Menus:
    """What people do with a message, or with an answer that only they see."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        me: Me,
        *,
        client: AsyncWebClient,
        people: People,
        whisper: Whisper,
        commands: Commands,
        errands: Errands,
        surface_for: Callable[[Turn], Surface],
    ) -> None:
        self._dispatcher = dispatcher
        self._me = me
        self._client = client
        self._people = people
        self._whisper = whisper
        self._commands = commands
        self._errands = errands
        self._surface_for = surface_for

    async def on_about(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Ask what they want to know about the message."""
        await ack()
        about = {"channel": body["channel"]["id"], "url": body.get("response_url", ""), "said": _said(body)}
        try:
            with errors.translated():
                await self._client.views_open(
                    trigger_id=body["trigger_id"], view=render.about_view(manifest.ABOUT, about)
                )
        except ParleyError as error:
            await self._told(_place(body), str(error))

    async def on_question(self, ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        """Answer it, for the asker alone."""
        await ack()
        about = json.loads(view.get("private_metadata") or "{}")
        question = str(view["state"]["values"]["question"]["text"].get("value") or "").strip()
        by = await self._people.author(body["user"]["id"])
        place = Place(about["channel"], by.id, response_url=about["url"])
        tenant_id = self._me.tenant((body.get("team") or {}).get("id"))
        asked = f"{question}\n\n(About this message: {about['said']})" if about["said"] else question
        self._errands.start(self._commands.answer("ask", asked, place, by, tenant_id))

    async def on_forget(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Forget the question that the message is, or that it answers."""
        await ack()
        try:
            await self._forget(body)
            told = user_messages.FORGOTTEN
        except ParleyError as refusal:
            told = str(refusal)
        await self._told(_place(body), told)

    async def _forget(self, body: dict[str, Any]) -> None:
        message, by = body["message"], await self._people.author(body["user"]["id"])
        tenant_id = self._me.tenant((body.get("team") or {}).get("id"))
        answered = render.turns_of(message)
        for turn_id in answered:
            await self._dispatcher.forget(turn_id, by, tenant_id=tenant_id, surface_for=self._surface_for)
        if answered:
            return
        if (
            message.get("user") != by.id
            and not (await with_granted_role(self._commands.services.stores.settings, by, tenant_id)).is_admin
        ):
            raise NotAllowed(user_messages.NOT_YOURS_TO_FORGET)
        thread = ThreadKey(tenant_id, "slack", body["channel"]["id"], message.get("thread_ts") or message["ts"])
        if not await self._dispatcher.deleted(thread, message["ts"], self._surface_for):
            raise UsageError(user_messages.NOTHING_TO_FORGET)

    async def on_share(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Show the channel the private answer under which the button stood, once, whichever process is asked."""
        await ack()
        click = parse.click(body, self._me)
        if click is None:
            return
        by = await self._people.author(click.user_id)
        thread = click.thread_ts if click.thread_ts != click.message_ts else None
        place = Place(click.channel_id, click.user_id, thread, body.get("response_url", ""))
        try:
            async with ask.sharing(self._commands.services, click.tenant_id, click.turn_id, by) as answer:
                await self._whisper.reply(place, answer)
        except ParleyError as refusal:
            await self._told(place, str(refusal))

    async def _told(self, place: Place, text: str) -> None:
        self._errands.start(self._whisper.say(place, text))


def _place(body: Mapping[str, Any]) -> Place:
    thread = (body.get("message") or {}).get("thread_ts")
    return Place(body["channel"]["id"], body["user"]["id"], thread, body.get("response_url", ""))


def _said(body: Mapping[str, Any]) -> str:
    return parse.plain(str((body.get("message") or {}).get("text") or ""))[:QUOTED_CHARS]
