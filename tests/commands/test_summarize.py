"""What a wish for a summary is about, and what is no such wish."""

from __future__ import annotations

import pytest

from bot.commands import registry as commands
from bot.commands import summarize
from bot.engine import user_messages
from bot.errors import UsageError


@pytest.mark.parametrize(
    ("line", "in_thread", "extent"),
    [("", True, "thread"), ("", False, "day"), ("day", True, "day"), ("Thread", True, "thread"), ("day", False, "day")],
)
def test_what_is_summarized(line: str, in_thread: bool, extent: str) -> None:
    question, messages = summarize.request(line, in_thread=in_thread)
    assert (messages.kind, messages.ref) == ("messages", extent)
    assert question == (user_messages.SUMMARIZE_THREAD if extent == "thread" else user_messages.SUMMARIZE_DAY)


@pytest.mark.parametrize(
    ("line", "in_thread"), [("thread", False), ("week", True), ("day thread", True), ("--all", True)]
)
def test_anything_else_is_refused(line: str, in_thread: bool) -> None:
    with pytest.raises(UsageError):
        summarize.request(line, in_thread=in_thread)


@pytest.mark.parametrize(
    ("text", "is_command"),
    [
        ("summarize", True),
        ("summarize day", True),
        ("/summarize", True),
        ("summarize the travel policy", False),
        ("summarize day care rules", False),
    ],
)
def test_a_question_that_begins_alike_stays_a_question(text: str, is_command: bool) -> None:
    assert (commands.match(text) is not None) is is_command
