"""Stores the files of documents whose pages are shown as pictures: PDF files.

Every function runs inside its caller's transaction and tenant.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.metadata import FORMAT
from knowledge.store.file_parts import PartsTable
from knowledge.types.documents import Document

FORMATS = ("pdf",)
"""Formats whose files are stored."""
_PARTS = PartsTable("document_files", "document_id")


def kept_file(document: Document, data: bytes) -> bytes:
    """Return the bytes to store with a document; nothing if its pages are not shown."""
    return data if document.metadata.get(FORMAT) in FORMATS else b""


async def replace_files(session: AsyncSession, tenant_id: str, files: Mapping[uuid.UUID, bytes]) -> None:
    """Store the files of these documents in place of those that were stored; an empty one deletes it."""
    await _PARTS.delete(session, tenant_id, list(files))
    for document_id, data in files.items():
        if data:
            await _PARTS.write(session, tenant_id, document_id, data)


FileKey = tuple[str, uuid.UUID, str]
"""A stored file: the tenant, the document, and the hash of its content."""


@dataclass(frozen=True, slots=True)
class DocumentFile:
    """The file of a document, and the numbers that its pages bear, as ``page_labels.ranges_of`` returns them."""

    key: FileKey
    name: str
    page_labels: str
    data: bytes


_READABLE = text("""
    SELECT uri, coalesce(metadata ->> 'page_labels', '') AS page_labels, content_hash
    FROM documents
    WHERE tenant_id = :tenant AND id = :id AND (CAST(:audiences AS text[]) IS NULL OR audience = ANY(:audiences))
""")


async def read(
    session: AsyncSession,
    tenant_id: str,
    document_id: str,
    *,
    audiences: Sequence[str] | None,
    known: Mapping[FileKey, bytes] = MappingProxyType({}),
) -> DocumentFile | None:
    """Return the file of a document. The bytes of those in ``known`` are not read again.

    Return None if none is stored, and alike if none of the ``audiences`` may read the document; None may read all.
    """
    try:
        number = uuid.UUID(document_id)
    except ValueError:
        return None
    readable = None if audiences is None else list(audiences)
    row = (await session.execute(_READABLE, {"tenant": tenant_id, "id": number, "audiences": readable})).one_or_none()
    if row is None:
        return None
    key = (tenant_id, number, str(row.content_hash))
    data = known.get(key) or await _PARTS.read(session, tenant_id, number)
    return DocumentFile(key, row.uri, row.page_labels, data) if data else None
