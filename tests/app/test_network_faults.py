"""The network between two processes and PostgreSQL breaks in every way while people ask, documents are read and jobs
run. Nothing is lost, answered twice or unpaid, and no process needs a restart."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from benchmarks.chaos.checks import is_unfinished, missing_rows
from benchmarks.chaos.database_state import DatabaseState, read_database
from bot.app import App
from bot.commands import registry
from bot.commands.base import Context
from bot.config import Settings
from bot.engine.answer import lease
from bot.errors import StoreAway
from bot.jobs import worker
from bot.store.adapters import leases
from bot.store.database import job_queue, notifications, retry
from bot.types.audience import MEMBERS
from bot.types.turns import Turn
from knowledge.sources.source_factory import open_source
from knowledge.store.ingest_runs import Run
from tests.app.test_processes import ASKER, CHANNEL, Channel, accepted, processes, question
from tests.doubles.faulty_network import FaultyNetwork
from tests.doubles.models import ModelDouble, Reply, Seen

PATIENCE = 150.0
"""Seconds after which something counts as never happening, on a busy machine."""
SENTENCES = 12
KEEPALIVE = 3.0
"""Seconds until keepalives notice that a connection is gone: 11 in production."""

Fault = Callable[[FaultyNetwork, Sequence[App]], Awaitable[None]]


@pytest.fixture
async def network(database_url: str) -> AsyncIterator[FaultyNetwork]:
    async with FaultyNetwork(database_url, keepalive=KEEPALIVE) as network:
        yield network


@pytest.fixture
def behind(both: Settings, network: FaultyNetwork) -> Settings:
    """Return the settings of processes that reach the database through the network."""
    return both.model_copy(update={"database_url": SecretStr(network.url)})


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch, unhurried_acceptance: None) -> None:
    """Shorten the bounds, so that a connection that hangs is noticed soon."""
    monkeypatch.setattr(retry, "ATTEMPT_SECONDS", 2.0)
    monkeypatch.setattr(leases, "RENEW_ATTEMPT_SECONDS", 1.0)
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.5)
    monkeypatch.setattr(notifications, "ROUND_TRIP_SECONDS", 1.5)
    monkeypatch.setattr(job_queue.QueueConnection, "round_trip_seconds", 4.0)
    monkeypatch.setattr(worker, "RECONNECT_SECONDS", 0.2)


async def until(holds: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.02)
    assert holds(), what


async def all_notice(apps: Sequence[App]) -> None:
    """Wait until every process knows that it has no connection for notifications."""
    await until(lambda: all(notifications.PART in app.services.health.faults for app in apps), "nobody noticed")


async def slow(network: FaultyNetwork, _: Sequence[App]) -> None:
    network.delay, network.piece = 0.01, 1_400


async def silent(network: FaultyNetwork, apps: Sequence[App]) -> None:
    network.silent = True
    await all_notice(apps)
    await network.mend()


async def open_ones_silent(network: FaultyNetwork, _: Sequence[App]) -> None:
    network.silence_open_connections()


async def closed(network: FaultyNetwork, _: Sequence[App]) -> None:
    network.close_open_connections()


async def reset_in_a_message(network: FaultyNetwork, _: Sequence[App]) -> None:
    network.reset_after(100)


async def only_the_client_learns(network: FaultyNetwork, _: Sequence[App]) -> None:
    network.end_one_side("client")


async def only_the_server_learns(network: FaultyNetwork, _: Sequence[App]) -> None:
    network.end_one_side("server")


async def refused(network: FaultyNetwork, apps: Sequence[App]) -> None:
    await network.cut()
    await all_notice(apps)
    await network.mend()


FAULTS: tuple[Fault, ...] = (
    *(slow, silent, open_ones_silent, closed, reset_in_a_message),
    *(only_the_client_learns, only_the_server_learns, refused),
)


class Writers:
    """The model's answers: they name their question, and wait in the middle until they may go on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    def __call__(self, seen: Seen) -> Reply:
        asked = seen.messages[-1][1]
        number = asked.rpartition("rule ")[2][:1]
        text = " ".join(f"Rule {number} says {place}." for place in range(1, SENTENCES + 1))
        return Reply(text, piece=20, after=2, held=self.go_on)


def finals(channel: Channel, turn: Turn) -> list[str]:
    """Return the texts of the turn's messages that are answers, not drafts."""
    return [part.text for part in channel.of(turn) if "again" in part.actions]


async def ended(app: App, run: Run) -> Run:
    while True:
        try:
            async for (found,) in app.services.ingestion.follow(CHANNEL.tenant_id, [run.id]):
                if not found.active:
                    return found
        except StoreAway:
            await asyncio.sleep(0.1)


async def settled(admin_url: str) -> DatabaseState:
    """Return the database once no turn is open and no call is under way."""
    while True:
        state = await asyncio.to_thread(read_database, admin_url)
        if not any(map(is_unfinished, state.turns)) and not any(row.is_open for row in state.ledger):
            return state
        await asyncio.sleep(0.1)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_turns_jobs_and_commands_survive(
    behind: Settings,
    network: FaultyNetwork,
    models: ModelDouble,
    handbook: Path,
    admin_url: str,
    fault: Fault,
) -> None:
    channel, models.script = Channel(), (writers := Writers())
    async with asyncio.timeout(2 * PATIENCE), AsyncExitStack() as stack:
        apps = await stack.enter_async_context(processes(behind, channel, 2))
        await stack.enter_async_context(worker.working(apps[0].services))
        asked = [
            (number, await accepted(apps[number % 2], question(f"rule {number}?", f"{number}.0")))
            for number in range(4)
        ]
        asked += [(4, await accepted(apps[1], question("rule 4?", "0.0")))]
        for number, turn in asked:
            apps[number % 2].dispatcher.start(turn, channel.surface(turn))
        await until(lambda: sum("Rule" in part.text for part in channel.messages.values()) == 4, "no draft")
        source = open_source(str(handbook), fetch_allow=(), max_bytes=10**6, files=True)
        requested = await apps[1].services.ingestion.begin(
            CHANNEL.tenant_id, source, audience="tenant", asked_by="ann", files=True
        )
        await fault(network, apps)
        writers.go_on.set()
        for _, turn in asked:
            await until(lambda turn=turn: len(finals(channel, turn)) > 0, "an answer is missing")  # type: ignore[misc]
        run = await ended(apps[1], requested.run)
        await network.mend()
        for app in apps:
            await until(lambda app=app: not app.services.health.faults, "a part does not recover")  # type: ignore[misc]
            await app.dispatcher.settled()
        state = await settled(admin_url)
        said = {number: finals(channel, turn) for number, turn in asked}
        context = Context(CHANNEL.tenant_id, "slack", "C1", None, ASKER, apps[0].services, audience=MEMBERS)
        assert "token" in (await registry.run("budget", "", context)).text
    assert {number: len(texts) for number, texts in said.items()} == dict.fromkeys(range(5), 1), "answered once each"
    for number, (text,) in said.items():
        places = Counter(place for place in range(1, SENTENCES + 1) if f"Rule {number} says {place}." in text)
        assert places == Counter(range(1, SENTENCES + 1))
    assert [row.state for row in state.turns] == ["done"] * 5
    assert (state.reserved, missing_rows(state, models)[1]) == (0, 0)
    assert (run.state, run.report["documents"]) == ("done", 4)
