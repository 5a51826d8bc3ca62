"""Texts that were known keep their vectors, so that documents that move or come back are not embedded again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import text

from bot.store import maintenance
from bot.store.database.session import Database
from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Sessions
from knowledge.store import document_catalog, kept_vectors, message_erasure
from knowledge.types.source_items import Fetched
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown
from tests.knowledge.search.test_sentence_vectors import SentenceEmbedder

BODIES = [f"# Note {number}\n\nThe printer of floor {number} is next to the stairs." for number in range(4)]


def folder(*names: str, uri: str = "folder", bodies: Sequence[str] = BODIES) -> ListSource:
    return ListSource(uri, *(markdown(name, body) for name, body in zip(names, bodies, strict=False)))


async def ingest(ingestor: Ingestor, source: ListSource, tenant: str = "t") -> None:
    report = await ingestor.ingest([source], tenant_id=tenant, accept_removals=True)
    assert not report.failed


async def vectors(sessions: Sessions) -> dict[str, tuple[str, bytes | None, bytes | None]]:
    """Return everything that search reads of each chunk's text."""
    async with sessions("t") as session:
        rows = await session.execute(
            text(
                "SELECT text, CAST(vector AS text), signs, vectors"
                " FROM chunks JOIN embeddings USING (tenant_id, chunk_id)"
                " LEFT JOIN token_signs USING (tenant_id, chunk_id, model)"
                " LEFT JOIN sentence_vectors USING (tenant_id, chunk_id, model)"
            )
        )
        return {row[0]: (row[1], row[2], row[3]) for row in rows}


async def kept(sessions: Sessions) -> int:
    async with sessions("t") as session:
        return int(await session.scalar(text("SELECT count(*) FROM kept_vectors")) or 0)


async def test_document_that_comes_back_is_not_embedded_again(
    sessions: Sessions, ingestor: Ingestor, embedder: WordEmbedder
) -> None:
    await ingest(ingestor, folder("a.md", "b.md"))
    before = await vectors(sessions)
    await ingest(ingestor, folder("a.md"))
    assert await kept(sessions) == 1
    embedder.passages.clear()
    await ingest(ingestor, folder("a.md", "b.md"))
    assert embedder.passages == []
    assert await vectors(sessions) == before


async def test_text_that_is_changed_back_is_not_embedded_again(
    sessions: Sessions, ingestor: Ingestor, embedder: WordEmbedder
) -> None:
    await ingest(ingestor, folder("a.md"))
    await ingest(ingestor, folder("a.md", bodies=["# Under repair\n\nCome back later."]))
    embedder.passages.clear()
    await ingest(ingestor, folder("a.md"))
    assert embedder.passages == []


async def test_renamed_and_moved_documents_are_not_embedded_again(
    sessions: Sessions, ingestor: Ingestor, embedder: WordEmbedder
) -> None:
    await ingest(ingestor, folder("a.md", "b.md"))
    embedder.passages.clear()
    await ingest(ingestor, folder("renamed/a.md", "renamed/b.md"))
    await ingest(ingestor, folder("a.md", "b.md", uri="moved folder"))
    assert embedder.passages == []
    assert len(await vectors(sessions)) == 2


async def test_another_model_or_tenant_computes_its_own_vectors(
    sessions: Sessions, ingestor: Ingestor, embedder: WordEmbedder, parser: Parser
) -> None:
    await ingest(ingestor, folder("a.md"))
    await ingest(ingestor, folder(), tenant="t")
    embedder.passages.clear()
    await ingest(ingestor, folder("a.md"), tenant="other")
    assert len(embedder.passages) == 1


async def test_token_and_sentence_vectors_come_back_too(sessions: Sessions, parser: Parser) -> None:
    embedder = SentenceEmbedder()
    ingestor = Ingestor(sessions, embedder, parser=parser, chunk_tokens=64)
    await ingest(ingestor, folder("a.md"))
    before = await vectors(sessions)
    assert None not in next(iter(before.values()))
    await ingest(ingestor, folder())
    assert not await vectors(sessions)
    embedder.passages.clear()
    await ingest(ingestor, folder("a.md"))
    assert embedder.passages == []
    assert await vectors(sessions) == before


async def test_vectors_are_kept_for_thirty_days(
    sessions: Sessions, database: Database, ingestor: Ingestor, embedder: WordEmbedder
) -> None:
    await ingest(ingestor, folder("a.md", "b.md"))
    await ingest(ingestor, folder())
    for days, left in ((29, 2), (31, 0)):
        async with sessions("t") as session:
            await session.execute(
                text("UPDATE kept_vectors SET deleted_at = now() - CAST(:age AS interval)"),
                {"age": timedelta(days=days)},
            )
        await maintenance.look(database, "t", now=(await now(sessions)))
        assert await kept(sessions) == left
    embedder.passages.clear()
    await ingest(ingestor, folder("a.md", "b.md"))
    assert len(embedder.passages) == 2


async def now(sessions: Sessions):  # type: ignore[no-untyped-def]
    async with sessions("t") as session:
        return await session.scalar(text("SELECT now()"))


async def test_deletion_by_a_person_keeps_nothing(sessions: Sessions, ingestor: Ingestor) -> None:
    await ingest(ingestor, folder("a.md"))
    async with sessions("t") as session:
        number = await session.scalar(text("SELECT id FROM documents"))
        await document_catalog.delete(session, "t", str(number))
    assert await kept(sessions) == 0


@pytest.mark.parametrize("kind", ["slack", "discord"])
async def test_deleted_messages_of_channels_leave_no_vectors(sessions: Sessions, ingestor: Ingestor, kind: str) -> None:
    source = folder("month.md")
    source.kind = kind
    await ingest(ingestor, source)
    source.items = [Fetched("month.md", b"# Note 0\n\nAnother text.")]
    await ingest(ingestor, source)
    source.items = []
    await ingest(ingestor, source)
    assert await kept(sessions) == 0


async def test_erasure_of_a_person_deletes_all_kept_vectors(sessions: Sessions, ingestor: Ingestor) -> None:
    await ingest(ingestor, folder("a.md"))
    await ingest(ingestor, folder())
    assert await kept(sessions) == 1
    async with sessions("t") as session:
        await message_erasure.erase_messages(session, tenant_id="t", user_id="U1")
    assert await kept(sessions) == 0


async def test_paragraph_that_is_repeated_later_gets_its_vector(
    sessions: Sessions, ingestor: Ingestor, embedder: WordEmbedder
) -> None:
    long = " ".join(["word"] * 50)
    await ingest(ingestor, folder("a.md", bodies=[f"# A\n\n{long}"]))
    embedder.passages.clear()
    await ingest(ingestor, folder("a.md", bodies=[f"# A\n\n{long}\n\n{long}"]))
    assert embedder.passages == []
    async with sessions("t") as session:
        assert await session.scalar(text("SELECT count(*) FROM embeddings")) == 2
    assert timedelta(days=30) == kept_vectors.KEPT
