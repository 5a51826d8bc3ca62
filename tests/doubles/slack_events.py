"""Sends the events of the Slack double to the app: messages, mentions, changes, previews and interactions."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from tests.doubles import slack_content
from tests.doubles.slack_inspection import Inspection
from tests.doubles.slack_socket import Delivery, SocketMode
from tests.doubles.slack_temporary_resources import TemporaryResources
from tests.doubles.slack_world import APP_ID, BOT_USER, TEAM, Message, World

SUBSCRIPTIONS = {"channel": "message.channels", "group": "message.groups", "im": "message.im", "mpim": "message.mpim"}


class Events(Inspection):
    """Sends what the app subscribed to. ``subscribed`` are the names of the events in its manifest."""

    temporary: TemporaryResources

    def __init__(self, world: World, socket: SocketMode, subscribed: Collection[str]) -> None:
        super().__init__(world, socket)
        self.events = set(subscribed)

    @property
    def bot(self) -> str:
        """A mention of the bot, as Slack encodes it."""
        return f"<@{BOT_USER}>"

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
        channel = self.channel(event["channel"] if "channel" in event else event["item"]["channel"])
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
