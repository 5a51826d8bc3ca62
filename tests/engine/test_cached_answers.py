"""Cached answers in place of a model call, through the whole engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bot.config import Settings
from bot.engine.answer.cached import is_sampled
from bot.engine.cache.matching import Observation
from bot.engine.engine import Engine
from bot.engine.ports.answer_cache import SimilarAnswer
from bot.types.answer_cache import CachedAnswer
from bot.types.turns import Turn
from tests.engine.fakes import NOON, FakeStores, Library, Screen, Writer, turn
from tests.engine.test_engine import script

KNOWN = CachedAnswer("00000000-0000-0000-0000-0000000000aa", "Press the red button.", (), NOON)
ASKED, OTHER = "How can I stop the press?", "What is the best way to stop the press?"


@dataclass
class Shelf:
    """SimilarAnswers in memory."""

    entries: Sequence[SimilarAnswer] = ()
    airborne: int = 0
    noted: list[tuple[str, bool, bool | None]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    afresh: list[str] = field(default_factory=list)

    async def near(self, turn: Turn, ground: str) -> Sequence[SimilarAnswer]:
        return self.entries

    async def keep(self, turn: Turn, key: str, ground: str) -> None:
        self.kept.append(key)

    async def note(self, turn: Turn, hit: SimilarAnswer, *, shadow: bool, right: bool | None = None) -> None:
        self.noted.append((hit.key, shadow, right))

    async def asked_afresh(self, turn: Turn) -> None:
        self.afresh.append(turn.id)

    async def claim_question(self, turn: Turn, key: str) -> bool:
        self.airborne -= 1
        return self.airborne < 0


def similar(question: str = OTHER, *, observed: Sequence[Observation] = ()) -> SimilarAnswer:
    return SimilarAnswer("k1", question, 0.93, tuple(observed), KNOWN)


def engine(
    shelf: Shelf,
    writer: Writer,
    memory: FakeStores | None = None,
    *,
    shadow: float = 0.0,
    search: Library | None = None,
) -> Engine:
    made = Settings(_env_file=None, PARLEY_CACHE_SHADOW=shadow)
    return Engine(
        stores=(memory or FakeStores()).stores,
        search=search or Library(),
        llm=writer,
        settings=made,
        count_tokens=lambda text: len(text.split()),
        similar=shelf,
    )


async def test_the_same_question_in_other_words_costs_no_call() -> None:
    shelf, writer = Shelf([similar()]), Writer([script("New.")])
    outcome = await engine(shelf, writer).handle(turn(ASKED), Screen())
    assert (outcome.answer, outcome.cached, outcome.calls) == (KNOWN.answer, True, ())
    assert writer.prompts == []
    assert shelf.noted == [("k1", False, None)]
    assert shelf.kept == []


async def test_another_question_and_a_rejected_entry_are_answered() -> None:
    for entry in (similar("Why can I stop the press?"), similar(observed=[Observation(0.93, right=False)])):
        shelf, writer = Shelf([entry]), Writer([script("New.")])
        outcome = await engine(shelf, writer).handle(turn(ASKED), Screen())
        assert (outcome.answer, outcome.cached) == ("New.", False)
        assert (shelf.noted, len(shelf.kept)) == ([], 1)


async def test_a_shadow_hit_is_answered_anew_and_compared() -> None:
    shelf, writer = Shelf([similar()]), Writer([script("It takes 3 levers.")])
    outcome = await engine(shelf, writer, shadow=1.0).handle(turn(ASKED), Screen())
    assert (outcome.answer, outcome.cached) == ("It takes 3 levers.", False)
    assert shelf.noted == [("k1", True, False)]
    same = Shelf([similar()])
    await engine(same, Writer([script("Press the red button.")]), shadow=1.0).handle(turn(ASKED), Screen())
    assert same.noted == [("k1", True, True)]


async def test_asking_again_rejects_the_cached_answer_and_is_answered() -> None:
    shelf, writer = Shelf([similar()]), Writer([script("New.")])
    asked = replace(turn(ASKED), fresh=True)
    outcome = await engine(shelf, writer).handle(asked, Screen())
    assert (outcome.cached, shelf.afresh) == (False, [asked.id])


async def test_an_identical_question_waits_for_the_answer_in_progress() -> None:
    class Answering(FakeStores):
        looks = 0

        async def cached(self, tenant_id: str, key: str) -> CachedAnswer | None:
            self.looks += 1
            return KNOWN if self.looks > 1 else None

    writer = Writer([script("New.")])
    outcome = await engine(Shelf(airborne=1), writer, Answering()).handle(turn(ASKED), Screen())
    assert (outcome.answer, outcome.calls, writer.prompts) == (KNOWN.answer, (), [])


async def test_a_waiting_turn_checks_an_outdated_answer_with_one_search() -> None:
    outdated = replace(KNOWN, question="how can I stop the press", evidence="other", current=False)

    class Outdated(FakeStores):
        async def cached(self, tenant_id: str, key: str) -> CachedAnswer | None:
            return outdated

    library = Library()
    outcome = await engine(Shelf(airborne=2), Writer([script("New.")]), Outdated(), search=library).handle(
        turn(ASKED), Screen()
    )
    assert (outcome.answer, outcome.cached) == ("New.", False)
    assert [query for query, _ in library.queries].count(outdated.question) == 1


async def test_a_waiting_turn_answers_if_the_first_one_fails() -> None:
    outcome = await engine(Shelf(airborne=1), Writer([script("New.")])).handle(turn(ASKED), Screen())
    assert (outcome.answer, outcome.cached) == ("New.", False)


def test_the_shadow_sample_has_its_share_and_is_deterministic() -> None:
    ids = [f"turn {n}" for n in range(2000)]
    drawn = [one for one in ids if is_sampled(one, 0.1)]
    assert 120 < len(drawn) < 280
    assert [one for one in ids if is_sampled(one, 0.1)] == drawn
    assert not any(is_sampled(one, 0.0) for one in ids)
