"""What stands around a question in Slack: the files beside it, and the thread above it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.platforms.slack import errors, parse
from bot.platforms.slack.files import Downloads
from bot.platforms.slack.users import People
from bot.types.conversation import StoredAttachment, ThreadAbove

PAGE, PAGES = 100, 5
KEPT = 60
"""Messages of a long thread: its first, and the last ones before the question."""
MESSAGE_CHARS = 2_000
PATIENCE_SECONDS = 20.0
"""An app that is distributed outside the Marketplace may read one page a minute: then the answer does without."""


class ThreadContext:
    """Reads for answers. Its client waits a 429 out."""

    def __init__(
        self, client: AsyncWebClient, downloads: Downloads, people: People, *, own_bot: Callable[[], Awaitable[str]]
    ) -> None:
        self._client = client
        self._downloads = downloads
        self._people = people
        self._own_bot = own_bot

    async def fetch(self, file: StoredAttachment) -> bytes:
        """The bytes of a file. Raises UsageError."""
        return await self._downloads.read(file.ref, file.name, file.content_type)

    async def above(self, channel_id: str, thread_ts: str, before: str) -> ThreadAbove | None:
        """What people and other bots wrote in the thread before that message. Raises SurfaceError, TimeoutError."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            said = await self._said(channel_id, thread_ts, before)
            if not said:
                return None
            lines = [f"{await self._name(message)}: {_text(message)}" for message in said]
        people = dict.fromkeys(str(message["user"]) for message in said if message.get("user"))
        return ThreadAbove("\n".join(lines), tuple(people))

    async def _said(self, channel_id: str, thread_ts: str, before: str) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        cursor, own = "", await self._own_bot()
        for _ in range(PAGES):
            with errors.translated():
                page = await self._client.conversations_replies(
                    channel=channel_id, ts=thread_ts, latest=before, limit=PAGE, cursor=cursor or None
                )
            found += [message for message in page.get("messages") or [] if self._counts(message, before, own)]
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                break
        return found if len(found) <= KEPT else [found[0], *found[1 - KEPT :]]

    def _counts(self, message: Mapping[str, Any], before: str, own: str) -> bool:
        ours = own and message.get("bot_id") == own
        spoken = message.get("subtype") in parse.SPOKEN or message.get("bot_id")
        earlier = float(message.get("ts") or 0) < float(before)
        return bool(earlier and spoken and not ours and _text(message))

    async def _name(self, message: Mapping[str, Any]) -> str:
        if message.get("user") and not message.get("bot_id"):
            return (await self._people.author(str(message["user"]))).name
        profile = message.get("bot_profile") or {}
        return f"{message.get('username') or profile.get('name') or 'another bot'} (a bot)"


def _text(message: Mapping[str, Any]) -> str:
    text = parse.plain(str(message.get("text") or ""))[:MESSAGE_CHARS]
    names = ", ".join(str(file.get("name")) for file in message.get("files") or () if file.get("name"))
    return f"{text} (attached: {names})".strip() if names else text
