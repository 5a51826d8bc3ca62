"""The tightest of three budgets determines the model, the length of the answer, the warning and the refusal."""

from __future__ import annotations

from sqlalchemy.exc import OperationalError

from bot.engine.answer.budget_limits import answer_tokens, crossed, pressing
from bot.types.turns import Turn
from bot.types.usage import UNLIMITED, BudgetOwner, BudgetState, Reservation
from tests.engine.fakes import MIDNIGHT, FakeStores, Screen, Writer, turn
from tests.engine.test_engine import ANSWER, engine, script


def day(used: int, limit: int, whose: BudgetOwner = "user", reserved: int = 0) -> BudgetState:
    return BudgetState(used, reserved, limit, MIDNIGHT, whose)


def test_the_day_with_the_largest_share_presses_and_the_one_with_least_left_shortens() -> None:
    own, channel, tenant = day(100, 1_000), day(9_000, 10_000, "channel"), day(5, UNLIMITED, "tenant")
    assert pressing((own, channel, tenant)) is channel
    assert answer_tokens((own, channel, tenant), 300, 1_000) == 600
    assert answer_tokens((own, channel, tenant), 300, 500) == 500
    assert pressing((day(0, 0), channel)) is channel


def test_each_day_warns_when_its_line_is_crossed() -> None:
    before = (day(790, 1_000), day(810, 1_000, "channel"), day(0, 10_000, "tenant"))
    assert [(state.whose, state.used) for state in crossed(before, 20)] == [("user", 810)]


async def test_a_refusal_says_which_limit_is_reached_and_when_it_resets() -> None:
    store, screen = FakeStores(shared=(day(980, 1_000, "channel"),)), Screen()
    outcome = await engine(store, Writer([])).handle(turn(), screen)
    assert outcome.state == "refused"
    assert screen.last.text == (
        "This channel has reached today's token limit (980 of 1,000 used). "
        "It resets at 00:00 (UTC), in 12 h 0 min. An admin can raise it with /budget."
    )


async def test_pressure_on_the_channel_brings_the_cheap_model_and_its_own_warning() -> None:
    question = "Compare the rules for journeys and for dogs, and explain step by step why they differ."
    free = await engine(FakeStores(), Writer([script(ANSWER)])).handle(turn(question), Screen())
    assert free.route is not None
    assert free.route.tier == "strong"
    pressed = FakeStores(shared=(day(85_000, 100_000, "channel"),))
    outcome = await engine(pressed, Writer([script(ANSWER)])).handle(turn(question), Screen())
    assert outcome.route is not None
    assert outcome.route.tier == "cheap"
    similar = FakeStores(shared=(day(79_990, 100_000, "channel"),))
    warned = await engine(similar, Writer([script(ANSWER)])).handle(turn(), Screen())
    assert (
        "This channel has used 80% of today's token limit. It resets at 00:00 (UTC), in 12 h 0 min."
        in (warned.trace["notes"])
    )


async def test_a_ledger_that_cannot_be_reached_refuses() -> None:
    class Gone(FakeStores):
        async def reserve(self, turn: Turn, tokens: int) -> Reservation:
            raise OperationalError("INSERT", {}, Exception("the server closed the connection"))

    llm = Writer([script(ANSWER)])
    outcome = await engine(Gone(), llm).handle(turn(), Screen())
    assert outcome.state == "failed"
    assert llm.prompts == []
