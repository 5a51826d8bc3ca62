"""A stored reply whose processes keep dying: its asker is told, however often a process dies meanwhile."""

from __future__ import annotations

import pytest

from bot.config import Settings
from bot.engine import user_messages as said
from bot.engine.answer.poison import MAX_DEATHS
from tests.app.test_late_replies import Unreliable, change, end_while_away, hurried, rare, row_of, until_shown
from tests.app.test_processes import processes
from tests.doubles.models import ModelDouble

__all__ = ["hurried", "rare"]


@pytest.fixture
def channel() -> Unreliable:
    return Unreliable()


@pytest.mark.parametrize("more", [0, 1, 9])
@pytest.mark.usefixtures("rare")
async def test_the_asker_of_a_reply_whose_processes_keep_dying_is_told(
    both: Settings, models: ModelDouble, channel: Unreliable, more: int
) -> None:
    async with processes(both, channel, 1) as (one,):
        turn, _ = await end_while_away(one, models, channel)
        channel.away = None
        await change(one, f"takeovers = {MAX_DEATHS + more}, deliver_at = now()")
        await one.dispatcher.resume("slack", channel.surface)
        await until_shown(one, turn)
        (shown,) = channel.of(turn)
        assert (shown.text, shown.final) == (said.NOT_SHOWABLE, True)
        assert "stop" not in shown.actions
        assert (await row_of(one, turn)).trace["notes"][-1:] == [said.not_shown(said.NOT_SHOWABLE)]


@pytest.mark.usefixtures("rare")
async def test_deaths_before_the_answer_was_complete_do_not_count_against_showing_it(
    both: Settings, models: ModelDouble, channel: Unreliable
) -> None:
    async with processes(both, channel, 1) as (one,):
        turn, _ = await end_while_away(one, models, channel, deaths=MAX_DEATHS - 1)
        assert (await row_of(one, turn)).takeovers == 0
        channel.away = None
        await change(one, "deliver_at = now()")
        await one.dispatcher.resume("slack", channel.surface)
        await until_shown(one, turn)
        assert [part.text.startswith("Dogs are welcome") for part in channel.of(turn)] == [True]
