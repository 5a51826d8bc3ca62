"""Reasoning that a server sends inline is kept out of the answer, however the stream is cut into pieces."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.llm.providers.inline_reasoning import InlineReasoning

ANSWERS = [
    ("<think>Let me see.\n2 < 3</think>\n\nThirty days. [1]", "Thirty days. [1]", "Let me see.\n2 < 3"),
    ("\n<think>\nhm\n</think>\nYes.", "Yes.", "\nhm\n"),
    ("<THINKING>hm</Thinking>Yes.", "Yes.", "hm"),
    ("<think></think>\n\nYes.", "Yes.", ""),
    ("<think>one</think>\n<think>two</think>\nYes.", "Yes.", "onetwo"),
    ("<think>it never ends", "", "it never ends"),
    ("<think>half </thi", "", "half </thi"),
    ("First I look.\nThen I add.\n</think>\n\nThirty days.", "Thirty days.", ""),
    ("</think>\n\nYes.", "Yes.", ""),
    ("  \n </think>Yes.", "Yes.", ""),
    # What is no reasoning stays as it is.
    ("Thirty days. [1]", "Thirty days. [1]", ""),
    ("\n\n  Indented.\n", "\n\n  Indented.\n", ""),
    ("<thing> is a tag", "<thing> is a tag", ""),
    ("<thi", "<thi", ""),
    ("", "", ""),
    ("The tags are <think> and </think>.", "The tags are <think> and </think>.", ""),
    ("It ends with:\n```\nhm\n</think>\n```\nThat is all.", "It ends with:\n```\nhm\n</think>\n```\nThat is all.", ""),
    ("<think>a</think>Then\n</think>\nstays", "Then\n</think>\nstays", "a"),
    ("a < b\n<c\n </d>", "a < b\n<c\n </d>", ""),
]


def _split(pieces: Iterable[str]) -> tuple[str, str]:
    """Return the answer as it is shown in the end, and the reasoning that was marked as such."""
    reader, answer, reasoning = InlineReasoning(), "", ""
    parts = [part for piece in pieces for part in reader.feed(piece)]
    for kind, text in [*parts, *reader.end()]:
        if kind == "restart":
            answer = ""
        elif kind == "reasoning":
            reasoning += text
        else:
            answer += text
    return answer, reasoning


@pytest.mark.parametrize(("text", "answer", "reasoning"), ANSWERS)
def test_every_split_in_two_gives_the_same_answer(text: str, answer: str, reasoning: str) -> None:
    for at in range(len(text) + 1):
        assert _split([text[:at], text[at:]]) == (answer, reasoning), at
    assert _split(text) == (answer, reasoning), "one character at a time"


@example(["</think>", "\n", "<"])
@given(st.lists(st.sampled_from(["<think>", "</think>", "\n", " ", "a", "<", "```", "think>", "/"]), max_size=14))
def test_pieces_do_not_change_the_answer(parts: list[str]) -> None:
    text = "".join(parts)
    assert _split(parts) == _split([text]) == _split(text)


def test_an_answer_is_shown_while_it_is_written() -> None:
    reader = InlineReasoning()
    assert list(reader.feed("Thirty ")) == [("answer", "Thirty ")]
    assert list(reader.feed("days.")) == [("answer", "days.")]
