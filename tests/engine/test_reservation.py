"""Tokens reserved in advance: billed calls need a reservation, and an asker with too few tokens is refused before the
search.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from bot.config import Settings
from bot.engine.aio import closing
from bot.engine.answer import budget_limits
from bot.engine.engine import Engine
from bot.engine.ports.classifier import Verdict
from bot.engine.ports.llm import Event, Message, Meter, Prompt, RecordingMeter
from bot.engine.ports.rewriter import Rewritten
from bot.types.conversation import History, PastMessage
from bot.types.turns import Turn, TurnRecord
from tests.engine.fakes import NOON, FakeStores, Library, Screen, Writer, call, passage, says, turn, words

ANSWER = "A journey may last at most nine days [1]."
RULE = passage("A journey may last at most nine days. Longer ones need a yes from Finance.")


class Accepted(FakeStores):
    """A store that reserved tokens when it accepted the question."""

    ahead: int = 4000

    async def turn_record(self, turn: Turn) -> TurnRecord:
        turn_record = await super().turn_record(turn)
        return replace(turn_record, reservation=await self.reserve(turn, self.ahead))


class Opens(Writer):
    """A Writer that records its calls before they are sent, as providers do."""

    async def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncIterator[Event]:
        assert isinstance(meter, RecordingMeter)
        await meter.opens(replace(call(900, 0), status="open"))
        async with closing(super().stream(prompt, meter=meter)) as events:
            async for event in events:
                yield event


class Judge:
    """A classifier whose rating is a billed call."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, question: str, *, query: str, meter: Meter) -> Verdict:
        self.asked += 1
        assert isinstance(meter, RecordingMeter)
        rating = replace(call(80, 0, "open"), purpose="route")
        await meter.opens(rating)
        meter(replace(rating, status="ok"))
        return Verdict("strong", True, "it is hard")


def engine(store: FakeStores, llm: Writer, library: Library, judge: Judge | None = None) -> Engine:
    return Engine(
        stores=store.stores,
        search=library,
        llm=llm,
        settings=Settings(_env_file=None),
        count_tokens=words,
        classifier=judge,
        clock=lambda: NOON,
    )


async def test_who_has_no_tokens_left_is_told_before_anything_is_looked_up_or_rated() -> None:
    store, screen, library, judge = FakeStores(limit=1000, used=990), Screen(), Library((RULE,)), Judge()
    outcome = await engine(store, Writer([]), library, judge).handle(turn(), screen)
    assert outcome.state == "refused"
    assert "resets" in screen.last.text
    assert (library.queries, judge.asked) == ([], 0)


async def test_an_answer_that_is_known_costs_nothing_and_is_given_to_those_who_have_nothing_left() -> None:
    store = FakeStores()
    await engine(store, Writer([lambda _: says(ANSWER)]), Library((RULE,))).handle(turn(), Screen())
    store.used = store.limit
    outcome = await engine(store, Writer([]), Library((RULE,))).handle(turn(), Screen())
    assert (outcome.state, outcome.cached) == ("done", True)


async def test_the_first_call_gives_back_what_the_question_does_not_need() -> None:
    store, llm = Accepted(), Opens([lambda _: says(ANSWER)])
    outcome = await engine(store, llm, Library((RULE,))).handle(turn(), Screen())
    needed = outcome.trace["prompt_tokens_counted"] + llm.prompts[0].max_tokens
    assert [tokens for _, tokens in store.opened] == [needed]
    assert needed < Accepted.ahead
    assert store.reserved == 0


async def test_a_prompt_that_is_longer_than_expected_sets_more_aside_first() -> None:
    store, llm = Accepted(), Opens([lambda _: says(ANSWER)])
    store.ahead = 1200
    outcome = await engine(store, llm, Library((RULE,))).handle(turn(), Screen())
    needed = outcome.trace["prompt_tokens_counted"] + llm.prompts[0].max_tokens
    assert needed > 1200
    assert outcome.state == "done"
    assert outcome.trace["reserved_tokens"] == needed
    assert store.reserved == 0


async def test_the_rating_of_a_question_is_covered_and_counted_before_the_answer() -> None:
    store, llm, judge = Accepted(), Opens([lambda _: says(ANSWER)]), Judge()
    outcome = await engine(store, llm, Library((RULE,)), judge).handle(turn(), Screen())
    (rated, held), (_, needed) = store.opened
    assert (rated.purpose, held) == ("route", Accepted.ahead)
    assert needed == 80 + max(900, outcome.trace["prompt_tokens_counted"]) + llm.prompts[0].max_tokens
    assert (outcome.route.tier if outcome.route else None) == "strong"


class Rewords:
    """A rewriter that counts its calls."""

    asked = 0

    def prompt(self, question: str, past: Sequence[PastMessage], *, cache_key: str = "") -> Prompt:
        return Prompt("rewrite", "cheap", "Reword.", (Message("user", question),), max_tokens=10)

    async def __call__(self, request: Prompt, *, meter: Meter) -> Rewritten:
        self.asked += 1
        return Rewritten("How long may a journey to Rome last?")


@pytest.mark.parametrize(("limit", "asked"), [(100_000, 1), (2000, 0)])
async def test_a_question_is_reworded_only_under_what_is_set_aside(limit: int, asked: int) -> None:
    past = (
        PastMessage(1, "user", "Ann", "May I travel to Rome?", 5, NOON),
        PastMessage(1, "assistant", "P", "Yes.", 1, NOON),
    )
    rewords = Rewords()
    made = Engine(
        stores=FakeStores(past=History("", 0, past), limit=limit).stores,
        search=Library((RULE,)),
        llm=Writer([lambda _: says(ANSWER)]),
        settings=Settings(_env_file=None),
        count_tokens=words,
        rewriter=rewords,
        clock=lambda: NOON,
    )
    outcome = await made.handle(turn("And how long may it last?"), Screen())
    assert (outcome.state, rewords.asked) == ("done", asked)


async def test_what_was_set_aside_is_given_back_where_the_answer_is_known() -> None:
    store = Accepted()
    await engine(store, Writer([lambda _: says(ANSWER)]), Library((RULE,))).handle(turn(), Screen())
    outcome = await engine(store, Writer([]), Library((RULE,))).handle(turn(), Screen())
    assert (outcome.cached, store.reserved) == (True, 0)


def test_what_is_expected_covers_the_usual_prompt_and_the_longest_answer() -> None:
    made = Settings(_env_file=None)
    expected = budget_limits.expected(20, system=1300, settings=made)
    assert expected > 20 + 1300 + made.passages * made.chunk_tokens + made.answer_tokens
    rated = made.model_copy(update={"router": "model"})
    assert budget_limits.expected(20, system=1300, settings=rated) > expected + 20
    wide = made.model_copy(update={"passages": 20, "chunk_tokens": 8000})
    assert budget_limits.expected(20, system=0, settings=wide) < made.prompt_tokens
