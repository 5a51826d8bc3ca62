"""A standby that accepts connections and answers nothing costs a search a short limit once, and then nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from bot.store import search_standby
from bot.store.search_standby import AWAY_SECONDS, SearchSessions, StandbySearch, opened_sessions
from knowledge.search.retriever import Retriever
from knowledge.types.scope import Scope
from tests.standby.conftest import WAIT_SECONDS, Replicas
from tests.standby.test_search_standby import QUESTION, Scene, scene, sources

__all__ = ["scene"]

NEVER = 24 * 3600.0
"""Seconds; a test that waits so long fails by its own limit."""


@pytest.fixture
def short_limit(replicas: Replicas, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up a standby quickly where it has to answer at once, and nowhere else."""
    monkeypatch.setattr(search_standby, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(search_standby, "ROUND_TRIP_SECONDS", NEVER)


def counted(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets an entry for each transaction that is opened on the standby."""
    opened: list[str] = []
    usual = scene.sessions._standby.tenant

    @asynccontextmanager
    async def noted(tenant_id: str, *, seconds: float) -> AsyncIterator[object]:
        opened.append(tenant_id)
        async with usual(tenant_id, seconds=seconds) as session:
            yield session

    monkeypatch.setattr(scene.sessions._standby, "tenant", noted)
    return opened


async def test_a_search_waits_for_a_hanging_standby_once_and_no_later_search_waits(
    scene: Scene, replicas: Replicas, monkeypatch: pytest.MonkeyPatch, short_limit: None
) -> None:
    opened = counted(scene, monkeypatch)
    replicas.hang()
    async with asyncio.timeout(WAIT_SECONDS):
        found = await scene.ask()
        assert (found.standby, sources(found)[0]) == ("away", "zebras.md")
        assert opened, "the first search tried"
        opened.clear()
        assert (await scene.ask()).standby == "away"
        assert opened == [], "it is left alone"
        monkeypatch.setattr(search_standby, "ANSWER_SECONDS", NEVER)
        scene.now += AWAY_SECONDS
        for _ in range(3):
            assert (await scene.ask()).standby == "away", "searches go on while it is asked again"
        assert opened == [scene.tenant], "it is asked once at a time"
    replicas.wake()
    monkeypatch.setattr(search_standby, "ANSWER_SECONDS", WAIT_SECONDS)
    await scene.until_used()


async def test_a_standby_that_still_hangs_is_left_alone_again(
    scene: Scene, replicas: Replicas, monkeypatch: pytest.MonkeyPatch, short_limit: None
) -> None:
    replicas.hang()
    assert (await scene.ask()).standby == "away"
    opened = counted(scene, monkeypatch)
    for _ in range(2):
        scene.now += AWAY_SECONDS
        assert (await scene.ask()).standby == "away"
        await scene.search.asked_again()
    assert opened == 2 * [scene.tenant]
    assert (await scene.ask()).standby == "away"
    assert opened == 2 * [scene.tenant], "its time has not come yet"


async def test_an_address_that_accepts_and_says_nothing_costs_a_short_limit(scene: Scene, short_limit: None) -> None:
    connected: list[asyncio.StreamWriter] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(writer)

    async with await asyncio.start_server(accept, "127.0.0.1") as silent:
        port = silent.sockets[0].getsockname()[1]
        address = make_url(f"postgresql://parley@127.0.0.1:{port}/parley?connect_timeout=3600")
        async with (
            opened_sessions(SecretStr(address.render_as_string(hide_password=False)), scene.database) as sessions,
            aclosing(_search(scene, sessions)) as search,
            asyncio.timeout(WAIT_SECONDS),
        ):
            found = await search(QUESTION, Scope(scene.tenant))
            assert (found.standby, sources(found)[0]) == ("away", "zebras.md")
            tries = len(connected)
            assert tries > 0
            assert (await search(QUESTION, Scope(scene.tenant))).standby == "away"
            assert len(connected) == tries
        for writer in connected:
            writer.close()


def _search(scene: Scene, sessions: SearchSessions | None) -> StandbySearch:
    assert sessions is not None
    return StandbySearch(Retriever(sessions, scene.embedder, scene.reranker), sessions, monotonic=lambda: scene.now)
