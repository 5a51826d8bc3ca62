"""Reads the context of a question in Slack: its attachments and the earlier messages of its thread."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import ParleyError, for_operator
from bot.platforms.slack import errors, message_text, payloads
from bot.platforms.slack.name_directory import NameDirectory
from bot.platforms.slack.shared_files import SharedFiles
from bot.platforms.slack.users import UserDirectory
from bot.types.conversation import StoredAttachment, ThreadAbove

log = logging.getLogger(__name__)

PAGE_SIZE = 999
"""The most messages that Slack returns at once. It returns a thread from its first message on."""
MAX_MESSAGES = 60
"""Messages kept of a long thread: the first one, and the last ones before the question."""
MESSAGE_CHARS = 2_000
LAST_TIMEOUT_SECONDS = 1.5
"""The message above a mention is read before the acknowledgment, which Slack expects within 3 seconds."""
TIMEOUT_SECONDS = 20.0
"""Slack limits apps distributed outside the Marketplace to one page a minute. Those answers omit the thread."""


class ThreadContext:
    """Reads attachments and threads. ``client`` must wait out HTTP 429 responses."""

    def __init__(
        self,
        client: AsyncWebClient,
        files: SharedFiles,
        users: UserDirectory,
        names: NameDirectory,
        *,
        own_bot_id: Callable[[], Awaitable[str]],
    ) -> None:
        self.client = client
        self._files = files
        self._users = users
        self._names = names
        self._own_bot_id = own_bot_id

    async def fetch(self, file: StoredAttachment) -> bytes:
        """Return the content of an attached file. Raises UsageError, SurfaceError."""
        return await self._files.read(file.ref, file.name, file.content_type)

    async def above(self, channel_id: str, thread_ts: str, before: str) -> ThreadAbove | None:
        """Return what users and other bots wrote in the thread before the message ``before``.

        Raises SurfaceError, TimeoutError.
        """
        async with asyncio.timeout(TIMEOUT_SECONDS):
            messages = await self._earlier_messages(channel_id, thread_ts, before)
            if not messages:
                return None
            lines = [f"{await self.author_name(message)}: {await self.text(message)}" for message in messages]
        user_ids = dict.fromkeys(str(message["user"]) for message in messages if message.get("user"))
        return ThreadAbove("\n".join(lines), tuple(user_ids))

    async def last_above(self, channel_id: str, thread_ts: str, before: str) -> str:
        """Return the last message of a thread before the message ``before``, without its author.

        Empty if it is the bot's own, or if Slack does not return it soon. Never raises for Slack errors.
        """
        try:
            async with asyncio.timeout(LAST_TIMEOUT_SECONDS):
                messages = [one async for one in self.thread(channel_id, thread_ts, before)]
                earlier = [one for one in messages if float(one.get("ts") or 0) < float(before)]
                is_context = bool(earlier) and _is_context(earlier[-1], before, await self._own_bot_id())
                return await self.text(earlier[-1]) if is_context else ""
        except (ParleyError, TimeoutError) as error:
            log.info("The message above %s could not be read: %s", before, for_operator(error))
            return ""

    async def thread(self, channel_id: str, thread_ts: str, before: str) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the messages of a thread before ``before``, from its first one on. Raises SurfaceError."""
        cursor = ""
        while True:
            with errors.translated():
                page = await self.client.conversations_replies(
                    channel=channel_id, ts=thread_ts, latest=before, limit=PAGE_SIZE, cursor=cursor or None
                )
            for message in page.get("messages") or ():
                yield message
            cursor = payloads.next_cursor(page)
            if not cursor:
                return

    async def _earlier_messages(self, channel_id: str, thread_ts: str, before: str) -> list[Mapping[str, Any]]:
        """Return the thread's first message and the last ones before the question; only those that are context."""
        first: list[Mapping[str, Any]] = []
        last: deque[Mapping[str, Any]] = deque(maxlen=MAX_MESSAGES - 1)
        own_bot_id = await self._own_bot_id()
        async for message in self.thread(channel_id, thread_ts, before):
            if _is_context(message, before, own_bot_id):
                (first if message.get("ts") == thread_ts else last).append(message)
        return [*first[:1], *last]

    async def is_context(self, message: Mapping[str, Any], before: str) -> bool:
        """Return whether people or other bots wrote the message before ``before``."""
        return _is_context(message, before, await self._own_bot_id())

    async def text(self, message: Mapping[str, Any]) -> str:
        """Return what a message says, with names in place of IDs."""
        return (await self._names.readable(message_text.everything(message)))[:MESSAGE_CHARS]

    async def author_name(self, message: Mapping[str, Any]) -> str:
        """Return the name of the author of a message, with a note for bots."""
        if message.get("user") and not message.get("bot_id"):
            return (await self._users.author(str(message["user"]))).name
        profile = message.get("bot_profile") or {}
        return f"{message.get('username') or profile.get('name') or 'another bot'} (a bot)"


def _is_context(message: Mapping[str, Any], before: str, own_bot_id: str) -> bool:
    is_own = own_bot_id and message.get("bot_id") == own_bot_id
    is_written = payloads.has_user_subtype(message) or message.get("bot_id")
    is_earlier = float(message.get("ts") or 0) < float(before)
    return bool(is_earlier and is_written and not is_own and message_text.everything(message).strip())
