"""What people do in the Slack double: they write, edit, forward, click, run commands and use shortcuts."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Collection, Sequence
from typing import Any

from tests.doubles import slack_blocks, slack_content
from tests.doubles.slack_events import Events
from tests.doubles.slack_socket import Delivery, SocketMode
from tests.doubles.slack_world import APP_ID, TEAM, Channel, Message, User, World


class People(Events):
    """The actions of people. ``commands`` are the slash commands in the app's manifest."""

    def __init__(
        self, world: World, socket: SocketMode, subscribed: Collection[str], commands: Collection[str]
    ) -> None:
        super().__init__(world, socket, subscribed)
        self.commands = set(commands)
        self._ticks = itertools.count(1)

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
        """Edit a user's message. If it mentions the bot now, Slack sends ``app_mention`` again, with the second."""
        before = message.payload()
        message.versions.append(self.world.version(text))
        second = self.world.next_ts().partition(".")[0]
        edited = {"edited": {"user": message.user, "ts": f"{second}.000000"}}
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

    async def react(self, message: Message, user: str, emoji: str, *, removed: bool = False) -> Delivery:
        """Add an emoji to a message, or remove it. The event names no team, like those of Slack."""
        event = {
            "type": "reaction_removed" if removed else "reaction_added",
            "user": self.user_id(user),
            "reaction": emoji,
            "item_user": message.user,
            "item": {"type": "message", "channel": message.channel, "ts": message.ts},
            "event_ts": self.world.next_ts(),
        }
        return self._event(event)

    async def press_native_stop(self, message: Message, user: str) -> Delivery:
        """Press the stop button that Slack itself shows while an agent works."""
        event = {"type": "agent_session_stopped", "channel": message.channel, "user": self.user_id(user)}
        return self._event(event | {"thread_ts": message.thread_ts or message.ts, "event_ts": self.world.next_ts()})
