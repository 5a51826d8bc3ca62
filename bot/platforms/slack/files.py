"""Files that people attach in Slack: read with the bot's token, which never leaves Slack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp

from bot.errors import UsageError
from bot.platforms.slack.tokens import Tokens
from bot.types.conversation import Attachment

REDIRECTS = 3


class Downloads:
    """Fetches ``url_private`` addresses. Raises UsageError with words for the person who attached the file."""

    def __init__(self, session: aiohttp.ClientSession, tokens: Tokens, api_url: str, *, max_bytes: int) -> None:
        self._session = session
        self._tokens = tokens
        self._api = urlsplit(api_url)
        self._max_bytes = max_bytes

    def attachment(self, file: Mapping[str, Any]) -> Attachment:
        """The file with the means to read it."""
        name = str(file.get("name") or file.get("title") or "file")
        kind = str(file.get("mimetype") or "application/octet-stream")
        url = str(file.get("url_private_download") or file.get("url_private") or "")

        async def read() -> bytes:
            return await self.read(url, name, kind)

        return Attachment(name, kind, int(file.get("size") or 0), read, ref=url)

    async def read(self, url: str, name: str, kind: str) -> bytes:
        """The bytes behind a Slack address."""
        for _ in range(REDIRECTS):
            if not self.trusts(url):
                raise UsageError(f"{name} is not stored in Slack; upload the file itself.")
            try:
                target = await self._step(url, name, kind)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise UsageError(f"{name} could not be downloaded from Slack; please upload it again.") from error
            if isinstance(target, bytes):
                return target
            url = target
        raise UsageError(f"{name} could not be downloaded from Slack; please upload it again.")

    async def _step(self, url: str, name: str, kind: str) -> bytes | str:
        headers = {"Authorization": f"Bearer {await self._tokens.token()}"}
        async with self._session.get(url, headers=headers, allow_redirects=False) as response:
            if response.status in (301, 302, 303, 307, 308):
                return urljoin(url, response.headers.get("Location", ""))
            if response.status != 200:
                raise UsageError(f"{name} could not be downloaded (Slack said {response.status}); upload it again.")
            # Slack answers a token without files:read with its sign-in page and status 200.
            if response.content_type == "text/html" and "html" not in kind:
                raise UsageError(f"{name} may not be read; the app needs the files:read scope, then a new install.")
            return await self._bytes(response, name)

    async def _bytes(self, response: aiohttp.ClientResponse, name: str) -> bytes:
        data = bytearray()
        async for chunk in response.content.iter_chunked(65_536):
            data += chunk
            if len(data) > self._max_bytes:
                raise UsageError(f"{name} is larger than {self._max_bytes // 1_000_000} MB; share a smaller file.")
        return bytes(data)

    def trusts(self, url: str) -> bool:
        """Whether the token may be sent there: Slack's own hosts over TLS, or the very host of SLACK_API_URL."""
        try:
            parts = urlsplit(url)
            if (parts.scheme, parts.netloc) == (self._api.scheme, self._api.netloc):
                return True
            return parts.scheme == "https" and parts.port in (None, 443) and _is_slack(parts.hostname or "")
        except ValueError:
            return False


def _is_slack(host: str) -> bool:
    return host == "slack.com" or host.endswith(".slack.com")
