"""Keeps files attached to questions in memory until the engine reads them, and drops the oldest when full."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

from bot.errors import SurfaceError, UsageError
from bot.platforms.web import user_messages
from bot.types.conversation import Attachment

MAX_FILES = 40
MAX_BYTES = 200_000_000


@dataclass(slots=True)
class UploadBuffer:
    """The uploaded files by key. The page names a file by its key when it sends the question."""

    max_files: int = MAX_FILES
    max_bytes: int = MAX_BYTES
    _files: OrderedDict[str, Attachment] = field(default_factory=OrderedDict)

    def add(self, name: str, content_type: str, data: bytes) -> str:
        """Store a file and return its key. Drops the oldest files if a limit is exceeded."""

        async def read() -> bytes:
            return data

        key = secrets.token_urlsafe(16)
        self._files[key] = Attachment(name, content_type, len(data), read, ref=key)
        while len(self._files) > self.max_files or sum(file.size for file in self._files.values()) > self.max_bytes:
            self._files.popitem(last=False)
        return key

    def attachment(self, key: str) -> Attachment:
        """Return the file. Raises UsageError if it is no longer stored."""
        if key not in self._files:
            raise UsageError(user_messages.ATTACHMENT_EXPIRED)
        return self._files[key]

    async def read(self, key: str) -> bytes:
        """Return the file's bytes. Raises SurfaceError if it is no longer stored."""
        if key not in self._files:
            raise SurfaceError(user_messages.ATTACHMENT_UNREADABLE)
        return await self._files[key].read()
