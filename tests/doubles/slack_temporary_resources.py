"""Emulates short-lived Slack resources: triggers for modals, response URLs and shared files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.doubles import slack_blocks
from tests.doubles.slack_world import BOT_ID, BOT_USER, Message

if TYPE_CHECKING:
    from tests.doubles.slack import SlackDouble

TRIGGER_SECONDS = 3.0
MAX_RESPONSES, RESPONSE_SECONDS = 5, 1800.0


class TemporaryResources:
    """Creates triggers, response URLs and files, and enforces their limits."""

    def __init__(self, slack: SlackDouble) -> None:
        self._slack = slack
        self._world = slack.world
        self._triggers: dict[str, float] = {}
        self._response_urls: dict[str, tuple[str, str, int, float]] = {}
        self._files: dict[str, tuple[bytes, str]] = {}
        self.described: dict[str, dict[str, Any]] = {}
        """The shared files as ``files.info`` returns them, by ID."""

    def trigger(self) -> str:
        """Return a new trigger."""
        trigger = self._world.next_id("trigger.")
        self._triggers[trigger] = self._world.clock()
        return trigger

    def use_trigger(self, trigger: str) -> None:
        """Use up a trigger. It opens one view within 3 seconds."""
        created_at = self._triggers.pop(trigger, None)
        if created_at is None or self._world.clock() - created_at > TRIGGER_SECONDS:
            self._slack.violations.append("views.open with a trigger that was used or has expired")

    def response_url(self, channel: str, user: str) -> str:
        """Return an address that works five times within half an hour."""
        name = self._world.next_id("r")
        self._response_urls[name] = (channel, user, MAX_RESPONSES, self._world.clock())
        return f"{self._slack.base}/commands/{name}"

    async def responded(self, request: web.Request) -> web.Response:
        """Receive a message at a response URL."""
        name = request.match_info["id"]
        channel, user, remaining, created_at = self._response_urls[name]
        if remaining == 0:
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        if (self._world.clock() - created_at) * self._slack.pace > RESPONSE_SECONDS:
            return web.json_response({"ok": False, "error": "expired_url"}, status=404)
        self._response_urls[name] = (channel, user, remaining - 1, created_at)
        body = await request.json()
        if faults := slack_blocks.faults(body.get("blocks") or []):
            self._slack.violations.append(f"response_url: {faults}")
        version = self._world.version(body.get("text", ""), body.get("blocks"))
        message = Message(channel, self._world.next_ts(), BOT_USER, [version], bot_id=BOT_ID)
        message.only_for = None if body.get("response_type") == "in_channel" else user
        self._world.add(message)
        return web.Response(text="ok")

    def share(self, name: str, data: bytes, content_type: str) -> dict[str, Any]:
        """Store an attached file and return its event payload."""
        file_id = self._world.next_id("F")
        self._files[file_id] = (data, content_type)
        url = f"{self._slack.base}/files-pri/{file_id}/{name}"
        described = {"id": file_id, "name": name, "mimetype": content_type, "size": len(data), "mode": "hosted"}
        return self.describe({**described, "url_private": url, "url_private_download": url})

    def describe(self, file: dict[str, Any]) -> dict[str, Any]:
        """Let ``files.info`` describe a file so, and return it."""
        self.described[file["id"]] = file
        return file

    def stub(self, file: dict[str, Any]) -> dict[str, Any]:
        """Return a file as events of Slack Connect channels have it: an ID alone."""
        return {"id": file["id"], "created": 0, "timestamp": 0, "mode": "file_access", "file_access": "check_file_info"}

    async def file(self, request: web.Request) -> web.Response:
        """Return a file's content for the bot's token, and the sign-in page otherwise."""
        data, content_type = self._files[request.match_info["file"]]
        allowed = "files:read" in self._slack.scopes
        if request.headers.get("Authorization") != f"Bearer {self._slack.bot_token}" or not allowed:
            return web.Response(text="<html>Sign in</html>", content_type="text/html")
        return web.Response(body=data, content_type=content_type)
