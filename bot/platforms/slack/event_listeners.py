"""What happens when Slack tells the bot something. Each listener takes in, stores, and only then acknowledges."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Any

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot import commands
from bot.engine.ports.surface import Surface
from bot.errors import ParleyError, Refused, UsageError
from bot.platforms.slack import errors, parse, render, user_messages
from bot.platforms.slack.background_tasks import Errands
from bot.platforms.slack.command_runner import Commands
from bot.platforms.slack.ephemeral import Place, Whisper
from bot.platforms.slack.files import Downloads
from bot.platforms.slack.parse import Click, Gone, Heard, Me
from bot.platforms.slack.users import People
from bot.types.conversation import Author, Incoming
from bot.types.turns import Turn
from bot.types.usage import Tier

if TYPE_CHECKING:
    from bot.engine.dispatch.dispatcher import Dispatcher

log = logging.getLogger(__name__)

Match = Callable[[str], tuple[str, str] | None]

REMEMBERED = 2_000


class Once:
    """Lets each key through a single time, as far back as it remembers."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._seen: OrderedDict[Hashable, None] = OrderedDict()
        self._size = size

    def first(self, key: Hashable) -> bool:
        """Whether the key was not seen before."""
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > self._size:
            self._seen.popitem(last=False)
        return True


class Listeners:
    """The entry points from one workspace; the switchboard leads to them."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        me: Me,
        *,
        client: AsyncWebClient,
        people: People,
        downloads: Downloads,
        whisper: Whisper,
        commands_: Commands,
        errands: Errands,
        surface_for: Callable[[Turn], Surface],
        match: Match | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._me = me
        self._client = client
        self._people = people
        self._downloads = downloads
        self._whisper = whisper
        self._commands = commands_
        self._errands = errands
        self._surface_for = surface_for
        self._match = match or commands.match
        self._once = Once()

    # --- messages

    async def on_message(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        """Store a question before the ack and start its turn; a failure to store leaves the event to come again."""
        if event.get("subtype") in ("message_changed", "message_deleted"):
            await self._on_changed(parse.changed(event, self._me, body.get("team_id")))
            return
        heard = parse.heard(event, self._me, body.get("team_id"))
        if heard is None or (heard.kind == "follow_up" and not await self._dispatcher.follows(heard.thread)):
            return
        if heard.kind == "overheard":
            self._errands.start(self._overhear(heard))
            return
        command = self._match(heard.args) if heard.kind in ("mention", "dm") else None
        if command is not None:
            await self._obey(heard, command)
            return
        await self._take_in(heard, self._dispatcher.accept)

    async def _on_changed(self, change: Heard | Gone | None) -> None:
        """A changed question is answered again, a deleted one forgotten; a command has run."""
        if isinstance(change, Gone):
            await self._dispatcher.deleted(change.thread, change.ts, self._surface_for)
            return
        if change is None or self._match(change.args) is not None:
            return
        if change.kind in ("mention", "dm") or await self._dispatcher.follows(change.thread):
            await self._take_in(change, self._dispatcher.edited)

    async def _take_in(self, heard: Heard, take: Callable[[Incoming], Awaitable[Turn | None]]) -> None:
        author = await self._people.author(heard.user_id)
        incoming = heard.incoming(author, parse.attachments(heard.files, self._downloads.attachment))
        try:
            turn = await take(incoming)
        except (UsageError, Refused) as refusal:
            self._tell_once(heard, str(refusal))
            return
        except Exception:
            self._tell_once(heard, user_messages.NOT_STORED)
            raise
        if turn is not None:
            self._dispatcher.start(turn, self._surface_for(turn))

    async def _overhear(self, heard: Heard) -> None:
        incoming = heard.incoming(await self._people.author(heard.user_id))
        turn = await self._dispatcher.overheard(incoming)
        if turn is not None:
            self._dispatcher.start(turn, self._surface_for(turn))

    async def _obey(self, heard: Heard, command: tuple[str, str]) -> None:
        """Run a command that was mentioned, once among all processes, however often it is delivered."""
        if not await self._dispatcher.first(heard.thread, heard.ts):
            return
        name, args = command
        author = await self._people.author(heard.user_id)
        errand = self._commands.answer(
            name,
            args,
            Place(heard.thread.channel_id, heard.user_id, heard.thread.thread_id),
            author,
            heard.thread.tenant_id,
            thread_id=heard.thread.thread_id if heard.in_thread else None,
            attachments=parse.attachments(heard.files, self._downloads.attachment),
        )
        self._errands.start(errand)

    def _tell_once(self, heard: Heard, text: str) -> None:
        if self._once.first((heard.thread.tenant_id, heard.thread.channel_id, heard.ts, text)):
            place = Place(heard.thread.channel_id, heard.user_id, heard.thread.thread_id)
            self._errands.start(self._said(place, text))

    async def _said(self, place: Place, text: str) -> None:
        try:
            await self._whisper.say(place, text)
        except ParleyError as error:
            log.warning("A word to %s could not be shown: %s", place.user_id, error)

    async def on_stopped(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        """Slack's own stop button: the same as the command in that thread."""
        channel, user, thread_ts = event.get("channel"), event.get("user"), event.get("thread_ts")
        if not channel or not user or not thread_ts:
            return
        author = await self._people.author(user)
        tenant_id = self._me.tenant(body.get("team_id"))
        place = Place(channel, user, thread_ts)
        self._errands.start(self._commands.answer("stop", "", place, author, tenant_id, thread_id=thread_ts))

    # --- slash commands

    async def on_command(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Acknowledge at once and run it in the background."""
        slash = parse.slash(body, self._me)
        await ack()
        self._errands.start(self._run_slash(slash))

    async def _run_slash(self, slash: parse.Slash) -> None:
        author = await self._people.author(slash.user_id)
        place = Place(slash.channel_id, slash.user_id, response_url=slash.response_url)
        await self._commands.answer(slash.name, slash.args, place, author, slash.tenant_id)

    # --- buttons

    async def on_click(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        """Do what the button says before the ack; a refusal is whispered to whoever pressed it."""
        click = parse.click(body, self._me)
        if click is not None:
            try:
                await self._press(click, await self._people.author(click.user_id))
            except ParleyError as refusal:
                self._errands.start(self._said(_at(click), str(refusal)))
        await ack()

    async def _press(self, click: Click, by: Author) -> None:
        match click.action:
            case "stop":
                await self._dispatcher.stop(click.turn_id, by, tenant_id=click.tenant_id)
            case "again" | "strong":
                wish: Tier | None = "strong" if click.action == "strong" else None
                turn = await self._dispatcher.repeat(click.turn_id, by, tenant_id=click.tenant_id, wish=wish)
                self._dispatcher.start(turn, self._surface_for(turn))
            case "up":
                await self._dispatcher.rate(click.turn_id, by, tenant_id=click.tenant_id, value=1)
                self._errands.start(self._said(_at(click), user_messages.THANKS))
            case "down":
                await self._dispatcher.rate(click.turn_id, by, tenant_id=click.tenant_id, value=-1)
                self._errands.start(self._ask_reason(click))
            case "why" | "sources":
                answer = self._commands.answer(
                    click.action, click.turn_id, _at(click), by, click.tenant_id, thread_id=click.thread_ts
                )
                self._errands.start(answer)
            case "halt":
                stop = self._commands.answer("ingest", f"stop {click.turn_id}", _at(click), by, click.tenant_id)
                self._errands.start(stop)
            case _:
                raise UsageError("This button is from another version of me; please ask again.")

    async def _ask_reason(self, click: Click) -> None:
        try:
            with errors.translated():
                view = render.reason_view(click.turn_id, click.channel_id, click.thread_ts)
                await self._client.views_open(trigger_id=click.trigger_id, view=view)
        except ParleyError as error:
            log.info("The reason could not be asked for: %s", error)
            await self._said(_at(click), user_messages.THANKS)

    async def on_reason(self, ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        """Keep what somebody wrote beside a 👎."""
        about = json.loads(view.get("private_metadata") or "{}")
        reason = str(view["state"]["values"]["reason"]["text"].get("value") or "").strip()
        by = await self._people.author(body["user"]["id"])
        place = Place(about["channel_id"], by.id, about["thread_ts"])
        tenant_id = self._me.tenant((body.get("team") or {}).get("id"))
        try:
            await self._dispatcher.rate(about["turn_id"], by, tenant_id=tenant_id, value=-1, reason=reason)
            self._errands.start(self._said(place, user_messages.THANKS))
        except ParleyError as refusal:
            self._errands.start(self._said(place, str(refusal)))
        await ack()


def _at(click: Click) -> Place:
    return Place(click.channel_id, click.user_id, click.thread_ts)
