"""Emulates a Slack workspace on loopback: Web API, Socket Mode, files and response URLs, with Slack's rules.

    async with SlackDouble() as slack:
        question = await slack.say("general", "alice", f"{slack.bot} how long is the notice period?")
        await slack.until(lambda: slack.replies(question))
        print(slack.transcript())

``violations`` collects what the bot does against the rules. Leaving the context fails if there are any.
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

from tests.doubles import slack_blocks, slack_content
from tests.doubles.slack_api import SCOPES, WebApi
from tests.doubles.slack_socket import REDELIVERY_SECONDS, Delivery, SocketMode
from tests.doubles.slack_temporary_resources import TemporaryResources
from tests.doubles.slack_world import APP_ID, BOT_USER, TEAM, Channel, Message, User, World

_METHOD_SCOPES = frozenset(scope for scope in SCOPES.values() if scope and scope != "connections:write")
ALL_SCOPES = _METHOD_SCOPES | {"files:read", "groups:history", "groups:read"}
EVENTS = frozenset({"app_mention", "message.channels", "message.groups", "message.im", "message.mpim"})
SUBSCRIPTIONS = {"channel": "message.channels", "group": "message.groups", "im": "message.im", "mpim": "message.mpim"}


class SlackDouble:
    """A workspace with alice, bob and ada (an admin), and the channels general, secret, random and old.

    ``pace``: how many Slack seconds pass in a real second, for rate limits and redelivery. ``events``: the events that
    the app subscribed to. ``commands``: its slash commands. ``redelivery``: Slack seconds between delivery attempts.
    ``distributed``: the app is distributed outside the Marketplace, so Slack limits its reading of channel history.
    ``streams``: whether the workspace has native streams. ``stream_seconds``: Slack seconds until a stream ends.
    ``clock`` returns the seconds for rate limits.
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
        self.tells_scopes = True
        self.pace = pace
        self.distributed = distributed
        self.streams, self.stream_seconds = streams, stream_seconds
        self.bot_token, self.app_token = bot_token, app_token
        self.world = World(clock)
        self.violations: list[str] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.refused: list[str] = []
        """Methods that were rate limited."""
        self.edit_window_closed = False
        """Whether the workspace does not allow edits any more."""
        self.views: list[dict[str, Any]] = []
        self.statuses: list[str] = []
        self.uploaded: dict[str, bytes] = {}
        self.base = ""
        self.socket = SocketMode(ack_seconds=ack_seconds, pace=pace, violations=self.violations, redelivery=redelivery)
        self.temporary = TemporaryResources(self)
        self._api = WebApi(self)
        self._ticks = itertools.count(1)
        self._errors: dict[str, list[str]] = defaultdict(list)
        self._retry_afters: dict[str, list[int]] = defaultdict(list)
        self._lost_responses: dict[str, int] = defaultdict(int)

    # --- lifecycle

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/api/{method}", self._api.serve)
        app.router.add_get("/link/", self.socket.serve)
        app.router.add_post("/upload/v1/{file}", self._api.upload)
        app.router.add_get("/files-pri/{file}/{name}", self.temporary.file)
        app.router.add_post("/commands/{id}", self.temporary.responded)
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
        """Answer a Web API call that arrived at another address."""
        return await self._api.serve(request)

    @property
    def api_url(self) -> str:
        """The value for SLACK_API_URL."""
        return f"{self.base}/api/"

    @property
    def bot(self) -> str:
        """A mention of the bot, as Slack encodes it."""
        return f"<@{BOT_USER}>"

    # --- actions of users

    async def say(
        self,
        channel: str,
        user: str,
        text: str,
        thread_ts: str | None = None,
        *,
        files: Sequence[tuple[str, bytes, str]] = (),
        shared: Sequence[dict[str, Any]] = (),
        forwards: Message | None = None,
        subtype: str | None = None,
    ) -> Message:
        """Post a user's message. A mention is sent as two events, and a link adds an unfurl event.

        ``shared`` are files that exist already, in the form of events; ``forwards`` is a message to share.
        """
        target, author = self.channel(channel), self.user_id(user)
        version = self.world.version(text)
        message = Message(target.id, self.world.next_ts(), author, [version], thread_ts)
        message.team = self.world.users[author].team_id
        assert author in target.members, f"{user} is not in {channel}"
        new_files = [self.temporary.share(name, data, content_type) for name, data, content_type in files]
        message.files = [*new_files, *shared]
        if forwards is not None:
            names = self.world.users[forwards.user].name, self.channel(forwards.channel).name
            message.attachments = [slack_content.forwarded(forwards, *names)]
        self.world.add(message)
        more = {"subtype": subtype or "file_share"} if message.files or subtype else {}
        self.announce(message, **more)
        if re.search(r"<https?://", text):
            self._unfurl(message)
        await asyncio.sleep(0)
        return message

    def add_person(self, name: str, *channels: str, **more: Any) -> User:
        """Add a person to channels; ``more`` is what ``User`` takes. Outsiders join shared channels only."""
        user = User(f"U0{name.upper()}", name, **more)
        self.world.users[user.id] = user
        for channel in channels:
            joined = self.channel(channel)
            assert user.team_id == TEAM or user.team_id in joined.shared_with, f"#{joined.name} is not shared"
            joined.members.add(user.id)
        self.world.direct(user.id)
        return user

    def share_channel(self, name: str, *teams: str, owner: str = TEAM) -> Channel:
        """Share a channel with other organizations, as Slack Connect does; ``owner`` is the one that it belongs to."""
        channel = self.channel(name)
        channel.shared_with, channel.owner = teams, owner
        return channel

    def add_past(
        self, channel: str, user: str, text: str, at: float, thread_ts: str | None = None, **more: Any
    ) -> Message:
        """Add a message of a past moment ``at`` (Unix time) without sending an event."""
        ts = f"{at + next(self._ticks) / 1e6:.6f}"
        message = Message(self.channel(channel).id, ts, self.user_id(user), [self.world.version(text)], thread_ts)
        message.team = self.world.users[message.user].team_id
        for name, value in more.items():
            setattr(message, name, value)
        return self.world.add(message)

    async def dm(self, user: str, text: str, thread_ts: str | None = None, **more: Any) -> Message:
        """Post a direct message to the bot."""
        return await self.say(self.world.direct(self.user_id(user)).id, user, text, thread_ts, **more)

    async def edit(self, message: Message, text: str) -> None:
        """Edit a user's message. If it mentions the bot now, Slack sends ``app_mention`` again, with ``edited``."""
        before = message.payload()
        message.versions.append(self.world.version(text))
        edited = {"edited": {"user": message.user, "ts": message.ts}}
        self._changed(message, before, {**message.payload(), **edited})
        self._announce_mention(message, **edited)

    async def delete(self, message: Message) -> None:
        """Delete a user's message."""
        message.deleted = True
        event = {"subtype": "message_deleted", "hidden": True, "deleted_ts": message.ts}
        self._message_event(message, event | {"previous_message": message.payload()})

    def redeliver(self, message: Message) -> None:
        """Deliver a message again, with a new event ID and no sign of a retry."""
        self.announce(message)

    async def command(self, name: str, text: str, user: str, channel: str) -> Delivery:
        """Run a slash command. Slack does not support them inside threads."""
        assert name in self.commands, f"{name} is not a command of the app's manifest"
        target, author = self.channel(channel), self.user_id(user)
        team = self.world.users[author].team_id
        assert team == TEAM, f"Slack offers {name} only to people of a workspace with the app, not to {user}"
        body = {
            "command": name,
            "text": text,
            "team_id": TEAM,
            "channel_id": target.id,
            "channel_name": target.name,
            "user_id": author,
            "user_name": user,
            "api_app_id": APP_ID,
            "response_url": self.temporary.response_url(target.id, author),
            "trigger_id": self.temporary.trigger(),
        }
        return self.socket.send("slash_commands", body)

    async def click(self, action: str, message: Message, user: str) -> Delivery:
        """Click a button of the message."""
        return self.socket.send("interactive", self.click_payload(action, message, user))

    def click_payload(self, action: str, message: Message, user: str) -> dict[str, Any]:
        """Return the payload of a click on a button of the message."""
        buttons = slack_blocks.buttons(message.now.blocks)
        assert action in buttons, f"the message offers {list(buttons)}, not {action}"
        author = self.user_id(user)
        button = {**buttons[action], "action_ts": self.world.next_ts()}
        container = {"type": "message", "message_ts": message.ts, "channel_id": message.channel}
        return self._interaction("block_actions", author) | {
            "container": container | {"thread_ts": message.thread_ts},
            "channel": {"id": message.channel, "name": self.channel(message.channel).name},
            **({} if message.only_for else {"message": message.payload()}),
            "actions": [button],
            "response_url": self.temporary.response_url(message.channel, author),
        }

    async def use_shortcut(self, callback_id: str, message: Message, user: str) -> Delivery:
        """Use a message shortcut."""
        author = self.user_id(user)
        body = self._interaction("message_action", author) | {
            "callback_id": callback_id,
            "message_ts": message.ts,
            "channel": {"id": message.channel, "name": self.channel(message.channel).name},
            "message": message.payload(),
            "response_url": self.temporary.response_url(message.channel, author),
        }
        return self.socket.send("interactive", body)

    async def submit(self, view: dict[str, Any], values: dict[str, dict[str, str]], user: str) -> Delivery:
        """Submit a modal; ``values`` are texts by block and action."""
        input_values = {
            block: {action: {"type": "plain_text_input", "value": value} for action, value in actions.items()}
            for block, actions in values.items()
        }
        body = self._interaction("view_submission", self.user_id(user))
        return self.socket.send("interactive", body | {"view": {**view, "state": {"values": input_values}}})

    async def press_native_stop(self, message: Message, user: str) -> Delivery:
        """Press the stop button that Slack itself shows while an agent works."""
        event = {"type": "agent_session_stopped", "channel": message.channel, "user": self.user_id(user)}
        return self._event(event | {"thread_ts": message.thread_ts or message.ts, "event_ts": self.world.next_ts()})

    # --- inspection

    def channel(self, name: str) -> Channel:
        """Return a channel by ID or name."""
        channels = self.world.channels
        by_name = (channel for channel in channels.values() if channel.name == name)
        return channels[name] if name in channels else next(by_name)

    def user_id(self, name: str) -> str:
        """Return a user's ID by ID or name."""
        users = self.world.users
        return name if name in users else next(user.id for user in users.values() if user.name == name)

    def messages(self, channel: str, thread_ts: str | None = None) -> list[Message]:
        """Return the visible messages of a channel, or of one of its threads."""
        target = self.channel(channel)
        if thread_ts is not None:
            return self.world.thread(target.id, thread_ts)
        in_channel = (message for message in self.world.messages if message.channel == target.id)
        return [message for message in in_channel if not (message.deleted or message.only_for)]

    def payload_with_thread(self, message: Message) -> dict[str, Any]:
        """Return a message's payload as channel history returns it, with the state of its thread."""
        replies = [reply for reply in self.world.thread(message.channel, message.ts) if reply.ts != message.ts]
        if not replies:
            return message.payload()
        latest = max(reply.ts for reply in replies)
        return message.payload() | {"thread_ts": message.ts, "reply_count": len(replies), "latest_reply": latest}

    def replies(self, message: Message) -> list[Message]:
        """Return the bot's replies in the thread of a message."""
        thread = self.world.thread(message.channel, message.thread_ts or message.ts)
        return [reply for reply in thread if reply.bot_id and reply.ts > message.ts]

    def ephemeral_texts(self, user: str) -> list[str]:
        """Return the ephemeral messages that the user saw, oldest first."""
        author = self.user_id(user)
        return [message.shown for message in self.world.messages if message.only_for == author]

    async def until(self, condition: Callable[[], object], *, timeout: float = 120.0) -> None:
        """Wait until the condition holds; fail with the transcript after ``timeout`` seconds."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, (
                f"the condition never held; the transcript:\n{self.transcript(versions=True)}"
            )
            await asyncio.sleep(0.01)

    async def settled(self) -> None:
        """Wait until every delivery so far is acknowledged."""
        await self.until(lambda: all(delivery.acked.is_set() for delivery in self.socket.deliveries))

    def transcript(self, *, versions: bool = False) -> str:
        """Return the conversation as text; with ``versions``, each edit with its time."""
        lines = []
        for message in self.world.messages:
            channel = self.world.channels[message.channel].name
            author = self.world.users[message.user].name
            note = f" (only {self.world.users[message.only_for].name} sees this)" if message.only_for else ""
            note += " (deleted)" if message.deleted else ""
            for version in message.versions if versions else message.versions[-1:]:
                text = version.shown.replace("\n", "\n    ")
                buttons = f"\n    {' '.join(f'[{name}]' for name in version.buttons)}" if version.buttons else ""
                depth = " > thread" if message.thread_ts else ""
                lines.append(f"{version.at:6.2f}s #{channel}{depth} {author}{note}: {text}{buttons}")
        return "\n".join(lines)

    # --- injected faults

    def fail_next(self, method: str, error: str) -> None:
        """Let the next call of the method return this error."""
        self._errors[method].append(error)

    def limit_next(self, method: str, seconds: int) -> None:
        """Let the next call of the method return 429 with this Retry-After."""
        self._retry_afters[method].append(seconds)

    def end_stream(self, message: Message) -> None:
        """End the stream of a message on Slack's side."""
        assert message.stream is not None
        message.stream.stopped = True

    def is_streaming(self, message: Message) -> bool:
        """Return whether the message is an open stream."""
        return self._api.streams.is_open(message)

    def lose_next(self, method: str) -> None:
        """Execute the next call of the method, then break the connection before the response."""
        self._lost_responses[method] += 1

    def scripted_loss(self, method: str) -> bool:
        """Return whether to lose this response, once for each ``lose_next``."""
        self._lost_responses[method] -= 1
        return self._lost_responses[method] >= 0

    def scripted_error(self, method: str) -> str | None:
        """Return the next injected error, once."""
        return self._errors[method].pop(0) if self._errors[method] else None

    def scripted_wait(self, method: str) -> int | None:
        """Return the next injected Retry-After, once."""
        return self._retry_afters[method].pop(0) if self._retry_afters[method] else None

    # --- events

    def announce(self, message: Message, **more: Any) -> None:
        """Send the events of a new message: ``message``, and for a mention in a channel also ``app_mention``."""
        extra = {"subtype": "file_share"} if message.files and not message.bot_id else {}
        self._message_event(message, message.payload() | extra | more)
        self._announce_mention(message)

    def _announce_mention(self, message: Message, **more: Any) -> None:
        if self.bot in message.now.text and not message.bot_id and not message.channel.startswith("D"):
            event = {"type": "app_mention", "channel": message.channel, "event_ts": message.ts}
            self._event({**message.payload(), **event, **more})

    def _message_event(self, message: Message, body: dict[str, Any]) -> None:
        channel_type = self.channel(message.channel).kind
        ts = self.world.next_ts() if "subtype" in body and body.get("hidden") else message.ts
        event = {"type": "message", "ts": ts, **body, "channel": message.channel, "event_ts": ts}
        self._event(event | {"channel_type": channel_type})

    def _event(self, event: dict[str, Any]) -> Delivery:
        name = SUBSCRIPTIONS[event["channel_type"]] if event["type"] == "message" else event["type"]
        channel = self.channel(event["channel"])
        body = {
            "type": "event_callback",
            "team_id": channel.owner if channel.owner != TEAM else event.get("user_team") or TEAM,
            "is_ext_shared_channel": bool(channel.shared_with),
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

    async def show_linked(self, message: Message, linked: Message) -> None:
        """Show a message below another that has its link, as Slack does some moments after the link was posted."""
        before = message.payload()
        names = self.world.users[linked.user].name, self.channel(linked.channel).name
        message.attachments = [{**slack_content.forwarded(linked, *names), "is_share": False}]
        self._changed(message, before, message.payload())

    async def transcribe(self, message: Message, transcript: str) -> None:
        """Finish the transcript of a voice clip; Slack sends the message again."""
        before = message.payload()
        message.files = [slack_content.voice_clip(file, transcript) for file in message.files]
        self._changed(message, before, message.payload())

    def _changed(self, message: Message, before: dict[str, Any], after: dict[str, Any]) -> None:
        change = {"subtype": "message_changed", "hidden": True, "message": after, "previous_message": before}
        self._message_event(message, change)

    def _interaction(self, kind: str, user: str) -> dict[str, Any]:
        person = self.world.users[user]
        author = {"id": user, "username": person.name, "team_id": person.team_id}
        # The workspace of the person who acts, which need not be the one that installed the app.
        team = {"id": person.team_id, "domain": person.team_id.lower()}
        return {
            "type": kind,
            "user": author,
            "team": team,
            "api_app_id": APP_ID,
            "trigger_id": self.temporary.trigger(),
        }
