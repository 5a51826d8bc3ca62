"""How the documents of a source are read, as the source keeps it for its refreshes."""

from __future__ import annotations

from dataclasses import dataclass

from knowledge.types.documents import ChunkingMethod


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How to chunk the documents, and whether to read what Office files hide. None keeps what the source has.

    Hidden are sheets, rows and columns of workbooks, deleted text, comments of texts, hidden slides and their notes.
    """

    chunking: ChunkingMethod | None = None
    include_hidden: bool | None = None


UNCHANGED = SourceOptions()
