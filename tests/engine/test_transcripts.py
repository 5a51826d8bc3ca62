"""The messages of a summary become its evidence: the last ones that fit, read once, or a sentence that says why not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.commands.ask import NullSurface
from bot.engine.answer import transcripts
from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.context import Context
from bot.engine.answer.query import Query
from bot.engine.answer.retrieval import Evidence
from bot.engine.ports.surface import Surface
from bot.errors import Refused
from bot.types.conversation import ChatMessage, Extent, StoredAttachment
from knowledge.types.scope import Scope
from tests.engine.fakes import turn, words

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ASKED_FOR = StoredAttachment("turn", 0, "messages", "thread", ref="thread", own=True)


class Talk(NullSurface):
    """A surface whose thread has these messages."""

    def __init__(self, messages: Sequence[ChatMessage], *, is_slow: bool = False) -> None:
        self.messages = messages
        self.is_slow = is_slow

    async def transcript(self, extent: Extent) -> Sequence[ChatMessage]:
        if self.is_slow:
            raise TimeoutError
        return self.messages


def said(number: int, text: str) -> ChatMessage:
    at = NOON + timedelta(minutes=number)
    return ChatMessage(f"Person {number}", f"U{number}", text, at, f"https://chat.example/{number}")


async def gather(
    surface: Surface, asked_for: StoredAttachment = ASKED_FOR, room: int = 1000
) -> tuple[Evidence, list[StoredAttachment]]:
    kept: list[StoredAttachment] = []

    async def keep(_: Any, attached: StoredAttachment) -> None:
        kept.append(attached)

    stores = SimpleNamespace(attachments=SimpleNamespace(keep_attachment=keep))
    context = cast(Context, SimpleNamespace(stores=stores, share=lambda _: room, count=words))
    attempt = cast(Attempt, SimpleNamespace(turn=turn()))
    query = Query("Summarize", Scope.of_channel("t", "C1", tenant_wide=False))
    return await transcripts.evidence(context, attempt, surface, asked_for, query), kept


async def test_each_message_is_a_passage_that_links_to_it() -> None:
    evidence, kept = await gather(Talk([said(1, "We move in May."), said(2, " "), said(3, "On the 4th.")]))
    found = [(one.source, one.title, one.text) for one in evidence.passages]
    assert found == [
        ("https://chat.example/1", "Person 1, 23 November 12:01 UTC", "We move in May."),
        ("https://chat.example/3", "Person 3, 23 November 12:03 UTC", "On the 4th."),
    ]
    assert evidence.overview
    assert kept[0].people == ("U1", "U2", "U3"), "who is erased takes the messages along"
    again, stored = await gather(Talk([]), kept[0])
    assert again.passages == evidence.passages
    assert stored == [], "a turn that runs again reads nothing"


async def test_the_last_messages_are_kept_if_not_all_fit() -> None:
    evidence, _ = await gather(Talk([said(number, "word " * 50) for number in range(20)]), room=200)
    assert 1 <= len(evidence.passages) < 20
    assert evidence.passages[-1].source == "https://chat.example/19"
    assert "older messages are left out" in evidence.notes[0]


@pytest.mark.parametrize(
    ("surface", "reason"),
    [
        (Talk([]), "Nobody but me wrote"),
        (Talk([], is_slow=True), "took too long"),
        (NullSurface(), "no messages to summarize here"),
    ],
)
async def test_without_messages_it_says_why(surface: Surface, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        await gather(surface)
