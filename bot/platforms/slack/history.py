"""A Slack channel as a source of documents: its history through the Web API, at the pace that Slack allows.

https://docs.slack.dev/apis/web-api/rate-limits: ``conversations.history`` and ``.replies`` are tier 3; for apps that
are distributed outside the Marketplace they are one request a minute with 15 messages, which shows in the answers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.builtin_async_handlers import AsyncConnectionErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.commands.base import ChatChannel
from bot.config import Settings
from bot.errors import NotAllowed, ParleyError, UsageError
from bot.platforms.slack import connection, errors
from bot.platforms.slack.tokens import Tokens
from bot.types.conversation import Author
from knowledge.errors import SourceError
from knowledge.parsing.slack_messages import MENTION, NO_CONTENT
from knowledge.sources.chat_channel import ChannelSource, Entry, Post

PER_PAGE = 200
CLIPPED = 15
"""Messages a page where the app is held to one request a minute."""
TIER_3 = frozenset({"conversations_history", "conversations_replies"})
PAUSE = 60 / 50
"""Seconds between two calls of a method of tier 3."""
SLOW_PAUSE = 60.0
ATTEMPTS = 8
KEPT = ("ts", "thread_ts", "user", "username", "subtype", "text")

Sleep = Callable[[float], Awaitable[None]]
Method = Callable[..., Awaitable[AsyncSlackResponse]]


def source(
    settings: Settings,
    tokens: Callable[[aiohttp.ClientSession], Tokens],
    channel_id: str,
    *,
    sleep: Sleep = asyncio.sleep,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> ChannelSource:
    """The history of a channel, read with the tokens of its workspace. Nothing is asked yet."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Channel]:
        async with connection.pool() as session:
            client = connection.WebClient(
                tokens(session),
                base_url=connection.api_url(settings),
                timeout=connection.TIMEOUT_SECONDS,
                session=session,
                retry_handlers=[AsyncConnectionErrorRetryHandler()],
            )
            yield await Channel.entered(client, Calls(sleep), channel_id)

    return ChannelSource(f"slack:{channel_id}", opened, clock=clock)


class Channels:
    """Which channels of the workspace somebody may have taken in."""

    def __init__(self, client: AsyncWebClient, *, sleep: Sleep = asyncio.sleep) -> None:
        self._client = client
        self._calls = Calls(sleep)

    async def readable(self, channel_id: str, by: Author) -> ChatChannel:
        """The channel, if the bot is in it and ``by`` may read it. Raises NotAllowed, UsageError."""
        try:
            info = (await self._calls(self._client.conversations_info, channel=channel_id))["channel"]
            if info.get("is_im") or info.get("is_mpim"):
                raise NotAllowed("Direct messages are not taken in.")
            if not info.get("is_member"):
                raise UsageError(_invite(str(info.get("name") or channel_id)))
            public = bool(info.get("is_channel")) and not info.get("is_private")
            if not (public and await self._is_full_member(by)) and by.id not in await self._members(channel_id):
                raise NotAllowed("You are not in that channel, so you cannot have it taken in.")
        except SourceError as error:
            raise UsageError(str(error)) from None
        return ChatChannel(channel_id, str(info.get("name") or channel_id), public)

    async def _is_full_member(self, by: Author) -> bool:
        """Guests see only the channels that they are in, and so do people of other organizations."""
        user = (await self._calls(self._client.users_info, user=by.id))["user"]
        return not any(user.get(flag) for flag in ("is_restricted", "is_ultra_restricted", "is_stranger", "deleted"))

    async def _members(self, channel_id: str) -> set[str]:
        members: set[str] = set()
        cursor = ""
        while True:
            page = await self._calls(self._client.conversations_members, channel=channel_id, limit=1000, cursor=cursor)
            members.update(page["members"])
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return members


@dataclass(slots=True)
class Calls:
    """One call after the other, those of tier 3 ``pause`` seconds apart; where Slack asks to wait, it is waited for."""

    sleep: Sleep
    pause: float = PAUSE
    _begun: set[str] = field(default_factory=set)

    async def __call__(self, method: Method, **arguments: Any) -> Mapping[str, Any]:
        """What Slack answers. Raises SourceError, in words that say what to do."""
        for _ in range(ATTEMPTS):
            name = method.__name__
            if name in self._begun and name in TIER_3:
                await self.sleep(self.pause)
            self._begun.add(name)
            try:
                answer = await method(**arguments)
            except SlackApiError as error:
                wait = errors.retry_after(error)
                if wait is None:
                    raise SourceError(_refused(error)) from None
                await self.sleep(wait)
            except ParleyError as error:
                raise SourceError(str(error)) from None
            except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
                raise SourceError(f"Slack cannot be reached ({type(error).__name__}); try again later.") from None
            else:
                assert isinstance(answer.data, dict), "the Web API answers with JSON"
                return answer.data
        raise SourceError("Slack keeps asking to wait; refresh the channel later, it goes on where it stopped.")

    def slow_down(self) -> None:
        """Go on with one request a minute."""
        self.pause = SLOW_PAUSE


@dataclass(slots=True)
class Channel:
    """An open channel. What the bot itself wrote is left out: answers are no evidence."""

    client: AsyncWebClient
    calls: Calls
    id: str
    name: str
    own_bot: str
    _people: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    async def entered(cls, client: AsyncWebClient, calls: Calls, channel_id: str) -> Channel:
        """The channel, if the bot may read it. Raises SourceError."""
        me = await calls(client.auth_test)
        info = (await calls(client.conversations_info, channel=channel_id))["channel"]
        name = str(info.get("name") or channel_id)
        if not info.get("is_member"):
            raise SourceError(_invite(name))
        return cls(client, calls, channel_id, name, str(me.get("bot_id") or ""))

    async def posts(self, *, after: datetime | None, before: datetime | None) -> AsyncIterator[Post]:
        """What stands in the channel, newest first."""
        bounds = {
            "oldest": f"{after.timestamp() - 1e-6:.6f}" if after else "0",
            **({"latest": f"{before.timestamp():.6f}"} if before else {}),
        }
        async for message in self._pages(self.client.conversations_history, **bounds):
            if self._is_said(message):
                yield await self._post(message)

    async def replies(self, post: Post) -> tuple[Entry, ...]:
        """The thread of a post, without the post."""
        found = self._pages(self.client.conversations_replies, ts=post.key)
        return tuple(
            [
                await self._entry(message)
                async for message in found
                if message["ts"] != post.key and self._is_said(message)
            ]
        )

    def export(self, entries: Sequence[Entry]) -> bytes:
        """In the form of ``knowledge.parsing.slack_messages``."""
        return json.dumps({"slack_channel": self.name, "messages": list(entries)}).encode()

    async def _pages(self, method: Method, **arguments: Any) -> AsyncIterator[dict[str, Any]]:
        cursor = ""
        while True:
            more = {"cursor": cursor} if cursor else {}
            page = await self.calls(method, channel=self.id, limit=PER_PAGE, **arguments, **more)
            if page.get("has_more") and len(page["messages"]) <= CLIPPED:
                self.calls.slow_down()
            for message in page["messages"]:
                yield message
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return

    def _is_said(self, message: Mapping[str, Any]) -> bool:
        own = self.own_bot and message.get("bot_id") == self.own_bot
        return not own and message.get("subtype") not in NO_CONTENT

    async def _post(self, message: Mapping[str, Any]) -> Post:
        begins = bool(message.get("reply_count")) and message.get("thread_ts") == message["ts"]
        state = f"{message['reply_count']} {message.get('latest_reply')}" if begins else ""
        lively = float(message.get("latest_reply") or 0) if begins else 0.0
        return Post(message["ts"], float(message["ts"]), await self._entry(message), state, lively)

    async def _entry(self, message: Mapping[str, Any]) -> Entry:
        """The message as an export has it, with the names of the people in it."""
        entry = {key: message[key] for key in KEPT if message.get(key)}
        if message.get("user"):
            entry["user_profile"] = await self._profile(message["user"])
        if message.get("files"):
            entry["files"] = [{"name": file["name"]} for file in message["files"] if file.get("name")]
        text = str(message.get("text") or "")
        names = {user: await self._profile(user) for user in set(MENTION.findall(text))}
        entry["text"] = MENTION.sub(lambda found: f"<@{found[1]}|{_shown(names[found[1]]) or found[1]}>", text)
        return entry

    async def _profile(self, user: str) -> Mapping[str, Any]:
        """The names of a person; none where Slack does not tell them."""
        if user not in self._people:
            try:
                found = (await self.calls(self.client.users_info, user=user))["user"]
            except SourceError:
                found = {}
            profile = {**found, **(found.get("profile") or {})}
            names = {key: profile[key] for key in ("display_name", "real_name") if profile.get(key)}
            self._people[user] = names or ({"real_name": profile["name"]} if profile.get("name") else {})
        return self._people[user]


def _shown(profile: Mapping[str, Any]) -> str:
    return str(profile.get("display_name") or profile.get("real_name") or "")


def _invite(name: str) -> str:
    return f"I am not in #{name}; invite me there with /invite, then try again."


def _refused(error: SlackApiError) -> str:
    code = errors.code(error)
    if code == "missing_scope":
        needed = error.response.get("needed") or "a permission"
        return (
            f"The Slack app lacks {needed}; run `parley manifest slack`, update the app with it and install it again."
        )
    if code == "not_in_channel":
        return "I am not in that channel; invite me there with /invite, then try again."
    if code == "channel_not_found":
        return "There is no such channel, or it is private and I am not in it; invite me there with /invite."
    return f"Slack refused it ({code}): {errors.GONE.get(code, 'see the log, and try again')}."
