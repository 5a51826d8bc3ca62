"""Returns the surface for a stored turn: its thread, or the asker's direct messages."""

from __future__ import annotations

import re

from slack_sdk.web.async_client import AsyncWebClient

from bot.platforms.slack import errors
from bot.platforms.slack.stream_policy import StreamPolicy
from bot.platforms.slack.surface import SlackSurface
from bot.platforms.slack.thread_context import ThreadContext
from bot.platforms.slack.thread_status import ThreadStatus
from bot.types.display import Part
from bot.types.turns import Turn


class DirectSurface(SlackSurface):
    """Posts private answers in the asker's direct messages if the command that waited for the answer is gone.

    References that are not a ``ts`` come from the answer's original place; editing one of them posts here.
    """

    def __init__(self, client: AsyncWebClient, user_id: str) -> None:
        super().__init__(client, "", "")
        self._user_id = user_id
        self._moved_refs: dict[str, str] = {}

    async def post(self, part: Part) -> str:
        """Open the direct message and post."""
        await self._open()
        return await super().post(part)

    async def _open(self) -> None:
        if not self._channel:
            with errors.translated():
                opened = await self._client.conversations_open(users=self._user_id)
            self._channel = str((opened.get("channel") or {}).get("id"))

    async def edit(self, ref: str, part: Part) -> None:
        """Show ``part`` in the direct message."""
        if _is_ts(ref) or ref in self._moved_refs:
            await self._open()
            await super().edit(self._moved_refs.get(ref, ref), part)
        else:
            self._moved_refs[ref] = await self.post(part)

    async def delete(self, ref: str) -> None:
        """Delete a message that was posted here; ignore other references."""
        if _is_ts(ref) or ref in self._moved_refs:
            await self._open()
            await super().delete(self._moved_refs.get(ref, ref))


def surface_for_turn(
    client: AsyncWebClient,
    turn: Turn,
    context: ThreadContext | None = None,
    streams: StreamPolicy | None = None,
    status: ThreadStatus | None = None,
) -> SlackSurface:
    """Return the surface for a stored turn: its thread, or the asker's direct messages if it has no thread."""
    thread, asker = turn.thread, turn.author.id
    if _is_ts(thread.thread_id):
        question_ts = turn.message_id.partition(":")[0]
        since = question_ts if _is_ts(question_ts) else ""
        return SlackSurface(
            client,
            thread.channel_id,
            thread.thread_id,
            since=since,
            context=context,
            streams=streams,
            status=status,
            asker=asker,
        )
    return DirectSurface(client, asker)


def _is_ts(text: str) -> bool:
    return re.fullmatch(r"\d+\.\d+", text) is not None
