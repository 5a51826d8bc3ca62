"""How long a cached answer is valid, and whether its question still finds the same passages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.engine import cache
from bot.types.answer_cache import CachedAnswer
from bot.types.display import Citation
from knowledge.errors import EmbeddingError
from knowledge.types.search_results import Found
from tests.engine.fakes import FakeStores, Library, Screen, Writer, passage, turn
from tests.engine.test_cached_answers import ASKED, KNOWN, Shelf, engine, similar
from tests.engine.test_engine import script

CITED = (Citation(1, "rules.md", "Rules", "Nine days."),)
ONE, OTHER = passage("A journey lasts nine days.", 1), passage("The canteen opens at noon.", 2)


@pytest.mark.parametrize(
    ("question", "answer", "lasting"),
    [
        ("How many days of leave do we get?", "Thirty [1].", "stable"),
        ("Wie viele Urlaubstage habe ich?", "Dreißig [1].", "stable"),
        ("Who is on call today?", "Ben [1].", "hour"),
        ("What is the current limit?", "180 EUR [1].", "hour"),
        ("What is the status of the migration?", "It runs [1].", "hour"),
        ("Wer hat heute Bereitschaft?", "Ben [1].", "hour"),
        ("How many days of leave do we get?", "Currently thirty [1].", "hour"),
    ],
)
def test_time_sensitive_answers_are_told_from_stable_ones(question: str, answer: str, lasting: str) -> None:
    assert cache.lifetime(question, answer, CITED) == lasting


def test_an_answer_that_cites_chat_or_nothing_is_time_sensitive() -> None:
    assert cache.lifetime("How many days of leave do we get?", "I do not know.", ()) == "hour"
    talk = (replace(CITED[0], source="slack:C1"),)
    assert cache.lifetime("How many days of leave do we get?", "Thirty [1].", talk) == "hour"


def test_the_evidence_digest_covers_passages_and_confidence() -> None:
    found = Found((ONE, OTHER), {}, 0.9, 1, weak_below=0.5, decline_below=0.2)
    same = replace(found, passages=(replace(OTHER, score=0.1), ONE), knowledge_version=7, confidence=0.8)
    assert cache.evidence(found) == cache.evidence(same)
    for other in (
        replace(found, passages=(ONE,)),
        replace(found, passages=(ONE, replace(OTHER, text="The canteen opens at one."))),
        replace(found, passages=(ONE, replace(OTHER, document_id="another"))),
        replace(found, confidence=0.4),
        replace(found, confidence=0.1),
    ):
        assert cache.evidence(other) != cache.evidence(found)


def stale(library: Library, **changes: object) -> CachedAnswer:
    found = Found(library.passages, {}, library.confidence, 1)
    made = replace(KNOWN, question=ASKED, evidence=cache.evidence(found), current=False)
    return replace(made, **changes)  # type: ignore[arg-type]


async def asked(
    known: CachedAnswer, library: Library, *, shelf: Shelf | None = None
) -> tuple[bool, FakeStores, Writer]:
    class Kept(FakeStores):
        async def cached(self, tenant_id: str, key: str) -> CachedAnswer | None:
            return None if shelf else known

    store, writer = Kept(), Writer([script("A journey lasts nine days [1].")])
    outcome = await engine(shelf or Shelf(), writer, store, search=library).handle(turn(ASKED), Screen())
    return outcome.cached, store, writer


async def test_a_cached_answer_is_valid_if_its_question_finds_the_same_passages() -> None:
    library = Library((ONE, OTHER))
    cached, store, writer = await asked(stale(library), library)
    assert (cached, store.stood, writer.prompts) == (True, [1], [])
    assert [query for query, _ in library.queries] == [ASKED]


async def test_a_cached_answer_is_dropped_if_its_question_finds_other_passages() -> None:
    library = Library((ONE, OTHER))
    known = stale(Library((ONE,)))
    cached, store, writer = await asked(known, library)
    assert (cached, store.stood, len(writer.prompts)) == (False, [], 1)
    assert [query for query, _ in library.queries] == [ASKED]


@pytest.mark.parametrize("change", [{"intact": False}, {"evidence": ""}])
async def test_a_cached_answer_that_cites_a_changed_document_is_dropped_at_once(change: dict[str, object]) -> None:
    library = Library((ONE, OTHER))
    cached, _, _ = await asked(stale(library, **change), library)
    assert not cached


async def test_a_similar_answer_is_validated_by_its_own_question() -> None:
    library = Library((ONE, OTHER))
    hit = similar()
    for known, given in ((stale(library, question=hit.question), True), (stale(Library((ONE,))), False)):
        library.queries.clear()
        shelf = Shelf([replace(hit, answer=known)])
        cached, _, _ = await asked(known, library, shelf=shelf)
        assert cached is given
        assert library.queries[0][0] == known.question


async def test_without_search_an_old_answer_is_not_reused() -> None:
    library = Library((ONE, OTHER), error=EmbeddingError("no model"))
    cached, _, _ = await asked(stale(library), library)
    assert not cached


async def test_the_evidence_of_an_answer_is_cached_with_it() -> None:
    library, store = Library((ONE, OTHER)), FakeStores()
    await engine(Shelf(), Writer([script("A journey lasts nine days [1].")]), store, search=library).handle(
        turn(ASKED), Screen()
    )
    (kept,) = store.kept
    assert kept.evidence == cache.evidence(Found(library.passages, {}, library.confidence, 1))
    assert (kept.question, kept.knowledge_version, kept.lasting) == (ASKED, 1, "stable")
