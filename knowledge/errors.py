"""Errors of the knowledge layer. Every error has a one-line message for users that says what to do.

KnowledgeError
├── SourceError      the source cannot be read at all: unknown path, unknown host, refused address
│   └── EmptySourceError  it can be read and has no documents
├── ParseError       one document cannot be converted to text
│   ├── PrivateChatError  it is a conversation or a profile that must not be read
│   ├── ReplacedError     it became a sign-in, a notice or a small part of what it was
│   └── NoTextError       it is empty or binary, so that no text is left of an earlier version
├── DiskFullError    temporary files have no room
├── ErasedError      a person's data was erased after the source was read
└── EmbeddingError   the embedding model cannot be loaded or does not answer
"""

from __future__ import annotations

from knowledge.text.secret_redaction import redact
from knowledge.text.storable_text import storable


class KnowledgeError(Exception):
    """The base of all errors of the knowledge layer; its message can be shown to users and has no secrets."""

    def __init__(self, message: str = "") -> None:
        super().__init__(redact(storable(message)))


class SourceError(KnowledgeError):
    """The source cannot be read. ``gone``: its server says that it no longer exists.

    ``replaced``: it shows something else in place of its documents, such as a sign-in, or nothing.
    """

    gone = False
    replaced = False


class EmptySourceError(SourceError):
    """The source can be read and has no documents. What was read before is kept unless somebody accepts the loss."""

    replaced = True


class ParseError(KnowledgeError):
    """The document cannot be converted to text."""


class PrivateChatError(ParseError):
    """The document is a conversation or a profile that must not be read. What was stored of it must be deleted."""


class ReplacedError(ParseError):
    """The document became something else, such as a sign-in or a notice. What was read before is kept."""


class NoTextError(ParseError):
    """The document is empty or binary: what an earlier version said is gone."""


class DiskFullError(KnowledgeError):
    """The disk of the folder for temporary files is full. A retry succeeds once it has room."""


class ErasedError(KnowledgeError):
    """A person's data was erased after the source was read, so that what was read may hold it. Read it again."""


class EmbeddingError(KnowledgeError):
    """The embedding model cannot be used."""
