"""A Slack on loopback: Web API, Socket Mode, files and response URLs, with the platform's rules.

    async with SlackDouble() as slack:
        question = await slack.say("general", "alice", f"{slack.bot} how long is the notice period?")
        await slack.until(lambda: slack.replies(question))
        print(slack.transcript())

What the bot does against the rules is kept in ``violations``; leaving the context fails when there are any.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.doubles import slack_blocks
from tests.doubles.slack_api import SCOPES, WebApi
from tests.doubles.slack_handouts import Handouts
from tests.doubles.slack_socket import REDELIVERY_SECONDS, Delivery, SocketMode
from tests.doubles.slack_world import APP_ID, BOT_USER, TEAM, Channel, Message, World

_NAMED = frozenset(scope for scope in SCOPES.values() if scope and scope != "connections:write")
ALL_SCOPES = _NAMED | {"files:read", "groups:history", "groups:read"}
EVENTS = frozenset({"app_mention", "message.channels", "message.groups", "message.im", "message.mpim"})
KINDS = {"channel": "message.channels", "group": "message.groups", "im": "message.im", "mpim": "message.mpim"}


class SlackDouble:
    """A workspace with alice, bob and ada (an admin), and the channels general, secret, random and old.

    ``pace``: how many of Slack's seconds pass in a real one, for rate limits and redelivery. ``events`` are those the
    app subscribed to, ``commands`` the slash commands it registered. ``redelivery``: Slack's seconds between attempts.
    ``distributed``: the app is distributed outside the Marketplace, and reads the history of channels slowly.
    ``streams``: whether the workspace has native streams, and ``stream_seconds`` Slack's seconds that one lives.
    ``clock`` tells the seconds by which limits are kept.
    """

    def __init__(
        self,
        *,
        scopes: Collection[str] = ALL_SCOPES,
        events: Collection[str] = EVENTS,
        commands: Collection[str] = ("/parley", "/ask", "/ingest", "/docs", "/budget", "/costs"),
        pace: float = 1.0,
        ack_seconds: float = 3.0,
        bot_token: str = "xoxb-double-1",
        app_token: str = "xapp-double-1",
        redelivery: Sequence[float] = REDELIVERY_SECONDS,
        distributed: bool = False,
        streams: bool = True,
        stream_seconds: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.scopes, self.events, self.commands = set(scopes), set(events), set(commands)
        self.pace = pace
        self.distributed = distributed
        self.streams, self.stream_seconds = streams, stream_seconds
        self.bot_token, self.app_token = bot_token, app_token
        self.world = World(clock)
        self.violations: list[str] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.refused: list[str] = []
        """Methods that were called too often."""
        self.views: list[dict[str, Any]] = []
        self.statuses: list[str] = []
        self.uploaded: dict[str, bytes] = {}
        self.base = ""
        self.socket = SocketMode(ack_seconds=ack_seconds, pace=pace, violations=self.violations, redelivery=redelivery)
        self.handouts = Handouts(self)
        self._api = WebApi(self)
        self._ticks = itertools.count(1)
        self._errors: dict[str, list[str]] = defaultdict(list)
        self._waits: dict[str, list[int]] = defaultdict(list)
        self._losses: dict[str, int] = defaultdict(int)

    # --- running it

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/api/{method}", self._api.serve)
        app.router.add_get("/link/", self.socket.serve)
        app.router.add_post("/upload/v1/{file}", self._api.upload)
        app.router.add_get("/files-pri/{file}/{name}", self.handouts.file)
        app.router.add_post("/commands/{id}", self.handouts.responded)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.base = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.socket.close()
        await self._runner.cleanup()
        self._api.check_streams()
        if kind is None:
            assert not self.violations, "the bot broke Slack's rules:\n" + "\n".join(self.violations)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a call of the Web API that came in at another address."""
        return await self._api.serve(request)

    @property
    def api_url(self) -> str:
        """What SLACK_API_URL is set to."""
        return f"{self.base}/api/"

    @property
    def bot(self) -> str:
        """A mention of the bot, as it stands in a message."""
        return f"<@{BOT_USER}>"

    # --- what people do

    async def say(
        self,
        channel: str,
        user: str,
        text: str,
        thread_ts: str | None = None,
        *,
        files: Sequence[tuple[str, bytes, str]] = (),
        subtype: str | None = None,
    ) -> Message:
        """Somebody writes; a mention goes out as two events, a link unfurls into a third."""
        place, author = self.channel(channel), self.user_id(user)
        version = self.world.version(text)
        message = Message(place.id, self.world.next_ts(), author, [version], thread_ts)
        message.files = [self.handouts.share(name, data, kind) for name, data, kind in files]
        self.world.add(message)
        more = {"subtype": subtype or "file_share"} if files or subtype else {}
        self.announce(message, **more)
        if re.search(r"<https?://", text):
            self._unfurl(message)
        await asyncio.sleep(0)
        return message

    def past(self, channel: str, user: str, text: str, at: float, thread_ts: str | None = None, **more: Any) -> Message:
        """What somebody said at a moment in the past, in seconds since 1970; no event tells of it."""
        ts = f"{at + next(self._ticks) / 1e6:.6f}"
        message = Message(self.channel(channel).id, ts, self.user_id(user), [self.world.version(text)], thread_ts)
        for name, value in more.items():
            setattr(message, name, value)
        return self.world.add(message)

    async def dm(self, user: str, text: str, thread_ts: str | None = None) -> Message:
        """Somebody writes to the bot directly."""
        return await self.say(self.world.direct(self.user_id(user)).id, user, text, thread_ts)

    async def edit(self, message: Message, text: str) -> None:
        """Somebody changes a message of their own."""
        before = message.payload()
        message.versions.append(self.world.version(text))
        self._changed(message, before, {**message.payload(), "edited": {"user": message.user, "ts": message.ts}})

    async def delete(self, message: Message) -> None:
        """Somebody takes a message back."""
        message.deleted = True
        event = {"subtype": "message_deleted", "hidden": True, "deleted_ts": message.ts}
        self._message_event(message, event | {"previous_message": message.payload()})

    def redeliver(self, message: Message) -> None:
        """Slack delivers a message once more, with an event id of its own and no sign of a retry."""
        self.announce(message)

    async def command(self, name: str, text: str, user: str, channel: str) -> Delivery:
        """Somebody runs a slash command. Slack knows none inside threads."""
        assert name in self.commands, f"{name} is not a command of the app's manifest"
        place, author = self.channel(channel), self.user_id(user)
        body = {
            "command": name,
            "text": text,
            "team_id": TEAM,
            "channel_id": place.id,
            "channel_name": place.name,
            "user_id": author,
            "user_name": user,
            "api_app_id": APP_ID,
            "response_url": self.handouts.response_url(place.id, author),
            "trigger_id": self.handouts.trigger(),
        }
        return self.socket.send("slash_commands", body)

    async def click(self, action: str, message: Message, user: str) -> Delivery:
        """Somebody presses a button that the message has."""
        return self.socket.send("interactive", self.pressed(action, message, user))

    def pressed(self, action: str, message: Message, user: str) -> dict[str, Any]:
        """What Slack tells of a button that somebody presses."""
        buttons = slack_blocks.buttons(message.now.blocks)
        assert action in buttons, f"the message offers {list(buttons)}, not {action}"
        author = self.user_id(user)
        pressed = {**buttons[action], "action_ts": self.world.next_ts()}
        container = {"type": "message", "message_ts": message.ts, "channel_id": message.channel}
        return self._interaction("block_actions", author) | {
            "container": container | {"thread_ts": message.thread_ts},
            "channel": {"id": message.channel, "name": self.channel(message.channel).name},
            **({} if message.only_for else {"message": message.payload()}),
            "actions": [pressed],
            "response_url": self.handouts.response_url(message.channel, author),
        }

    async def menu(self, callback_id: str, message: Message, user: str) -> Delivery:
        """Somebody picks an entry from the menu of a message."""
        author = self.user_id(user)
        body = self._interaction("message_action", author) | {
            "callback_id": callback_id,
            "message_ts": message.ts,
            "channel": {"id": message.channel, "name": self.channel(message.channel).name},
            "message": message.payload(),
            "response_url": self.handouts.response_url(message.channel, author),
        }
        return self.socket.send("interactive", body)

    async def submit(self, view: dict[str, Any], values: dict[str, dict[str, str]], user: str) -> Delivery:
        """Somebody sends a modal off; ``values`` are texts by block and action."""
        filled = {
            block: {action: {"type": "plain_text_input", "value": value} for action, value in actions.items()}
            for block, actions in values.items()
        }
        body = self._interaction("view_submission", self.user_id(user))
        return self.socket.send("interactive", body | {"view": {**view, "state": {"values": filled}}})

    async def press_slacks_stop(self, message: Message, user: str) -> Delivery:
        """Somebody presses the stop button that Slack itself shows while an agent works."""
        event = {"type": "agent_session_stopped", "channel": message.channel, "user": self.user_id(user)}
        return self._event(event | {"thread_ts": message.thread_ts or message.ts, "event_ts": self.world.next_ts()})

    # --- what is to be seen

    def channel(self, name: str) -> Channel:
        """A channel by id or name."""
        known = self.world.channels
        return known[name] if name in known else next(place for place in known.values() if place.name == name)

    def user_id(self, name: str) -> str:
        """A user's id by id or name."""
        users = self.world.users
        return name if name in users else next(user.id for user in users.values() if user.name == name)

    def messages(self, channel: str, thread_ts: str | None = None) -> list[Message]:
        """The visible messages of a channel, or of one of its threads."""
        place = self.channel(channel)
        if thread_ts is not None:
            return self.world.thread(place.id, thread_ts)
        mine = (message for message in self.world.messages if message.channel == place.id)
        return [message for message in mine if not (message.deleted or message.only_for)]

    def told(self, message: Message) -> dict[str, Any]:
        """A message as its channel shows it: with what there is of a thread below it."""
        replies = [reply for reply in self.world.thread(message.channel, message.ts) if reply.ts != message.ts]
        if not replies:
            return message.payload()
        latest = max(reply.ts for reply in replies)
        return message.payload() | {"thread_ts": message.ts, "reply_count": len(replies), "latest_reply": latest}

    def replies(self, message: Message) -> list[Message]:
        """What the bot answered in the thread of a message."""
        thread = self.world.thread(message.channel, message.thread_ts or message.ts)
        return [reply for reply in thread if reply.bot_id and reply.ts > message.ts]

    def whispers(self, user: str) -> list[str]:
        """What only that person saw, oldest first."""
        author = self.user_id(user)
        return [message.shown for message in self.world.messages if message.only_for == author]

    async def until(self, condition: Callable[[], object], *, timeout: float = 120.0) -> None:
        """Wait until it holds; fail with the transcript when it never does."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"it never came about; the transcript:\n{self.transcript(versions=True)}"
            await asyncio.sleep(0.01)

    async def settled(self) -> None:
        """Wait until everything sent so far is acknowledged."""
        await self.until(lambda: all(delivery.acked.is_set() for delivery in self.socket.deliveries))

    def transcript(self, *, versions: bool = False) -> str:
        """The conversation as text; with ``versions`` each edit, and when it came."""
        lines = []
        for message in self.world.messages:
            place = self.world.channels[message.channel].name
            who = self.world.users[message.user].name
            note = f" (only {self.world.users[message.only_for].name} sees this)" if message.only_for else ""
            note += " (deleted)" if message.deleted else ""
            for version in message.versions if versions else message.versions[-1:]:
                said = version.shown.replace("\n", "\n    ")
                buttons = f"\n    {' '.join(f'[{name}]' for name in version.buttons)}" if version.buttons else ""
                depth = " > thread" if message.thread_ts else ""
                lines.append(f"{version.at:6.2f}s #{place}{depth} {who}{note}: {said}{buttons}")
        return "\n".join(lines)

    # --- faults on request

    def fail_next(self, method: str, error: str) -> None:
        """The next call of the method answers with this error."""
        self._errors[method].append(error)

    def limit_next(self, method: str, seconds: int) -> None:
        """The next call of the method answers 429 with this Retry-After."""
        self._waits[method].append(seconds)

    def end_stream(self, message: Message) -> None:
        """The stream of a message is over on Slack's side."""
        assert message.stream is not None
        message.stream.stopped = True

    def is_streaming(self, message: Message) -> bool:
        """Whether the message is a stream that is open."""
        return self._api.streams.is_open(message)

    def lose_next(self, method: str) -> None:
        """The next call of the method is carried out, and the connection breaks before the answer."""
        self._losses[method] += 1

    def scripted_loss(self, method: str) -> bool:
        """The loss asked for, once."""
        self._losses[method] -= 1
        return self._losses[method] >= 0

    def scripted_error(self, method: str) -> str | None:
        """The error asked for, once."""
        return self._errors[method].pop(0) if self._errors[method] else None

    def scripted_wait(self, method: str) -> int | None:
        """The Retry-After asked for, once."""
        return self._waits[method].pop(0) if self._waits[method] else None

    # --- events

    def announce(self, message: Message, **more: Any) -> None:
        """Send the events of a new message: ``message``, and ``app_mention`` beside it in channels."""
        extra = {"subtype": "file_share"} if message.files and not message.bot_id else {}
        self._message_event(message, message.payload() | extra | more)
        if self.bot in message.now.text and not message.bot_id and not message.channel.startswith("D"):
            mention = {**message.payload(), "type": "app_mention", "channel": message.channel, "event_ts": message.ts}
            self._event(mention)

    def _message_event(self, message: Message, body: dict[str, Any]) -> None:
        kind = self.channel(message.channel).kind
        ts = self.world.next_ts() if "subtype" in body and body.get("hidden") else message.ts
        event = {"type": "message", "ts": ts, **body, "channel": message.channel, "event_ts": ts, "channel_type": kind}
        self._event(event)

    def _event(self, event: dict[str, Any]) -> Delivery:
        name = KINDS[event["channel_type"]] if event["type"] == "message" else event["type"]
        channel = self.channel(event["channel"])
        body = {
            "type": "event_callback",
            "team_id": TEAM,
            "api_app_id": APP_ID,
            "event": event,
            "event_id": self.world.next_id("Ev"),
            "event_time": int(time.time()),
            "authorizations": [{"team_id": TEAM, "user_id": BOT_USER, "is_bot": True}],
        }
        if name not in self.events or BOT_USER not in channel.members:
            return Delivery("events_api", body)
        return self.socket.send("events_api", body)

    def _unfurl(self, message: Message) -> None:
        preview = {"attachments": [{"title": "A preview", "from_url": "https://example.com"}]}
        self._changed(message, message.payload(), message.payload() | preview)

    def _changed(self, message: Message, before: dict[str, Any], after: dict[str, Any]) -> None:
        change = {"subtype": "message_changed", "hidden": True, "message": after, "previous_message": before}
        self._message_event(message, change)

    def _interaction(self, kind: str, user: str) -> dict[str, Any]:
        person = {"id": user, "username": self.world.users[user].name, "team_id": TEAM}
        team = {"id": TEAM, "domain": "parley"}
        return {"type": kind, "user": person, "team": team, "api_app_id": APP_ID, "trigger_id": self.handouts.trigger()}
