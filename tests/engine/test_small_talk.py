"""Messages that ask nothing, through the whole engine: nothing is looked up, rated, searched or recalled for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from bot.config import Settings
from bot.engine.engine import Engine
from bot.engine.memory import Remembered, StatedFact
from bot.engine.ports.answer_cache import SimilarAnswer
from bot.engine.ports.classifier import Verdict
from bot.engine.ports.llm import Meter
from bot.types.answer_cache import CachedAnswer
from bot.types.conversation import Fact, History, PastMessage
from bot.types.turns import Turn
from tests.engine.fakes import NOON, FakeStores, Library, Screen, Writer, turn, words
from tests.engine.test_engine import script

LONG_THREAD = History("", 0, tuple(PastMessage(n, "user", "Ann", "word " * 200, 200, NOON) for n in range(30)))


@dataclass
class Watched:
    """The answer cache, the thread's memory, the classifier and the search; each records what it was asked to do."""

    calls: list[str] = field(default_factory=list)

    async def near(self, turn: Turn, ground: str) -> Sequence[SimilarAnswer]:
        self.calls.append("near")
        return ()

    async def keep(self, turn: Turn, key: str, ground: str) -> None:
        self.calls.append("keep")

    async def note(self, turn: Turn, hit: SimilarAnswer, *, shadow: bool, right: bool | None = None) -> None:
        self.calls.append("note")

    async def asked_afresh(self, turn: Turn) -> None:
        self.calls.append("asked_afresh")

    async def claim_question(self, turn: Turn, key: str) -> bool:
        self.calls.append("claim_question")
        return True

    async def older(self, turn: Turn, query: str) -> Sequence[Remembered]:
        self.calls.append("older")
        return ()

    async def facts(self, turn: Turn) -> Sequence[Fact]:
        return ()

    async def learn(self, turn: Turn, said: Sequence[StatedFact]) -> None:
        self.calls.append("learn")

    async def index(self, turn: Turn) -> None:
        self.calls.append("index")

    def terms(self, text: str) -> list[str]:
        return text.lower().split()

    async def __call__(self, question: str, *, query: str, meter: Meter) -> Verdict:
        self.calls.append("classify")
        return Verdict("strong", True, "rated")


@dataclass
class Looked(FakeStores):
    """Stores that record every look into the answer cache."""

    looks: int = 0

    async def cached(self, tenant_id: str, key: str) -> CachedAnswer | None:
        self.looks += 1
        return None


def engine(watched: Watched, store: FakeStores, library: Library) -> Engine:
    return Engine(
        stores=store.stores,
        search=library,
        llm=Writer([script("You are welcome.")]),
        settings=Settings(_env_file=None),
        count_tokens=words,
        classifier=watched,
        memory=watched,
        similar=watched,
    )


@pytest.mark.parametrize("past", [History("", 0, ()), LONG_THREAD])
async def test_small_talk_embeds_nothing_and_asks_no_classifier(past: History) -> None:
    watched, store, library = Watched(), Looked(past=past), Library()
    outcome = await engine(watched, store, library).handle(turn("hi"), Screen())
    assert (outcome.state, outcome.answer, outcome.cached) == ("done", "You are welcome.", False)
    assert (watched.calls, store.looks, library.queries) == ([], 0, [])
    assert outcome.route is not None
    assert (outcome.route.tier, outcome.route.reason) == ("cheap", "the message is small talk")
    assert store.answers == {}


async def test_a_statement_is_stored_and_recalled_for_but_not_looked_up() -> None:
    watched, store, library = Watched(), Looked(past=LONG_THREAD), Library()
    await engine(watched, store, library).handle(turn("We decided to move to Oslo."), Screen())
    assert (watched.calls, store.looks, library.queries) == (["learn", "classify", "older"], 0, [])


async def test_a_question_is_looked_up_rated_and_searched() -> None:
    watched, store, library = Watched(), Looked(), Library()
    await engine(watched, store, library).handle(turn("How long may a journey last?"), Screen())
    assert watched.calls == ["classify", "near", "claim_question", "keep"]
    assert (store.looks, len(library.queries)) == (2, 1)
