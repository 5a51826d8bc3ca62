"""Keeps the page's files in the database: those attached to questions, and those that commands return.

A file can be uploaded to one process and read by another, and it outlives the process that received it.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import Protocol

from bot.commands.base import File
from bot.errors import SurfaceError, UsageError
from bot.platforms.web import user_messages
from bot.store.browser_page import conversation_files
from bot.store.browser_page.conversation_files import PageFile, Purpose
from bot.store.database.session import Database
from bot.types.conversation import LOCAL_TENANT, Attachment
from knowledge.text.storable_text import storable

MAX_FILES = 100
MAX_BYTES = 500_000_000


class PageFiles(Protocol):
    """The files by key. Raises StoreAway if they cannot be reached."""

    async def attach(self, name: str, content_type: str, data: bytes, added_by: str) -> str:
        """Store a file for a question and return its key. The oldest files are deleted if a limit is exceeded."""

    async def attachment(self, key: str) -> Attachment:
        """Return an attached file, whose bytes are read on demand. Raises UsageError if it is no longer stored."""

    async def read(self, key: str) -> bytes:
        """Return an attached file's bytes. Raises SurfaceError if it is no longer stored."""

    async def keep_reply(self, file: File, made_for: str) -> str:
        """Store a file that a command returned, and return its key."""

    async def reply(self, key: str) -> File | None:
        """Return a file that a command returned, or None if it is no longer stored."""


class StoredPageFiles:
    """The page's files in PostgreSQL."""

    def __init__(self, database: Database, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> None:
        self._database = database
        self._max_files = max_files
        self._max_bytes = max_bytes

    async def attach(self, name: str, content_type: str, data: bytes, added_by: str) -> str:
        return await self._add(name, content_type, data, "attachment", added_by)

    async def attachment(self, key: str) -> Attachment:
        found = await self._find(key, "attachment")
        if found is None:
            raise UsageError(user_messages.ATTACHMENT_EXPIRED)
        return Attachment(found.name, found.content_type, found.size, partial(self.read, found.id), ref=found.id)

    async def read(self, key: str) -> bytes:
        data = await self._read(key)
        if data is None:
            raise SurfaceError(user_messages.ATTACHMENT_UNREADABLE)
        return data

    async def keep_reply(self, file: File, made_for: str) -> str:
        return await self._add(file.name, file.content_type, file.data, "reply", made_for)

    async def reply(self, key: str) -> File | None:
        found = await self._find(key, "reply")
        data = await self._read(found.id) if found else None
        return File(found.name, data, found.content_type) if found and data is not None else None

    async def _add(self, name: str, content_type: str, data: bytes, purpose: Purpose, added_by: str) -> str:
        file = PageFile(secrets.token_urlsafe(16), storable(name), storable(content_type), len(data))
        # A large file may take longer on a slow connection than other round trips may.
        async with self._database.bulk(LOCAL_TENANT) as session:
            await conversation_files.add(
                session,
                tenant_id=LOCAL_TENANT,
                file=file,
                data=data,
                purpose=purpose,
                added_by=added_by,
                max_files=self._max_files,
                max_bytes=self._max_bytes,
            )
        return file.id

    async def _find(self, key: str, purpose: Purpose) -> PageFile | None:
        """Return a file without its bytes. The key comes from a request, so it may hold anything."""
        async with self._database.tenant(LOCAL_TENANT) as session:
            return await conversation_files.find(
                session, tenant_id=LOCAL_TENANT, file_id=storable(key), purpose=purpose
            )

    async def _read(self, file_id: str) -> bytes | None:
        async with self._database.bulk(LOCAL_TENANT) as session:
            return await conversation_files.read(session, tenant_id=LOCAL_TENANT, file_id=file_id)
