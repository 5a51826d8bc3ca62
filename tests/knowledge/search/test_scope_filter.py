"""Compares filtered dense and sparse search with a check of every document, on a real Postgres."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from knowledge import bm25, scope_filter
from knowledge.ingest import Ingestor
from knowledge.metadata import LAST_MODIFIED, as_date, dated_at
from knowledge.parsing.parsers import parse
from knowledge.ports import Sessions
from knowledge.scope_filter import passing
from knowledge.search import vector_search
from knowledge.search.retriever import Retriever
from knowledge.store.chunk_lookup import chunk_spans
from knowledge.text.search_terms import query_terms
from knowledge.types.scope import EVERYTHING, Filter, Scope
from knowledge.types.source_items import Fetched
from tests.knowledge.fakes import ListSource, WordEmbedder

WORDS = [f"word{n}" for n in range(30)]
FILTERS = (
    EVERYTHING,
    Filter(sources=("docs/a",)),
    Filter(sources=("docs/a/", "wiki")),
    Filter(sources=()),
    Filter(sources=("50%_x",)),
    Filter(formats=("HTML",)),
    Filter(kinds=("list",), formats=("markdown", "html"), languages=("de",)),
    Filter(kinds=("folder",)),
    Filter(authors=("ann",)),
    Filter(since=datetime(2024, 6, 1, tzinfo=UTC)),
    Filter(since=datetime(2023, 1, 1, tzinfo=UTC), until=datetime(2024, 1, 1, tzinfo=UTC)),
    Filter(sources=("docs",), languages=("en",), until=datetime(2024, 6, 1, tzinfo=UTC)),
)


def world(random_: random.Random) -> dict[str, list[Fetched]]:
    """Return documents of two sources with various metadata."""
    made: dict[str, list[Fetched]] = {"docs": [], "wiki:main": []}
    for number, source in product(range(40), made):
        words = " ".join(random_.choices(WORDS, k=20))
        html = random_.random() < 0.4
        body = f"<html><body><p>{words}.</p></body></html>" if html else f"{words}."
        name = f"{random_.choice(('docs/a/', 'docs/ab/', 'docs/b/', '50%_x/'))}{source}{number}"
        metadata = {"language": random_.choice(("de", "en")), "author": random_.choice(("Ann", "Bob"))}
        if random_.random() < 0.8:
            metadata["date"] = f"{random_.choice((2023, 2024, 2025))}-03-01"
        made[source].append(Fetched(name + (".html" if html else ".md"), body.encode(), metadata=metadata))
    return made


def passes(wanted: Filter, source: str, document: Fetched) -> bool:
    """Implement the filter as its docstring describes it."""
    told = {**document.metadata, "format": "html" if document.uri.endswith("html") else "markdown", "kind": "list"}
    date = as_date(told.get("date", "")) or datetime.now(UTC)
    lists = (
        (wanted.kinds, told["kind"]),
        (wanted.formats, told["format"]),
        (wanted.languages, told["language"]),
        (wanted.authors, told["author"]),
    )
    return (
        (wanted.sources is None or document.uri.startswith(wanted.sources) or source.startswith(wanted.sources))
        and all(allowed is None or value.lower() in map(str.lower, allowed) for allowed, value in lists)
        and (wanted.since is None or date >= wanted.since)
        and (wanted.until is None or date < wanted.until)
    )


@pytest.fixture
async def filled(ingestor: Ingestor, sessions: Sessions) -> dict[str, list[Fetched]]:
    made = world(random.Random(3))
    for source, documents in made.items():
        await ingestor.ingest([ListSource(source, *documents)], tenant_id="t")
    await ingestor.ingest([ListSource("docs", *made["docs"])], tenant_id="other")
    return made


async def test_filtered_searches_equal_a_full_scan(
    filled: dict[str, list[Fetched]], sessions: Sessions, embedder: WordEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = "word1 word2 word3"
    vector = (await embedder.encode([question], "query")).vectors[0]
    async with sessions("t") as session:
        names = {number: name for number, (name, *_) in (await chunk_spans(session, Scope("t"))).items()}
        all_dense = await vector_search.nearest_chunks(session, vector, Scope("t"), 1000, model="words")
        all_sparse = (await bm25.candidates(session, query_terms(question), Scope("t"), 1000)).chunks
        for wanted in FILTERS:
            allowed = {one.uri for source, ones in filled.items() for one in ones if passes(wanted, source, one)}
            scope = Scope("t", filter=wanted)
            dense = [pair for pair in all_dense if names[pair[0]] in allowed]
            sparse = [pair for pair in all_sparse if names[pair[0]] in allowed]
            assert await vector_search.nearest_chunks(session, vector, scope, 10, model="words") == dense[:10], wanted
            assert (await bm25.candidates(session, query_terms(question), scope, 10)).chunks == sparse[:10], wanted
            numbers = await passing(session, scope)
            assert (numbers is None) == (wanted == EVERYTHING)
            if numbers is not None:
                assert {names[number] for number in numbers.tolist()} == allowed
        monkeypatch.setattr(vector_search, "EXACT_ROWS", 0)
        for wanted in FILTERS:
            allowed = {one.uri for source, ones in filled.items() for one in ones if passes(wanted, source, one)}
            indexed = await vector_search.nearest_chunks(session, vector, Scope("t", filter=wanted), 10, model="words")
            assert {names[number] for number, _ in indexed} <= allowed
            assert len(indexed) == min(10, len([n for n, _ in all_dense if names[n] in allowed]))


async def test_searched_documents_are_counted_once(
    filled: dict[str, list[Fetched]], sessions: Sessions, embedder: WordEmbedder
) -> None:
    long = "\n\n".join(" ".join(f"{word}{place}" for word in WORDS) + "." for place in range(40))
    ingestor = Ingestor(sessions, embedder, chunk_tokens=64)
    unread = Fetched("docs/a/broken.pdf", b"%PDF-1.4 nothing of the kind")
    read = Fetched("docs/a/long.md", long.encode(), metadata={"author": "Ann", "language": "en"})
    report = await ingestor.ingest([ListSource("long", read, unread)], tenant_id="t")
    await ingestor.aclose()
    assert report.chunks > 2
    assert len(report.failed) == 1
    everything = [("long", read), *((source, one) for source, ones in filled.items() for one in ones)]
    async with sessions("t") as session:
        for wanted in (EVERYTHING, Filter(sources=("docs/a/",)), Filter(authors=("ann",)), Filter(sources=())):
            allowed = sum(passes(wanted, source, one) for source, one in everything)
            assert await scope_filter.count_documents(session, Scope("t", filter=wanted)) == allowed, wanted
        assert await scope_filter.count_documents(session, Scope("t", ("elsewhere",))) == 0


async def test_search_is_limited_to_the_channel(
    filled: dict[str, list[Fetched]], sessions: Sessions, embedder: WordEmbedder
) -> None:
    scope = Scope("t").narrowed(Filter(sources=("docs/a/",))).narrowed(Filter(sources=("docs",), formats=("html",)))
    found = await Retriever(sessions, embedder)("word1 word2", scope, k=20)
    assert found.passages
    assert all(p.source.startswith("docs/a/") and p.source.endswith("html") for p in found.passages)
    nothing = await Retriever(sessions, embedder)("word1 word2", scope.narrowed(Filter(sources=("wiki",))), k=20)
    assert nothing.passages == ()


async def test_undated_document_keeps_the_date_its_content_was_first_seen(
    sessions: Sessions, embedder: WordEmbedder
) -> None:
    day = datetime(2025, 1, 1, tzinfo=UTC)
    for now, body in ((day, b"one"), (day.replace(day=2), b"one"), (day.replace(day=3), b"two")):
        ingestor = Ingestor(sessions, embedder, clock=lambda now=now: now)  # type: ignore[misc]
        await ingestor.ingest([ListSource("s", Fetched("a.md", body))], tenant_id="t")
        await ingestor.aclose()
        async with sessions("t") as session:
            dated, fetched = (await session.execute(text("SELECT dated_at, fetched_at FROM documents"))).one()
        assert fetched == now
        assert dated == (day if body == b"one" else now)


def test_metadata_of_parsed_documents() -> None:
    mail = b"From: Ann <a@x.example>\nDate: Mon, 06 Jan 2025 10:00:00 +0100\nSubject: Hi\n\nHello.\n"
    told = parse(mail, "a.eml").metadata
    assert told == {"author": "Ann <a@x.example>", "date": "Mon, 06 Jan 2025 10:00:00 +0100", "format": "mail"}
    assert dated_at(told) == datetime(2025, 1, 6, 9, tzinfo=UTC)
    page = b"<!doctype html><html lang='de'><body><p>Guten Tag, wie geht es?</p></body></html>"
    assert parse(page, "a.html").metadata == {"language": "de", "format": "html"}
    assert parse(b"# A\n\ntext", "a.md").metadata == {"format": "markdown"}


def test_date_formats_are_parsed() -> None:
    assert as_date("2024-02-03") == datetime(2024, 2, 3, tzinfo=UTC)
    assert dated_at({LAST_MODIFIED: "Wed, 21 Oct 2015 07:28:00 GMT"}) == datetime(2015, 10, 21, 7, 28, tzinfo=UTC)
    assert dated_at({"date": "yesterday", LAST_MODIFIED: ""}) is None


PREFIXES = st.none() | st.lists(st.text("ab", max_size=3), max_size=3).map(tuple)


@given(PREFIXES, PREFIXES, st.text("ab", max_size=5))
def test_combined_filter_passes_what_both_pass(
    one: tuple[str, ...] | None, other: tuple[str, ...] | None, name: str
) -> None:
    both = (Filter(sources=one) & Filter(sources=other)).sources
    assert (both is None or name.startswith(both)) == all(p is None or name.startswith(p) for p in (one, other))


def test_all_conditions_are_combined() -> None:
    early, late = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    one = Filter(formats=("PDF", "html"), since=early, until=late)
    joined = one & Filter(formats=("pdf",), since=late, until=early)
    assert joined == Filter(formats=("PDF",), since=late, until=early)
    assert (Filter(kinds=("url",)) & EVERYTHING) == Filter(kinds=("url",))
