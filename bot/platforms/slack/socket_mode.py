"""Receives Slack events over a WebSocket (Socket Mode), and closes it without losing acknowledgments."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import aiohttp
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import ConfigError
from bot.platforms.slack import errors, web_client

log = logging.getLogger(__name__)

PING_SECONDS = 10
ACK_GRACE_SECONDS = 3.0


async def open_connection(client: AsyncWebClient, app_token: str) -> str:
    """Return a new address for the WebSocket. Raises ConfigError with a one-line message that says what to do."""
    try:
        response = await client.apps_connections_open(app_token=app_token)
    except SlackApiError as error:
        code = errors.code(error)
        if errors.may_pass(error):
            raise web_client.unreachable(client, code) from None
        raise ConfigError(f"Slack does not accept SLACK_APP_TOKEN ({code}). {web_client.APP_TOKEN_HELP}.") from None
    except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise web_client.unreachable(client, type(error).__name__) from None
    return str(response.get("url"))


class SocketModeConnection(AsyncSocketModeHandler):
    """A Socket Mode handler that closes without losing an acknowledgment or leaving a task behind."""

    client: SocketModeClient

    def __init__(self, app: AsyncApp, app_token: str, client: AsyncWebClient, address: str) -> None:
        sdk_log = logging.getLogger("slack_sdk.socket_mode")
        super().__init__(app, app_token, logger=sdk_log, web_client=client, ping_interval=PING_SECONDS)
        self.client.wss_uri = address
        self._handling: set[asyncio.Task[object]] = set()

    async def handle(self, client: AsyncBaseSocketModeClient, req: SocketModeRequest) -> None:
        """Run the listeners and acknowledge."""
        task = asyncio.current_task()
        assert task is not None
        self._handling.add(task)
        try:
            await super().handle(client, req)  # type: ignore[arg-type]
        finally:
            self._handling.discard(task)

    async def open(self) -> None:
        """Connect."""
        await self.connect_async()  # type: ignore[no-untyped-call]

    async def ensure_running(self) -> None:
        """Discard the address of a broken connection. Addresses expire, so the next attempt needs a new one."""
        if not await self.client.is_connected():
            log.warning("Slack's WebSocket is down; reconnecting.")
            self.client.wss_uri = None

    async def close(self) -> None:
        """Let events in progress finish, then close the connection and wait for its tasks."""
        if self._handling:
            await asyncio.wait(set(self._handling), timeout=ACK_GRACE_SECONDS)
        sdk_tasks = (self.client.message_processor, self.client.current_session_monitor, self.client.message_receiver)
        await self.client.close()  # type: ignore[no-untyped-call]
        for task in (*(task for task in sdk_tasks if task is not None), *self._handling):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
