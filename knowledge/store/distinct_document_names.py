"""Names of documents in lists: with as many parent folders as tell apart documents of the same name.

A document of a folder is named by the last part of that folder's path and its place in it, so that documents of two
folders may have one name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.types.documents import DocumentRow

# Every document with one of the names, with the address of its source.
_NAMESAKES = text("""
    SELECT CAST(documents.id AS text), documents.uri, sources.uri
    FROM documents
    JOIN sources ON sources.tenant_id = documents.tenant_id AND sources.id = documents.source_id
    WHERE documents.tenant_id = :tenant AND documents.uri = ANY(:names)
""")


async def told_apart(session: AsyncSession, tenant_id: str, rows: Sequence[DocumentRow]) -> list[DocumentRow]:
    """Return the rows with a ``source`` that no document of another folder has."""
    names = sorted({row.source for row in rows})
    if not names:
        return []
    found = await session.execute(_NAMESAKES, {"tenant": tenant_id, "names": names})
    longer = names_with_parents((document_id, name, source) for document_id, name, source in found)
    return [replace(row, source=longer.get(row.id, row.source)) for row in rows]


def names_with_parents(documents: Iterable[tuple[str, str, str]]) -> Mapping[str, str]:
    """Return the longer names of documents, by id, where documents of several paths have one name.

    ``documents`` are ids with the name and the address of the source. Sources that are no paths keep their names.
    """
    namesakes: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    for document_id, name, source in documents:
        path = PurePosixPath(source)
        if path.is_absolute() and PurePosixPath(name).parts[:1] == (path.name,):
            namesakes[name][document_id] = path.parent.parts
    return {
        document_id: "/".join((*parents, name)).replace("//", "/")
        for name, parents_by_id in namesakes.items()
        for document_id, parents in _shortest_distinct(parents_by_id).items()
    }


def _shortest_distinct(parents_by_id: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    """Return the last parts of each path, as few as tell the paths apart; none if there is only one path."""
    different = set(parents_by_id.values())
    for length in range(max(map(len, different)) + 1):
        shortened = {
            document_id: parents[len(parents) - min(length, len(parents)) :]
            for document_id, parents in parents_by_id.items()
        }
        if len(set(shortened.values())) == len(different):
            return shortened
    return parents_by_id
