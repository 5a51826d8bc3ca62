"""Downloads files that users attach in Slack, and sends the bot token to Slack's own hosts only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp

from bot.errors import UsageError
from bot.platforms.slack import user_messages
from bot.platforms.slack.bot_tokens import BotTokenSource
from bot.types.conversation import Attachment

MAX_REDIRECTS = 3


class FileDownloads:
    """Downloads ``url_private`` addresses. Raises UsageError with a message for the user who attached the file."""

    def __init__(self, session: aiohttp.ClientSession, tokens: BotTokenSource, api_url: str, *, max_bytes: int) -> None:
        self._session = session
        self._tokens = tokens
        self._api = urlsplit(api_url)
        self._max_bytes = max_bytes

    def attachment(self, file: Mapping[str, Any]) -> Attachment:
        """Return the file as an attachment that downloads its content on demand."""
        name = str(file.get("name") or file.get("title") or "file")
        content_type = str(file.get("mimetype") or "application/octet-stream")
        url = str(file.get("url_private_download") or file.get("url_private") or "")

        async def read() -> bytes:
            return await self.read(url, name, content_type)

        return Attachment(name, content_type, int(file.get("size") or 0), read, ref=url)

    async def read(self, url: str, name: str, content_type: str) -> bytes:
        """Return the content of a file in Slack."""
        for _ in range(MAX_REDIRECTS):
            if not self.is_trusted(url):
                raise UsageError(user_messages.file_not_in_slack(name))
            try:
                content_or_redirect = await self._request(url, name, content_type)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise UsageError(user_messages.download_failed(name)) from error
            if isinstance(content_or_redirect, bytes):
                return content_or_redirect
            url = content_or_redirect
        raise UsageError(user_messages.download_failed(name))

    async def _request(self, url: str, name: str, content_type: str) -> bytes | str:
        """Return the content of the response, or the address that it redirects to."""
        headers = {"Authorization": f"Bearer {await self._tokens.token()}"}
        async with self._session.get(url, headers=headers, allow_redirects=False) as response:
            if response.status in (301, 302, 303, 307, 308):
                return urljoin(url, response.headers.get("Location", ""))
            if response.status != 200:
                raise UsageError(user_messages.download_refused(name, response.status))
            # If the token lacks files:read, Slack returns its sign-in page with status 200.
            if response.content_type == "text/html" and "html" not in content_type:
                raise UsageError(user_messages.download_not_permitted(name))
            return await self._content(response, name)

    async def _content(self, response: aiohttp.ClientResponse, name: str) -> bytes:
        data = bytearray()
        async for chunk in response.content.iter_chunked(65_536):
            data += chunk
            if len(data) > self._max_bytes:
                raise UsageError(user_messages.file_too_large(name, self._max_bytes // 1_000_000))
        return bytes(data)

    def is_trusted(self, url: str) -> bool:
        """Return whether ``url`` may get the token: a Slack host over TLS, or exactly the host of SLACK_API_URL."""
        try:
            parts = urlsplit(url)
            if (parts.scheme, parts.netloc) == (self._api.scheme, self._api.netloc):
                return True
            return parts.scheme == "https" and parts.port in (None, 443) and _is_slack_host(parts.hostname or "")
        except ValueError:
            return False


def _is_slack_host(host: str) -> bool:
    return host == "slack.com" or host.endswith(".slack.com")
