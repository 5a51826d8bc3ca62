"""Words of refusal are not stored as what was said in a thread."""

from __future__ import annotations

from datetime import timedelta

from bot.engine.ports.llm import Ended
from bot.types.conversation import History, PastMessage
from tests.engine.fakes import NOON, FakeStores, Writer, turn
from tests.engine.test_engine import engine, script


async def test_a_refusal_does_not_become_the_summary_of_a_thread() -> None:
    past = tuple(
        PastMessage(n // 2, "assistant" if n % 2 else "user", "Ann", f"word {n} " * 50, 100, NOON + timedelta(hours=n))
        for n in range(40)
    )
    store = FakeStores(past=History("Before.", 0, past))
    llm = Writer([script("I cannot help with that.", Ended("refused", "fake-1", "fake"))])
    await engine(store, llm).reflect(turn())
    assert (store.summaries, store.reserved) == ([], 0)
    assert store.used > 0, "the call is paid for"
