"""Tests the expansion of follow-up questions with terms and words of the thread."""

from __future__ import annotations

import pytest

from knowledge import bm25
from knowledge.bm25 import IndexedChunk
from knowledge.ingest import Ingestor
from knowledge.ports import Sessions
from knowledge.search.followup_queries import (
    MAX_EARLIER_QUESTIONS,
    MAX_TERMS,
    MAX_WORDS,
    earlier_terms,
    expand,
    leans_on_thread,
    unexpanded,
    with_carried_words,
)
from knowledge.search.retriever import Retriever
from knowledge.types.scope import Scope
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown

IDF = {"laptop": 4.0, "warranti": 5.0, "parent": 3.0, "leav": 2.0, "cost": 0.5}


def test_terms_of_a_single_question_are_weighted_by_frequency() -> None:
    asked = unexpanded("What does the laptop cost, the laptop?")
    assert asked.terms == {"laptop": 2.0, "cost": 1.0}
    assert (asked.words, asked.text) == ((), "What does the laptop cost, the laptop?")


def test_weights_of_earlier_questions_halve() -> None:
    asked = expand("How long?", ["Parental leave?", "The laptop warranty?"], {**IDF, "parent": 3.0})
    assert asked.terms["laptop"] == asked.terms["warranti"] == 0.5
    assert asked.terms["leav"] == 0.25
    assert asked.words[:2] == ("warranty", "laptop")


def test_terms_of_the_question_keep_their_weight() -> None:
    asked = expand("And the laptop?", ["Is the laptop under warranty?"], IDF)
    assert asked.terms == {"laptop": 1.0, "warranti": 0.5}
    assert asked.text == "And the laptop? warranty"


def test_words_that_occur_in_no_document_are_dropped() -> None:
    asked = expand("How long?", ["The qwertz warranty?"], IDF)
    assert (asked.words, "qwertz" in asked.terms) == (("warranty",), False)


def test_only_the_heaviest_terms_and_words_are_used() -> None:
    idf = {f"w{n}": float(n) for n in range(1, 60)}
    asked = expand("And?", [" ".join(idf)], idf)
    assert [term for term in asked.terms if term in idf] == [f"w{n}" for n in range(59, 59 - MAX_TERMS, -1)]
    assert asked.words == tuple(f"w{n}" for n in range(59, 59 - MAX_WORDS, -1))


def test_long_threads_and_long_questions_are_used_in_part() -> None:
    thread = [f"word{n}" for n in range(2000)]
    assert earlier_terms(thread) >= {"word1999"}
    assert "word1" not in earlier_terms(thread)
    assert len(earlier_terms(thread)) <= 3 * MAX_EARLIER_QUESTIONS
    assert len(earlier_terms(["abcd " * 20_000 + "zebra"])) == 1


async def test_idf_decreases_with_every_chunk_that_has_the_term(sessions: Sessions) -> None:
    async with sessions("t") as session:
        rows = [IndexedChunk(n, "tenant", ["common", f"w{n % 4}"]) for n in range(12)]
        await bm25.index(session, "t", [*rows, IndexedChunk(12, "tenant", ["rare"])])
        found = await bm25.idf(session, "t", ["common", "w1", "rare", "unheard"])
    assert found.keys() == {"common", "w1", "rare"}
    assert found["rare"] > found["w1"] > found["common"] == 0.0


async def test_weight_counts_as_a_fraction_of_an_occurrence(sessions: Sessions) -> None:
    async with sessions("t") as session:
        await bm25.index(session, "t", [IndexedChunk(n, "tenant", [f"w{n}", "x", f"y{n % 3}"]) for n in range(9)])
        whole = (await bm25.candidates(session, ["w1", "w2", "w2"], Scope("t"), 5)).chunks
        assert (await bm25.candidates(session, {"w1": 1.0, "w2": 2.0}, Scope("t"), 5)).chunks == whole
        halved = dict((await bm25.candidates(session, {"w1": 0.5}, Scope("t"), 5)).chunks)
    assert halved == {1: pytest.approx(dict(whole)[1] / 2)}


async def test_follow_up_finds_the_subject_of_the_thread(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    pages = [
        markdown(f"{topic}.md", f"# {topic}\n\nThe {topic} lasts {n} years and may be renewed.")
        for n, topic in enumerate(("warranty", "lease", "visa", "permit", "licence", "contract"))
    ]
    await ingestor.ingest([ListSource("list", *pages)], tenant_id="t")
    retriever = Retriever(sessions, embedder)
    found = await retriever("How many years does it last?", Scope("t"), k=1, earlier=["Tell me about the visa."])
    assert found.passages[0].title == "visa"
    assert found.searched == "How many years does it last? visa"
    changed = await retriever("And the permit?", Scope("t"), k=1, earlier=["Tell me about the visa."])
    assert changed.passages[0].title == "permit"


@pytest.mark.parametrize(
    ("question", "leans"),
    [
        ("And in Paris?", True),
        ("What was it before?", True),
        ("Why?", True),
        ("How long does that take?", True),
        ("How many days of leave does somebody in their second year have?", False),
        ("Which laptop models may engineers in Ghent choose from?", False),
    ],
)
def test_which_questions_need_the_thread(question: str, leans: bool) -> None:
    assert leans_on_thread(question) is leans


def test_a_follow_up_takes_over_the_words_of_the_question_before_it() -> None:
    query = with_carried_words("And in Paris?", ["How much may a hotel in London cost?"])
    assert query.startswith("And in Paris?")
    assert {"hotel", "London", "cost"} <= set(query.split())


def test_a_follow_up_of_a_follow_up_reaches_the_question_that_opened_the_subject() -> None:
    asked = [
        "When were dogs first allowed in the office kitchen?",
        "How much may a hotel in London cost?",
        "And in Paris?",
    ]
    query = with_carried_words("What was it before?", asked)
    assert {"Paris", "hotel", "London"} <= set(query.split())
    assert "dogs" not in query


def test_a_question_that_does_not_lean_on_its_thread_is_unchanged() -> None:
    question = "Which laptop models may engineers in Ghent choose from?"
    assert with_carried_words(question, ["How much may a hotel cost?"]) == question
    assert with_carried_words("And then?", []) == "And then?"
