"""An edit arrives while another process stores its question. The edit wins."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from bot.config import Settings
from bot.types.conversation import ThreadKey
from bot.types.turns import Turn
from tests.app.test_processes import Channel, processes, question
from tests.doubles.models import ModelDouble, Reply


@pytest.fixture
def channel() -> Channel:
    return Channel()


async def test_an_edit_that_meets_the_acceptance_of_its_question_is_not_lost(
    both: Settings, models: ModelDouble, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.script = lambda seen: Reply("Cats stay." if "cats" in seen.messages[-1][1] else "Dogs come.")
    async with processes(both, channel, 2) as (one, two):
        inbox = one.services.stores.inbox
        known, stored = inbox.turns_of, list[Turn | None]()

        async def stored_just_after(thread: ThreadKey, message_id: str) -> Sequence[Turn]:
            found = await known(thread, message_id)
            if not stored:
                stored.append(await two.dispatcher.accept(question("When may dogs come?", message="5.5")))
            return found

        monkeypatch.setattr(inbox, "turns_of", stored_just_after)
        changed = await one.dispatcher.edited(question("When may cats come?", message="5.5"))
        assert changed is not None
        await asyncio.wait_for(one.dispatcher.start(changed, channel.surface(changed)), 120)
        assert [part.text for part in channel.of(changed)] == ["Cats stay."]
