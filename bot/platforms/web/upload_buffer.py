"""Files that somebody puts beside a question on the page: kept in memory until they are read, the latest ones."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

from bot.errors import SurfaceError, UsageError
from bot.platforms.web import user_messages
from bot.types.conversation import Attachment

KEPT_FILES = 40
KEPT_BYTES = 200_000_000


@dataclass(slots=True)
class UploadBuffer:
    """What was put there, by the key that the page was given."""

    most: int = KEPT_FILES
    most_bytes: int = KEPT_BYTES
    _files: OrderedDict[str, Attachment] = field(default_factory=OrderedDict)

    def keep(self, name: str, content_type: str, data: bytes) -> str:
        """Keep a file; those that were put there first make room."""

        async def read() -> bytes:
            return data

        key = secrets.token_urlsafe(16)
        self._files[key] = Attachment(name, content_type, len(data), read, ref=key)
        while len(self._files) > self.most or sum(one.size for one in self._files.values()) > self.most_bytes:
            self._files.popitem(last=False)
        return key

    def attachment(self, key: str) -> Attachment:
        """The file. Raises UsageError where it is not kept any more."""
        if key not in self._files:
            raise UsageError(user_messages.GONE_BESIDE)
        return self._files[key]

    async def data(self, key: str) -> bytes:
        """Its bytes. Raises SurfaceError where it is not kept any more."""
        if key not in self._files:
            raise SurfaceError(user_messages.NOT_KEPT)
        return await self._files[key].read()
