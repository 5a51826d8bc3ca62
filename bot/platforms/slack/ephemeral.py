"""Showing a text or a command's reply to one person, or to everybody, wherever Slack lets the bot."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.commands.base import File, Reply
from bot.errors import MessageGone, SurfaceError
from bot.platforms.slack import errors, render, user_messages

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody spoke to the bot. ``response_url`` comes with slash commands and works 5 times in 30 minutes."""

    channel_id: str
    user_id: str
    thread_ts: str | None = None
    response_url: str = ""

    @property
    def is_direct(self) -> bool:
        """Whether only this person reads there: the bot hears of a D channel by itself only when it is its own."""
        return self.channel_id.startswith("D") and not self.response_url


class Whisper:
    """Says things outside the one display path of answers: refusals, confirmations, replies of commands."""

    def __init__(self, client: AsyncWebClient, session: aiohttp.ClientSession) -> None:
        self._client = client
        self._session = session

    async def say(self, place: Place, text: str) -> None:
        """A text for that person alone."""
        await self.reply(place, Reply(text))

    async def reply(self, place: Place, reply: Reply) -> None:
        """A command's answer, private or public, with its file. What cannot be shown there goes to the person's DM."""
        try:
            await self._show(place, reply, render.reply(reply))
        except MessageGone:
            raise
        except SurfaceError as error:
            log.warning("Slack did not take a reply's blocks, so it goes out as text: %s", error)
            await self._show(place, reply, render.plain_reply(reply))
        await self.hand_over(place, reply)

    async def direct_channel(self, user_id: str) -> str:
        """The direct message between the bot and a person."""
        opened = await self._client.conversations_open(users=user_id)
        return str((opened.get("channel") or {}).get("id"))

    async def _show(self, place: Place, reply: Reply, arguments: dict[str, Any]) -> None:
        if reply.private and not place.is_direct:
            await self._private(place, arguments)
        else:
            await self._public(place, arguments)

    async def _private(self, place: Place, arguments: dict[str, Any]) -> None:
        if place.response_url and await self._respond(place.response_url, "ephemeral", arguments):
            return
        try:
            with errors.translated():
                await self._client.chat_postEphemeral(
                    channel=place.channel_id, user=place.user_id, thread_ts=place.thread_ts, **arguments
                )
        except MessageGone:
            await self._to_direct_message(place.user_id, arguments)

    async def _public(self, place: Place, arguments: dict[str, Any]) -> None:
        try:
            with errors.translated():
                await self._post(place.channel_id, place.thread_ts, arguments)
        except MessageGone:
            if not (place.response_url and await self._respond(place.response_url, "in_channel", arguments)):
                await self._to_direct_message(place.user_id, arguments)

    async def _to_direct_message(self, user_id: str, arguments: dict[str, Any]) -> None:
        with errors.translated():
            await self._post(await self.direct_channel(user_id), None, arguments)

    async def _post(self, channel: str, thread_ts: str | None, arguments: dict[str, Any]) -> None:
        await self._client.chat_postMessage(
            channel=channel, thread_ts=thread_ts, unfurl_links=False, unfurl_media=False, **arguments
        )

    async def _respond(self, url: str, kind: str, arguments: dict[str, Any]) -> bool:
        try:
            body = {"response_type": kind, "replace_original": False, **arguments}
            async with self._session.post(url, json=body) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("Slack's response_url failed: %s", type(error).__name__)
            return False

    async def hand_over(self, place: Place, reply: Reply) -> None:
        """The files of a reply. They cannot be ephemeral: those of a private one go to the person's DM."""
        files = render.files(reply)
        elsewhere = reply.private and not place.is_direct
        with errors.translated():
            for file in files:
                if elsewhere:
                    await self._upload(await self.direct_channel(place.user_id), None, file)
                else:
                    await self._upload(place.channel_id, place.thread_ts, file)
            if files and elsewhere:
                await self._private(place, render.reply(Reply(user_messages.told_of_files(len(files)))))

    async def _upload(self, channel: str, thread_ts: str | None, file: File) -> None:
        await self._client.files_upload_v2(
            channel=channel, thread_ts=thread_ts, filename=file.name, title=file.name, content=file.data
        )

    # --- one message that is rewritten

    async def open(self, place: Place, text: str, stop: str = "") -> tuple[str, str]:
        """Post a line that will be rewritten; channel and ts. A slash command's goes to the person's DM."""
        with errors.translated():
            if place.response_url:
                channel, thread = await self.direct_channel(place.user_id), None
            else:
                channel, thread = place.channel_id, place.thread_ts
            posted = await self._client.chat_postMessage(
                channel=channel, thread_ts=thread, unfurl_links=False, unfurl_media=False, **render.progress(text, stop)
            )
        return channel, str(posted.get("ts"))

    async def rewrite(self, line: tuple[str, str], reply: Reply) -> None:
        """Make the line read otherwise."""
        with errors.translated():
            await self._client.chat_update(channel=line[0], ts=line[1], **render.reply(reply))

    async def move(self, line: tuple[str, str], text: str, stop: str = "") -> None:
        """Make the line tell how far it is now."""
        with errors.translated():
            await self._client.chat_update(channel=line[0], ts=line[1], **render.progress(text, stop))

    async def take_away(self, line: tuple[str, str]) -> None:
        """Remove the line; one that is gone is fine."""
        try:
            await self._client.chat_delete(channel=line[0], ts=line[1])
        except SlackApiError as error:
            if not isinstance(errors.surface_error(error), MessageGone):
                raise SurfaceError(f"Slack kept a message ({errors.code(error)}).") from error
