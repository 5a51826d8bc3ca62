"""Stopping the turns of a thread, and answering without a mention, while other turns come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from bot.engine import user_messages as said
from bot.engine.dispatch.auto_answer import MAX_ANSWERS, AutoAnswer
from bot.engine.dispatch.dispatcher import Dispatcher
from bot.errors import NotAllowed, PlatformAway, UsageError
from bot.types.audience import MEMBERS, Audience, Readers
from bot.types.conversation import Author, Incoming, Platform, ThreadKey
from bot.types.settings import ChannelSettings
from bot.types.turns import Turn
from tests.engine.fakes import NOON, THREAD, FakeStores, Writer, turn
from tests.engine.test_engine import engine

ANN, BOB = Author("U1", "Ann"), Author("U2", "Bob")


@dataclass
class Thread(FakeStores):
    """A thread with turns of another process. Those in ``over`` end just before they can be stopped."""

    turns: tuple[Turn, ...] = ()
    over: tuple[str, ...] = ()

    async def open_turns(self, thread: ThreadKey) -> Sequence[Turn]:
        return self.turns

    async def turn(self, tenant_id: str, turn_id: str) -> Turn | None:
        return next(one for one in self.turns if one.id == turn_id)

    async def ask_to_stop(self, turn: Turn) -> bool:
        return turn.id not in self.over

    async def accept(self, incoming: Incoming) -> Turn | None:
        return turn(id="again", thread=incoming.thread, question=incoming.text, author=incoming.author)


def dispatcher(store: FakeStores) -> Dispatcher:
    return Dispatcher(engine=engine(store, Writer([])), stores=store.stores, max_question_chars=1000)


@pytest.mark.parametrize("others", [(turn(id="b"),), (turn(id="b", author=BOB),)])
async def test_stopping_a_thread_stops_the_rest_if_one_cannot_be_stopped(others: tuple[Turn, ...]) -> None:
    store = Thread(turns=(turn(id="a"), *others, turn(id="c")), over=("b",))
    assert await dispatcher(store).stop_thread(THREAD, ANN) == 2


async def test_stopping_a_thread_says_why_if_nothing_was_stopped() -> None:
    with pytest.raises(UsageError, match=said.TOO_LATE_TO_STOP):
        await dispatcher(Thread(turns=(turn(id="a"), turn(id="b")), over=("a", "b"))).stop_thread(THREAD, ANN)
    with pytest.raises(NotAllowed, match=said.NOT_YOURS_TO_STOP):
        await dispatcher(Thread(turns=(turn(id="a"),))).stop_thread(THREAD, BOB)


async def test_questions_at_once_get_no_more_answers_without_a_mention_than_the_limit_allows() -> None:
    begun = asyncio.Barrier(MAX_ANSWERS + 3)

    async def confident(incoming: Incoming, settings: ChannelSettings) -> bool:
        await begun.wait()
        return True

    auto_answer = AutoAnswer(FakeStores(channel=ChannelSettings(auto_answer=True)).stores, confident)
    asked = Incoming(THREAD, "1.0", ANN, "How many days of leave are there?", "overheard", NOON)
    wanted = await asyncio.gather(*(auto_answer.wants(asked) for _ in range(MAX_ANSWERS + 3)))
    assert sum(wanted) == MAX_ANSWERS


@pytest.mark.parametrize(("readers", "error"), [("unknown", PlatformAway), ("outsider", NotAllowed)])
async def test_a_direct_message_is_delivered_again_while_it_is_unknown_who_wrote_it(
    readers: Readers, error: type[Exception]
) -> None:
    asked = Incoming(THREAD, "1.0", ANN, "How many days?", "dm", NOON, audience=Audience(readers, direct=True))
    with pytest.raises(error):
        await dispatcher(FakeStores()).accept(asked)


async def again(asked: Turn, by: Author, place: tuple[Platform, str] | None) -> Turn:
    return await dispatcher(Thread(turns=(asked,))).repeat(
        asked.id, by, tenant_id=THREAD.tenant_id, wish=None, audience=MEMBERS, place=place
    )


@pytest.mark.parametrize("place", [None, (THREAD.platform, THREAD.channel_id)])
async def test_a_question_is_asked_again_where_it_was_asked(place: tuple[Platform, str] | None) -> None:
    asked = turn(id="a")
    repeated = await again(asked, BOB, place)
    assert (repeated.question, repeated.author, repeated.thread) == (asked.question, BOB, THREAD)


@pytest.mark.parametrize("place", [("web", THREAD.channel_id), (THREAD.platform, "C-OTHER"), ("console", "")])
async def test_a_question_of_another_place_is_unknown_there_even_to_its_asker(place: tuple[Platform, str]) -> None:
    asked = turn(id="a")
    assert place != (THREAD.platform, THREAD.channel_id)
    with pytest.raises(UsageError) as refused:
        await again(asked, asked.author, place)
    assert str(refused.value) == said.UNKNOWN_TURN
