"""Documents that say of themselves that they are no longer in force are recognized, marked and ranked lower."""

from __future__ import annotations

from datetime import date

import pytest

from knowledge.ingest import Ingestor
from knowledge.ports import Sessions
from knowledge.search.retriever import Retriever
from knowledge.superseded import note, ranked_lower
from knowledge.types.scope import Scope
from knowledge.types.search_results import Passage
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown

TODAY = date(2026, 11, 30)


@pytest.mark.parametrize(
    ("title", "opening", "expected"),
    [
        ("Travel 2024 (superseded)", "Hotels\nThe limit is 160 EUR.", "superseded"),
        ("[Obsolete] Travel", "", "superseded"),
        ("", "TRAVEL POLICY 2024  (SUPERSEDED)\n\nOwner: Finance", "superseded"),
        ("Travel", "Superseded on 1 March 2026 by Expenses.", "superseded since 2026-03-01"),
        ("Travel", "Valid from 1 January 2024 until 28 February 2026.", "superseded since 2026-03-01"),
        ("Travel", "Valid until 31 December 2027.", ""),
        ("Travel", "Status: retired", "superseded"),
        ("Travel", "This policy has been replaced by Expenses and travel.", "superseded"),
        ("Reisen", "Diese Richtlinie ist veraltet.", "superseded"),
        ("Reisen", "Gültig bis 31. Januar 2026", "superseded since 2026-02-01"),
        ("Voyages", "Ce document est obsolète : this page was replaced by the intranet.", "superseded"),
        ("Viajes", "Este documento ha sido sustituido.", "superseded"),
        # What says something about other things says nothing about the document.
        ("Deprecated calls of the API", "Deprecated calls are listed here.", ""),
        ("Expenses", "Applies from 1 March 2026. Replaces the travel policy 2024, which is superseded.", ""),
        ("Keys", "Codes by text message were replaced by keys.", ""),
        ("Benefits", "Retired people are welcome.", ""),
        ("Leave", "You may apply until 31 March 2026.", ""),
        ("Old", "\n\n".join(["A line."] * 20) + "\n\nThis page is obsolete.", ""),
    ],
)
def test_only_what_a_document_says_of_itself_counts(title: str, opening: str, expected: str) -> None:
    assert note(title, opening, TODAY) == expected


def _passage(n: int, *, superseded: bool = False, title: str = "Travel policy 2024 (superseded)") -> Passage:
    return Passage(n, str(n), "text", "s", title, (), 0, 4, None, 1.0, superseded=superseded)


def test_it_comes_three_places_later() -> None:
    found = ranked_lower([_passage(0, superseded=True), *map(_passage, range(1, 6))], "What is the hotel limit?")
    assert [one.chunk_id for one in found] == [1, 2, 3, 0, 4, 5]


@pytest.mark.parametrize("question", ["What was the limit in 2024?", "What did the old policy say?"])
def test_a_question_about_the_past_keeps_its_order(question: str) -> None:
    found = ranked_lower([_passage(0, superseded=True), _passage(1)], question)
    assert [(one.chunk_id, one.superseded) for one in found] == [(0, False), (1, False)]


async def test_a_superseded_document_is_found_marked_and_below_the_one_in_force(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    old = markdown("old.md", "# Travel 2024\n\nValid until 28 February 2026.\n\nThe hotel limit in Berlin is 160 EUR.")
    current = markdown("new.md", "# Travel\n\nThe hotel limit in Berlin is 140 EUR a night since spring.")
    await ingestor.ingest([ListSource("list", old, current)], tenant_id="t")
    found = await Retriever(sessions, embedder)("What is the hotel limit in Berlin?", Scope("t"))
    assert [(one.title, one.superseded) for one in found.passages] == [
        ("Travel", False),
        ("Travel 2024 (superseded since 2026-03-01)", True),
    ]
    found = await Retriever(sessions, embedder)("What was the hotel limit in Berlin in 2024?", Scope("t"))
    assert {one.title: one.superseded for one in found.passages} == {
        "Travel": False,
        "Travel 2024 (superseded since 2026-03-01)": False,
    }
