"""Sends command replies and short notices in Slack: ephemeral, public or by direct message, with their files."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.commands.base import File, Reply
from bot.commands.reply_delivery import Place
from bot.errors import MessageGone, SurfaceError
from bot.platforms.slack import errors, render, user_messages

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReplyTarget:
    """Where a user addressed the bot. ``response_url`` comes with slash commands and works 5 times in 30 minutes."""

    channel_id: str
    user_id: str
    thread_ts: str | None = None
    response_url: str = ""

    @property
    def is_direct(self) -> bool:
        """Return whether only this user reads the channel.

        Without a ``response_url``, events come only from channels that the bot is in, so a D channel is the user's DM
        with the bot.
        """
        return self.channel_id.startswith("D") and not self.response_url


class MessageRef(NamedTuple):
    """The channel and the ``ts`` of a posted message."""

    channel: str
    ts: str


class ReplySender:
    """Sends everything except answers: command replies, progress, refusals and confirmations."""

    def __init__(self, client: AsyncWebClient, session: aiohttp.ClientSession) -> None:
        self._client = client
        self._session = session

    async def send_text(self, target: ReplyTarget, text: str) -> None:
        """Send a text that only the user sees."""
        await self.send(target, Reply(text))

    async def send(self, target: ReplyTarget, reply: Reply) -> None:
        """Send a command's reply, private or public, with its files.

        Falls back to plain text if Slack refuses the blocks, and to a direct message if it cannot be shown there.
        """
        try:
            await self._show(target, reply, render.reply(reply))
        except MessageGone:
            raise
        except SurfaceError as error:
            log.warning("Slack refused the blocks of a reply, so it is sent as text: %s", error)
            await self._show(target, reply, render.plain_reply(reply))
        await self.deliver_files(target, reply)

    def places(self, target: ReplyTarget, reply: Reply) -> list[Place]:
        """Return where a reply without its files can be shown, in order: where the user asked, as text, directly."""
        plain = render.plain_reply(reply)
        return [
            partial(self._show, target, reply, render.reply(reply)),
            partial(self._show, target, reply, plain),
            partial(self._send_direct_message, target.user_id, plain),
        ]

    async def send_word(self, target: ReplyTarget, text: str) -> None:
        """Send a short text that only the user sees. Raises SurfaceError."""
        await self._show(target, Reply(text), render.plain_reply(Reply(text)))

    async def _show(self, target: ReplyTarget, reply: Reply, arguments: dict[str, Any]) -> None:
        if reply.private and not target.is_direct:
            await self._show_privately(target, arguments)
        else:
            await self._show_publicly(target, arguments)

    async def _show_privately(self, target: ReplyTarget, arguments: dict[str, Any]) -> None:
        if target.response_url and await self._respond(target.response_url, "ephemeral", arguments):
            return
        try:
            with errors.translated():
                await self._client.chat_postEphemeral(
                    channel=target.channel_id, user=target.user_id, thread_ts=target.thread_ts, **arguments
                )
        except MessageGone:
            await self._send_direct_message(target.user_id, arguments)

    async def _show_publicly(self, target: ReplyTarget, arguments: dict[str, Any]) -> None:
        try:
            with errors.translated():
                await self._post(target.channel_id, target.thread_ts, arguments)
        except MessageGone:
            if not (target.response_url and await self._respond(target.response_url, "in_channel", arguments)):
                await self._send_direct_message(target.user_id, arguments)

    async def _send_direct_message(self, user_id: str, arguments: dict[str, Any]) -> None:
        with errors.translated():
            await self._post(await self._direct_channel(user_id), None, arguments)

    async def send_notice(self, user_id: str, arguments: dict[str, Any]) -> None:
        """Send a rendered message to a user's direct messages. Raises SurfaceError."""
        await self._send_direct_message(user_id, arguments)

    async def post_to_channel(self, channel_id: str, arguments: dict[str, Any]) -> None:
        """Post a rendered message to a channel. Raises SurfaceError."""
        with errors.translated():
            await self._post(channel_id, None, arguments)

    async def is_public(self, channel_id: str) -> bool:
        """Return whether every member may read the channel; False if the bot cannot see it. Raises SurfaceError."""
        try:
            response = await self._client.conversations_info(channel=channel_id)
        except SlackApiError as error:
            if errors.code(error) in ("channel_not_found", "missing_scope"):
                return False
            raise errors.surface_error(error) from error
        channel = response.get("channel") or {}
        return bool(channel.get("is_channel")) and not channel.get("is_private")

    async def _direct_channel(self, user_id: str) -> str:
        opened = await self._client.conversations_open(users=user_id)
        return str((opened.get("channel") or {}).get("id"))

    async def _post(self, channel: str, thread_ts: str | None, arguments: dict[str, Any]) -> str:
        posted = await self._client.chat_postMessage(
            channel=channel, thread_ts=thread_ts, unfurl_links=False, unfurl_media=False, **arguments
        )
        return str(posted.get("ts"))

    async def _respond(self, url: str, response_type: str, arguments: dict[str, Any]) -> bool:
        try:
            body = {"response_type": response_type, "replace_original": False, **arguments}
            async with self._session.post(url, json=body) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("Slack's response_url failed: %s", type(error).__name__)
            return False

    # --- files

    async def deliver_files(self, target: ReplyTarget, reply: Reply) -> None:
        """Upload the files of a reply, and tell the user if Slack does not take them. Raises SurfaceError."""
        try:
            await self.upload_files(target, reply)
        except SurfaceError as error:
            log.warning("Slack did not take the files of a reply: %s", error)
            await self.send_word(target, user_messages.files_not_uploaded(error))

    async def upload_files(self, target: ReplyTarget, reply: Reply) -> None:
        """Upload the files of a reply. Raises SurfaceError.

        Files cannot be ephemeral: those of a private reply go to a direct message.
        """
        files = render.files(reply)
        by_direct_message = reply.private and not target.is_direct
        with errors.translated():
            for file in files:
                if by_direct_message:
                    await self._upload(await self._direct_channel(target.user_id), None, file)
                else:
                    await self._upload(target.channel_id, target.thread_ts, file)
            if files and by_direct_message:
                note = Reply(user_messages.uploaded_to_direct_message(len(files)))
                await self._show_privately(target, render.reply(note))

    async def _upload(self, channel: str, thread_ts: str | None, file: File) -> None:
        await self._client.files_upload_v2(
            channel=channel, thread_ts=thread_ts, filename=file.name, title=file.name, content=file.data
        )

    # --- the progress message

    async def post_progress(self, target: ReplyTarget, text: str, stop: str = "") -> MessageRef:
        """Post a progress message. For a slash command it goes to the user's direct messages."""
        with errors.translated():
            if target.response_url:
                channel, thread_ts = await self._direct_channel(target.user_id), None
            else:
                channel, thread_ts = target.channel_id, target.thread_ts
            return MessageRef(channel, await self._post(channel, thread_ts, render.progress(text, stop)))

    async def update_progress(self, message: MessageRef, text: str, stop: str = "") -> None:
        """Show new progress in the message."""
        with errors.translated():
            await self._client.chat_update(channel=message.channel, ts=message.ts, **render.progress(text, stop))

    async def replace_progress(self, message: MessageRef, reply: Reply) -> None:
        """Replace the progress message with the reply."""
        with errors.translated():
            await self._client.chat_update(channel=message.channel, ts=message.ts, **render.reply(reply))

    async def delete_progress(self, message: MessageRef) -> None:
        """Delete the progress message; a message that is already gone is no error."""
        try:
            await self._client.chat_delete(channel=message.channel, ts=message.ts)
        except SlackApiError as error:
            if not isinstance(errors.surface_error(error), MessageGone):
                raise SurfaceError(user_messages.not_deleted(errors.code(error))) from error
