"""The order in which documents were added changes no search result and no quote."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bot.llm.quoting.quote_selection import best_quotes
from knowledge import sample
from knowledge.embedders import SentenceTransformerEmbedder
from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Embedder, Sessions
from knowledge.search.fusion import Fusion
from knowledge.search.rerankers import build_reranker
from knowledge.search.retriever import Retriever
from knowledge.search.vector_search import SAMPLE_SIZE, cosine_spread
from knowledge.types.scope import Scope
from knowledge.types.search_results import Found
from knowledge.types.source_items import Fetched
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown

QUESTIONS = (
    "And in Trondheim?",
    "What are the anchor days of each office?",
    "Which offices do we have?",
    "What is the hotel limit in London and in Ghent?",
    "Who may approve a hotfix?",
    "How long is the retention of the audit log?",
)


async def ingest(pages: Sequence[Fetched], tenant: str, sessions: Sessions, embedder: Embedder, parser: Parser) -> None:
    ingestor = Ingestor(sessions, embedder, parser=parser, chunk_tokens=64)
    for page in pages:
        report = await ingestor.ingest([ListSource(page.uri, page)], tenant_id=tenant)
        assert not report.failed


def places(found: Found) -> list[tuple[str, int, int]]:
    return [(one.source, one.start, one.end) for one in found.passages]


async def test_the_same_documents_give_the_same_answers_in_any_order(sessions: Sessions, parser: Parser) -> None:
    embedder = SentenceTransformerEmbedder()
    files = sorted(path for path in sample.path().rglob("*") if path.suffix in (".md", ".txt", ".html"))
    pages = [Fetched(path.name, path.read_bytes()) for path in files]
    await ingest(pages, "a", sessions, embedder, parser)
    # All at once, in the other order: the chunks are encoded in other batches.
    ingestor = Ingestor(sessions, embedder, parser=parser, chunk_tokens=64)
    await ingestor.ingest([ListSource("all", *reversed(pages))], tenant_id="b")
    retriever = Retriever(sessions, embedder, build_reranker("late-interaction", embedder))
    for question in QUESTIONS:
        one, other = [await retriever(question, Scope(tenant)) for tenant in ("a", "b")]
        assert places(one) == places(other)
        assert (one.confidence, best_quotes(question, one.passages)) == (
            other.confidence,
            best_quotes(question, other.passages),
        )
    await embedder.aclose()


@pytest.mark.parametrize("fusion", ["convex", "rrf"])
async def test_passages_that_score_equally_are_in_the_order_of_their_sources(
    sessions: Sessions, embedder: WordEmbedder, parser: Parser, fusion: Fusion
) -> None:
    pages = [
        markdown(f"{n}.md", f"# Gate\n\nThe gate opens at {word}.") for n, word in enumerate(("six", "ten", "two"))
    ]
    retriever = Retriever(sessions, embedder, fusion=fusion)
    for tenant, order in (("a", pages), ("b", pages[::-1])):
        await ingest(order, tenant, sessions, embedder, parser)
        found = await retriever("When does the gate open?", Scope(tenant), k=3)
        assert [one.source for one in found.passages] == ["0.md", "1.md", "2.md"]


async def test_the_spread_of_cosines_does_not_depend_on_the_order_of_documents(
    sessions: Sessions, embedder: WordEmbedder, parser: Parser
) -> None:
    paragraphs = [f"# {n}\n\nGate{n} is about word{n % 7} and thing{n % 31}.\n\n" for n in range(SAMPLE_SIZE + 60)]
    pages = [markdown(f"{start}.md", "".join(paragraphs[start::3])) for start in range(3)]
    vector = (await embedder.encode(["word3 of gate9"], "query")).vectors[0]
    spreads = []
    for tenant, order in (("a", pages), ("b", pages[::-1])):
        ingestor = Ingestor(sessions, embedder, parser=parser, chunk_tokens=12)
        reports = [await ingestor.ingest([ListSource(page.uri, page)], tenant_id=tenant) for page in order]
        assert sum(report.chunks for report in reports) > SAMPLE_SIZE
        async with sessions(tenant) as session:
            spreads.append(await cosine_spread(session, vector, Scope(tenant), model=embedder.model))
    assert spreads[0].mean == pytest.approx(spreads[1].mean, rel=1e-12)
    assert spreads[0].deviation == pytest.approx(spreads[1].deviation, rel=1e-12)
