"""Thread memory: selection within a budget, and when to summarize."""

from __future__ import annotations

from bot.engine import memory
from bot.types.conversation import History, PastMessage
from tests.engine.fakes import NOON, words


def said(role: str, text: str, seq: int = 1) -> PastMessage:
    return PastMessage(seq, role, "Ann", text, words(text), NOON)  # type: ignore[arg-type]


def test_the_last_four_turns_are_kept_whatever_the_budget() -> None:
    past = tuple(said("assistant" if n % 2 else "user", f"w{n} " * 50, n // 2) for n in range(30))
    selected = memory.select(History("", 0, past), 10, words)
    assert len(selected.messages) == memory.VERBATIM_MESSAGES
    assert selected.left_out == 22
    assert selected.messages[-1].text.startswith("w29")
    roomy = memory.select(History("", 0, past), 10_000, words)
    assert (len(roomy.messages), roomy.left_out) == (30, 0)


def test_one_giant_message_does_not_fill_the_history() -> None:
    past = (said("user", "short"), said("user", "word " * 100_000))
    selected = memory.select(History("", 0, past), 1000, words)
    assert selected.messages[-1].tokens <= 510
    assert selected.messages[-1].text.endswith("[…]")
    assert selected.messages[0].text == "short"


def test_citation_markers_of_earlier_answers_are_removed() -> None:
    assert memory.without_markers("Nine days [1], or ten [2, 3].") == "Nine days, or ten."


def test_summaries_come_in_large_steps_of_whole_turns() -> None:
    past = tuple(said("assistant" if n % 2 else "user", "w " * 100, n // 2) for n in range(31))
    due = memory.to_summarize(History("", 0, past), 1000)
    assert due[0].seq == 0
    assert due[-1].seq == 10
    assert len([message for message in due if message.seq == 10]) == 2
    assert memory.to_summarize(History("", 0, past[:4]), 1000) == ()
    assert memory.to_summarize(History("", 0, past[:4]), 10) == ()
