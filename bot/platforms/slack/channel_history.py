"""Reads the history of a Slack channel as a document source, within Slack's rate limits.

https://docs.slack.dev/apis/web-api/rate-limits: ``conversations.history`` and ``.replies`` are tier 3. Apps distributed
outside the Marketplace may make one request a minute for 15 messages; the responses show which limit applies.
"""

from __future__ import annotations

import asyncio
import json
import re
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
from bot.platforms.slack import errors, payloads, user_messages, web_client
from bot.platforms.slack.bot_tokens import BotTokenSource
from bot.platforms.slack.message_text import UNKNOWN_GROUP
from bot.types.conversation import Author
from knowledge.errors import SourceError
from knowledge.parsing.chats import slack_content
from knowledge.parsing.chats.slack_messages import MENTION, NO_CONTENT
from knowledge.sources.chat_channel import ChannelSource, Entry, Post

PAGE_SIZE = 200
LIMITED_PAGE_SIZE = 15
"""Messages in a page if Slack limits the app to one request a minute."""
TIER_3_METHODS = frozenset({"conversations_history", "conversations_replies"})
TIER_3_INTERVAL = 60 / 50
"""Seconds between two calls of a tier 3 method."""
LIMITED_INTERVAL = 60.0
MAX_ATTEMPTS = 8
EXPORTED_FIELDS = ("ts", "thread_ts", "user", "username", "subtype", "bot_id")
FILE_FIELDS = ("name", "title", "plain_text", "preview_plain_text", "preview", "transcription")

GROUP = re.compile(r"<!subteam\^([A-Z0-9]+)>")
"""A mention of a user group by ID, without a name."""

Sleep = Callable[[float], Awaitable[None]]
Method = Callable[..., Awaitable[AsyncSlackResponse]]


def channel_source(
    settings: Settings,
    tokens: Callable[[aiohttp.ClientSession], BotTokenSource],
    channel_id: str,
    *,
    sleep: Sleep = asyncio.sleep,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> ChannelSource:
    """Return a source for the history of a channel, read with its workspace's token. Makes no call yet."""

    @asynccontextmanager
    async def open_reader() -> AsyncIterator[ChannelReader]:
        async with web_client.http_session() as session:
            client = web_client.WebClient(
                tokens(session),
                base_url=web_client.api_url(settings),
                timeout=web_client.TIMEOUT_SECONDS,
                session=session,
                retry_handlers=[AsyncConnectionErrorRetryHandler()],
            )
            yield await ChannelReader.open(client, PacedCalls(sleep), channel_id)

    return ChannelSource(f"slack:{channel_id}", open_reader, clock=clock)


class ChannelAccess:
    """Decides which channels of the workspace a user may ingest."""

    def __init__(self, client: AsyncWebClient, *, sleep: Sleep = asyncio.sleep) -> None:
        self._client = client
        self._call = PacedCalls(sleep)

    async def readable(self, channel_id: str, by: Author) -> ChatChannel:
        """Return the channel if the bot is in it and ``by`` may read it. Raises NotAllowed, UsageError."""
        if channel_id.startswith("D"):  # asking Slack about a direct message needs the scope im:read
            raise NotAllowed(user_messages.NO_DIRECT_MESSAGES)
        try:
            info = (await self._call(self._client.conversations_info, channel=channel_id))["channel"]
            if info.get("is_im") or info.get("is_mpim"):
                raise NotAllowed(user_messages.NO_DIRECT_MESSAGES)
            if not info.get("is_member"):
                raise UsageError(user_messages.invite_me_to(str(info.get("name") or channel_id)))
            is_public = bool(info.get("is_channel")) and not info.get("is_private")
            if not (is_public and await self._is_full_member(by)) and by.id not in await self._members(channel_id):
                raise NotAllowed(user_messages.NOT_A_MEMBER)
        except SourceError as error:
            raise UsageError(str(error)) from None
        return ChatChannel(channel_id, str(info.get("name") or channel_id), is_public)

    async def _is_full_member(self, by: Author) -> bool:
        """Return False for guests and users of other organizations: they see only the channels that they are in."""
        user = (await self._call(self._client.users_info, user=by.id))["user"]
        return not any(user.get(flag) for flag in ("is_restricted", "is_ultra_restricted", "is_stranger", "deleted"))

    async def _members(self, channel_id: str) -> set[str]:
        members: set[str] = set()
        cursor = ""
        while True:
            page = await self._call(self._client.conversations_members, channel=channel_id, limit=1000, cursor=cursor)
            members.update(page["members"])
            cursor = payloads.next_cursor(page)
            if not cursor:
                return members


@dataclass(slots=True)
class PacedCalls:
    """Calls Slack sequentially, tier 3 methods ``interval`` seconds apart, and waits out rate limits."""

    sleep: Sleep
    interval: float = TIER_3_INTERVAL
    _called: set[str] = field(default_factory=set)

    async def __call__(self, method: Method, **arguments: Any) -> Mapping[str, Any]:
        """Make the call and return Slack's response. Raises SourceError with a message that says what to do."""
        for _ in range(MAX_ATTEMPTS):
            name = method.__name__
            if name in self._called and name in TIER_3_METHODS:
                await self.sleep(self.interval)
            self._called.add(name)
            try:
                response = await method(**arguments)
            except SlackApiError as error:
                wait = errors.retry_after(error)
                if wait is None:
                    raise SourceError(_reason(error)) from None
                await self.sleep(wait)
            except ParleyError as error:
                raise SourceError(str(error)) from None
            except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
                raise SourceError(user_messages.unreachable(error, "Try again later.")) from None
            else:
                assert isinstance(response.data, dict), "the Web API returns JSON objects"
                return response.data
        raise SourceError(user_messages.STILL_RATE_LIMITED)

    def slow_down(self) -> None:
        """Continue with one request a minute."""
        self.interval = LIMITED_INTERVAL


@dataclass(slots=True)
class ChannelReader:
    """Reads the messages of one channel. Omits the bot's own messages: its answers are not evidence."""

    client: AsyncWebClient
    call: PacedCalls
    id: str
    name: str
    own_bot_id: str
    _profiles: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _groups: dict[str, str] | None = None

    @classmethod
    async def open(cls, client: AsyncWebClient, call: PacedCalls, channel_id: str) -> ChannelReader:
        """Return a reader for a channel that the bot is in. Raises SourceError."""
        identity = await call(client.auth_test)
        info = (await call(client.conversations_info, channel=channel_id))["channel"]
        name = str(info.get("name") or channel_id)
        if not info.get("is_member"):
            raise SourceError(user_messages.invite_me_to(name))
        return cls(client, call, channel_id, name, str(identity.get("bot_id") or ""))

    async def posts(self, *, after: datetime | None, before: datetime | None) -> AsyncIterator[Post]:
        """Yield the messages of the channel, newest first, without thread replies."""
        bounds = {
            "oldest": f"{after.timestamp() - 1e-6:.6f}" if after else "0",
            **({"latest": f"{before.timestamp():.6f}"} if before else {}),
        }
        async for message in self._pages(self.client.conversations_history, **bounds):
            if self._has_content(message):
                yield await self._post(message)

    async def replies(self, post: Post) -> tuple[Entry, ...]:
        """Return the replies in the thread of a post."""
        thread = self._pages(self.client.conversations_replies, ts=post.key)
        return tuple(
            [
                await self._entry(message)
                async for message in thread
                if message["ts"] != post.key and self._has_content(message)
            ]
        )

    def export(self, entries: Sequence[Entry]) -> bytes:
        """Return the entries in the format that ``knowledge.parsing.chats.slack_messages`` reads."""
        return json.dumps({"slack_channel": self.name, "messages": list(entries)}).encode()

    async def _pages(self, method: Method, **arguments: Any) -> AsyncIterator[dict[str, Any]]:
        cursor = ""
        while True:
            continuation = {"cursor": cursor} if cursor else {}
            page = await self.call(method, channel=self.id, limit=PAGE_SIZE, **arguments, **continuation)
            if page.get("has_more") and len(page["messages"]) <= LIMITED_PAGE_SIZE:
                self.call.slow_down()
            for message in page["messages"]:
                yield message
            cursor = payloads.next_cursor(page)
            if not cursor:
                return

    def _has_content(self, message: Mapping[str, Any]) -> bool:
        is_own = self.own_bot_id and message.get("bot_id") == self.own_bot_id
        return not is_own and message.get("subtype") not in NO_CONTENT

    async def _post(self, message: Mapping[str, Any]) -> Post:
        starts_thread = bool(message.get("reply_count")) and message.get("thread_ts") == message["ts"]
        thread_state = f"{message['reply_count']} {message.get('latest_reply')}" if starts_thread else ""
        last_reply_at = float(message.get("latest_reply") or 0) if starts_thread else 0.0
        return Post(message["ts"], float(message["ts"]), await self._entry(message), thread_state, last_reply_at)

    async def _entry(self, message: Mapping[str, Any]) -> Entry:
        """Return the message as a Slack export has it, with the names of the users in it."""
        entry = {key: message[key] for key in EXPORTED_FIELDS if message.get(key)}
        if message.get("user"):
            entry["user_profile"] = await self._profile(message["user"])
        if message.get("bot_profile"):
            entry["bot_profile"] = {"name": message["bot_profile"].get("name")}
        if message.get("files"):
            entry["files"] = [{key: file[key] for key in FILE_FIELDS if file.get(key)} for file in message["files"]]
        text = await self._with_group_names("\n".join(slack_content.lines({**message, "files": []})))
        profiles = {user: await self._profile(user) for user in set(MENTION.findall(text))}
        entry["text"] = MENTION.sub(
            lambda mention: f"<@{mention[1]}|{_display_name(profiles[mention[1]]) or mention[1]}>", text
        )
        return entry

    async def _with_group_names(self, text: str) -> str:
        """Name the user groups in a text; they keep their IDs if Slack does not name them."""
        if not GROUP.search(text):
            return text
        if self._groups is None:
            try:
                found = (await self.call(self.client.usergroups_list))["usergroups"]
            except SourceError:
                found = []
            self._groups = {group["id"]: group.get("handle") or group.get("name") for group in found}
        groups = self._groups
        return GROUP.sub(lambda group: f"<!subteam^{group[1]}|@{groups.get(group[1]) or UNKNOWN_GROUP}>", text)

    async def _profile(self, user: str) -> Mapping[str, Any]:
        """Return the names of a user; empty if Slack does not return them."""
        if user not in self._profiles:
            try:
                info = (await self.call(self.client.users_info, user=user))["user"]
            except SourceError:
                info = {}
            profile = {**info, **(info.get("profile") or {})}
            names = {key: profile[key] for key in ("display_name", "real_name") if profile.get(key)}
            self._profiles[user] = names or ({"real_name": profile["name"]} if profile.get("name") else {})
        return self._profiles[user]


def _display_name(profile: Mapping[str, Any]) -> str:
    return str(profile.get("display_name") or profile.get("real_name") or "")


def _reason(error: SlackApiError) -> str:
    code = errors.code(error)
    if code == "missing_scope":
        return user_messages.missing_scope(str(error.response.get("needed") or ""))
    if code == "not_in_channel":
        return user_messages.INVITE_ME
    if code == "channel_not_found":
        return user_messages.CHANNEL_NOT_FOUND
    return user_messages.history_refused(code)
