"""A question with parts is searched for each of them, within a bound, and its answer may use what each found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.config import Settings
from bot.engine.engine import Engine
from bot.engine.ports.llm import Message, Meter, Prompt
from bot.engine.ports.rewriter import Rewritten
from bot.types.conversation import History, PastMessage
from knowledge.compound_questions import QuestionPart
from knowledge.types.scope import Scope
from knowledge.types.search_results import Found, Passage
from tests.engine.fakes import NOON, FakeStores, Library, Screen, Writer, passage, turn
from tests.engine.test_engine import script

COMPARE = "What may a hotel cost in London and in Ghent?"
PARTS = ("What may a hotel cost in London?", "What may a hotel cost in Ghent?")
LONDON, GHENT = passage("A hotel in London may cost 220 EUR.", 1), passage("A hotel in Ghent may cost 140 EUR.", 2)
ANSWER = "In London 220 EUR for a hotel [1]. In Ghent 140 EUR for a hotel [2]."
MAX_SEARCHES = 6


class Cities(Library):
    """Finds for each question only the passages of the first city that it names."""

    async def __call__(self, query: str, scope: Scope, *, k: int = 5, earlier: Sequence[str] = ()) -> Found:
        await super().__call__(query, scope, k=k, earlier=earlier)
        found: tuple[Passage, ...] = (LONDON,) if "London" in query else (GHENT,) if "Ghent" in query else ()
        return Found(found, {"total": 1.0}, 0.9 if found else 0.0, 1, searched=query)


class Divides:
    """A rewriter that returns parts."""

    def prompt(self, question: str, past: Sequence[PastMessage], *, cache_key: str = "") -> Prompt:
        return Prompt("rewrite", "cheap", "Reword.", (Message("user", question),), max_tokens=10)

    async def __call__(self, request: Prompt, *, meter: Meter) -> Rewritten:
        return Rewritten("Compare the limits.", parts=tuple(QuestionPart(one, one) for one in (*PARTS, "Oslo?")))


def engine(
    library: Library, writer: Writer, *, past: tuple[PastMessage, ...] = (), rewriter: Divides | None = None
) -> Engine:
    return Engine(
        stores=FakeStores(past=History("", 0, past)).stores,
        search=library,
        llm=writer,
        settings=Settings(_env_file=None, PARLEY_ANSWER_CACHE_HOURS=0),
        count_tokens=lambda text: len(text.split()),
        rewriter=rewriter,
        clock=lambda: NOON,
    )


async def test_each_part_is_searched_and_the_answer_cites_what_they_found() -> None:
    library, writer = Cities(), Writer([script(ANSWER)])
    outcome = await engine(library, writer).handle(turn(COMPARE), Screen())
    assert sorted(query for query, _ in library.queries) == sorted((COMPARE, *PARTS))
    assert [one.quote for one in outcome.citations] == [LONDON.text, GHENT.text]
    assert [(part.text, part.passages) for part in writer.prompts[0].parts] == [
        (PARTS[0], (LONDON,)),
        (PARTS[1], (GHENT,)),
    ]
    assert outcome.trace["searched"] == " | ".join((COMPARE, *PARTS))


async def test_a_part_that_leans_on_the_one_before_is_searched_with_it() -> None:
    library = Cities()
    await engine(library, Writer([script(ANSWER)])).handle(
        turn("How long is the leave in London, and who approves it?"), Screen()
    )
    by_query = dict(zip((query for query, _ in library.queries), library.earlier, strict=True))
    assert by_query["who approves it?"] == ("How long is the leave in London",)


async def test_a_simple_question_is_searched_once() -> None:
    library = Cities()
    await engine(library, Writer([script(ANSWER)])).handle(turn(PARTS[0]), Screen())
    assert len(library.queries) == 1


async def test_the_model_that_rewrites_a_question_may_name_its_parts() -> None:
    past = (PastMessage(1, "user", "Ann", "What are the hotel limits?", 5, NOON),)
    library, writer = Cities(), Writer([script(ANSWER)])
    asked = turn("And which of them is higher?")
    outcome = await engine(library, writer, past=past, rewriter=Divides()).handle(asked, Screen())
    assert {query for query, _ in library.queries} == {asked.question, "Compare the limits.", *PARTS, "Oslo?"}
    assert len(library.queries) <= MAX_SEARCHES
    assert [one.quote for one in outcome.citations] == [LONDON.text, GHENT.text]


async def test_a_cached_answer_is_checked_by_what_the_whole_and_its_parts_find() -> None:
    store, library = FakeStores(), Cities()
    made = Engine(
        stores=store.stores,
        search=library,
        llm=Writer([script(ANSWER)]),
        settings=Settings(_env_file=None),
        count_tokens=lambda text: len(text.split()),
        clock=lambda: NOON,
    )
    await made.handle(turn(COMPARE), Screen())
    (key, known), (note,) = next(iter(store.answers.items())), store.kept
    store.answers[key] = replace(known, question=note.question, evidence=note.evidence, current=False)
    assert (await made.handle(turn(COMPARE, id="t2"), Screen())).cached
