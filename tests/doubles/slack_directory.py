"""Emulates the Web API methods that read a Slack workspace: channels, their members and history, people and groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.doubles.slack_streams import Refusal
from tests.doubles.slack_world import BOT_USER, Channel

if TYPE_CHECKING:
    from tests.doubles.slack import SlackDouble

Args = dict[str, Any]

LIMITED_PAGE_SIZE = 15
"""Messages in a page for an app distributed outside the Marketplace."""


class DirectoryMethods:
    """``conversations.*``, ``users.*`` and ``usergroups.list``."""

    def __init__(self, slack: SlackDouble) -> None:
        self._slack = slack
        self._world = slack.world
        self.methods: dict[str, Callable[[Args], dict[str, Any]]] = {
            "conversations.info": self._info,
            "conversations.members": self._members,
            "conversations.history": self._history,
            "conversations.open": self._open,
            "conversations.replies": self._replies,
            "users.info": self._user,
            "users.list": self._users,
            "users.conversations": self._own_channels,
            "usergroups.list": self._groups,
        }

    def _info(self, args: Args) -> dict[str, Any]:
        channel = self._world.channels.get(str(args.get("channel")))
        if channel is None or (channel.kind != "channel" and BOT_USER not in channel.members):
            raise Refusal("channel_not_found")
        return {"channel": channel.payload()}

    def _members(self, args: Args) -> dict[str, Any]:
        channel = self._world.channels[self._info(args)["channel"]["id"]]
        return _page(sorted(channel.members), "members", args, max_size=1000)

    def _own_channels(self, args: Args) -> dict[str, Any]:
        kinds = {"public_channel": "channel", "private_channel": "group"}
        types = {kinds[kind] for kind in str(args.get("types") or "public_channel").split(",")}
        own = [one for one in self._world.channels.values() if BOT_USER in one.members and one.kind in types]
        if args.get("exclude_archived") in (True, "1", "true"):
            own = [channel for channel in own if not channel.is_archived]
        return _page([channel.payload() for channel in own], "channels", args, max_size=999)

    def _history(self, args: Args) -> dict[str, Any]:
        channel = self._joined_channel(args)
        oldest, latest = float(args.get("oldest") or 0), float(args.get("latest") or "inf")
        found = [
            self._slack.payload_with_thread(message)
            for message in sorted(self._world.messages, key=lambda message: float(message.ts), reverse=True)
            if message.channel == channel.id
            and not (message.deleted or message.only_for)
            and message.thread_ts in (None, message.ts)
            and oldest < float(message.ts) < latest
        ]
        return _page(found, "messages", args, max_size=LIMITED_PAGE_SIZE if self._slack.distributed else 999)

    def _joined_channel(self, args: Args) -> Channel:
        channel = self._world.channels[self._info(args)["channel"]["id"]]
        if BOT_USER not in channel.members:
            raise Refusal("not_in_channel")
        return channel

    def _open(self, args: Args) -> dict[str, Any]:
        if args.get("users") not in self._world.users:
            raise Refusal("user_not_found", str(args.get("users")))
        return {"channel": {"id": self._world.direct(args["users"]).id}, "no_op": True, "already_open": True}

    def _replies(self, args: Args) -> dict[str, Any]:
        channel, ts = self._joined_channel(args).id, str(args.get("ts"))
        found = [self._slack.payload_with_thread(message) for message in self._world.thread(channel, ts)]
        if not found:
            raise Refusal("thread_not_found")
        oldest = str(args.get("oldest") or "0")
        latest = str(args.get("latest") or "9" * 20)
        found = [message for message in found if oldest <= message["ts"] < latest or message["ts"] == ts]
        if str(args.get("include_all_metadata")).lower() not in ("1", "true"):
            found = [{name: value for name, value in message.items() if name != "metadata"} for message in found]
        return _page(found, "messages", args, max_size=LIMITED_PAGE_SIZE if self._slack.distributed else 999)

    def _user(self, args: Args) -> dict[str, Any]:
        user = self._world.users.get(str(args.get("user")))
        if user is None:
            raise Refusal("user_not_found")
        return {"user": user.payload()}

    def _users(self, args: Args) -> dict[str, Any]:
        """Return the people of the workspace, with those of other organizations whom it shares a channel with."""
        return _page([user.payload() for user in self._world.users.values()], "members", args, max_size=1000)

    def _groups(self, _: Args) -> dict[str, Any]:
        return {"usergroups": self._world.groups}


def _page(found: list[Any], name: str, args: Args, *, max_size: int) -> dict[str, Any]:
    """Return one page of the results; the cursor of the next page is an index."""
    start, limit = int(args.get("cursor") or 0), min(int(args.get("limit") or 100), max_size)
    has_more = start + limit < len(found)
    cursor = {"next_cursor": str(start + limit) if has_more else ""}
    return {name: found[start : start + limit], "has_more": has_more, "response_metadata": cursor}
