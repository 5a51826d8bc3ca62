"""Errors of the knowledge layer. Each message is one line for a person and says what to do.

KnowledgeError
├── SourceError      the source cannot be read at all: no such path, no such host, refused address
├── ParseError       one document cannot be turned into text
└── EmbeddingError   the embedding model cannot be loaded or does not answer
"""

from __future__ import annotations


class KnowledgeError(Exception):
    """Something in the knowledge layer failed; the message is fit for a person."""


class SourceError(KnowledgeError):
    """The source cannot be read."""


class ParseError(KnowledgeError):
    """The document cannot be turned into text."""


class EmbeddingError(KnowledgeError):
    """The embedding model cannot be used."""
