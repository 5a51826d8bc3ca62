"""Ends a process while it cannot show a finished answer: another shows it, and it is generated once."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace

import pytest

from benchmarks.chaos.database_state import read_database
from benchmarks.chaos.simulated_users import script
from benchmarks.chaos.test_bed import Environment, open_environment
from tests.chaos.test_paused_process import asked, until
from tests.doubles.models import Reply, Seen

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]


async def is_stored(environment: Environment) -> bool:
    database = await asyncio.to_thread(read_database, environment.postgres.admin_url)
    return [row.state for row in database.turns] == ["done"]


async def is_shown(environment: Environment) -> bool:
    database = await asyncio.to_thread(read_database, environment.postgres.admin_url)
    return not any(row.late for row in database.turns)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_process_that_ends_in_an_outage_leaves_its_answer_to_be_shown(number: signal.Signals) -> None:
    go_on = asyncio.Event()

    def held(seen: Seen) -> Reply:
        return replace(script(seen), after=3, held=go_on)

    async with open_environment(7) as environment:
        environment.models.script = held
        pool = environment.pool(1, mixes=(("slack",),), away=3600.0)
        await pool.start()
        question = await asked(environment)

        async def is_drafted() -> bool:
            return any(question.tag in message.shown for message in environment.slack.world.messages if message.bot_id)

        await until(is_drafted)
        await environment.links["Slack"].cut()
        go_on.set()
        await until(lambda: is_stored(environment))
        (process,) = pool.ready
        process.signal(number)
        async with asyncio.timeout(100):  # The process would try to show the answer for an hour.
            await process.gone.wait()
        await environment.links["Slack"].mend()
        await until(lambda: is_shown(environment))
        await pool.close()
        seen = await environment.verdict([pool])
        found = {name: count for name, count in seen.failures.items() if count and not name.startswith("orphaned")}
        assert (found, seen.answered, len(environment.models.bill)) == ({}, 1, 1)
