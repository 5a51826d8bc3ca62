"""Reads a document and what is attached to it: parses the files that a source fetched, before they are stored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial

from knowledge.off_loop_work import in_thread_if_large
from knowledge.parsing.mail_attachments import parse_with_attachments
from knowledge.ports import Parses
from knowledge.store.document_files import kept_file
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """A parsed document with the memo of its source and the SHA-256 of its bytes in hexadecimal digits.

    ``file`` has the bytes themselves if the pages are shown as pictures. ``attached`` are the documents attached to it,
    at all levels.
    """

    document: Document
    memo: str
    content_hash: str
    file: bytes = b""
    attached: tuple[ReadDocument, ...] = ()


async def read_document(parser: Parses, fetched: Fetched, content_hash: str, *, include_hidden: bool) -> ReadDocument:
    """Parse a file and what is attached to it. Raises ParseError if the file itself cannot be read."""
    document, files = await parse_with_attachments(partial(parser.parse, include_hidden=include_hidden), fetched)
    attached = tuple(
        [
            ReadDocument(one.document, "", await hash_of(one.fetched), kept_file(one.document, one.fetched.data))
            for one in files
        ]
    )
    return ReadDocument(document, fetched.memo, content_hash, kept_file(document, fetched.data), attached)


async def hash_of(fetched: Fetched) -> str:
    """Return the SHA-256 of a file and of the earlier mails that it is read with, in hexadecimal digits."""
    return await in_thread_if_large(fetched.size, _sha256, fetched)


def _sha256(fetched: Fetched) -> str:
    digest = hashlib.sha256(fetched.data)
    for mail in fetched.earlier_mails:
        digest.update(hashlib.sha256(mail).digest())
    return digest.hexdigest()
