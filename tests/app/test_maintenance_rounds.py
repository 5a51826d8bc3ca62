"""Rounds of maintenance find the tenants that need it, however many tenants there are."""

from __future__ import annotations

import operator
from dataclasses import replace
from datetime import timedelta
from functools import partial

import psycopg
import pytest
from sqlalchemy import text

from bot.app import App
from bot.commands.services import Services
from bot.jobs import maintenance
from bot.store.schema import NO_TURN
from bot.types.conversation import LOCAL_TENANT
from knowledge.store import knowledge_version
from knowledge.text import search_terms
from tests.app.test_jobs import add_tenant
from tests.superuser_access import superuser_connection


class Rounds:
    """Runs rounds of maintenance at chosen times, and remembers the tenants other than the terminal's."""

    def __init__(self, app: App, monkeypatch: pytest.MonkeyPatch, **settings: int) -> None:
        changed = app.services.settings.model_copy(update=settings)
        self._services, self._begun = replace(app.services, settings=changed), app.services.clock()
        self._regular = maintenance.RegularMaintenance()
        self._maintain = maintenance.maintain
        self.seen: list[str] = []
        self.broken: set[str] = set()
        monkeypatch.setattr(maintenance, "maintain", self._noted)

    async def after(self, minutes: float) -> list[str]:
        """Return the tenants of a round that begins so many minutes after the first."""
        self.seen.clear()
        clock = partial(operator.add, self._begun, timedelta(minutes=minutes))
        await self._regular(replace(self._services, clock=clock))
        return sorted(set(self.seen) - {LOCAL_TENANT})

    async def _noted(self, services: Services, tenant_id: str) -> str:
        self.seen.append(tenant_id)
        if tenant_id in self.broken:
            raise RuntimeError(tenant_id)
        return await self._maintain(services, tenant_id)


DAY = 24 * 60
ADD_COMMAND = text("""
    INSERT INTO inbox (tenant_id, channel_id, message_id, turn_id) VALUES ('slack:command', 'C1', 'm', :none)
""")


async def test_idle_tenants_are_maintained_once_a_week(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    await add_tenant(app, "slack:idle")
    rounds = Rounds(app, monkeypatch)
    for minutes, expected in ((0, 1), (1, 0), (60, 0), (DAY, 0), (7 * DAY - 1, 0), (7 * DAY, 1), (7 * DAY + 1, 0)):
        assert len(await rounds.after(minutes)) == expected, minutes
    again = Rounds(app, monkeypatch)
    assert await again.after(8 * DAY) == [], "another process does not begin anew"


async def test_a_tenant_with_data_that_expires_is_maintained_once_a_day(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_tenant(app, "slack:command")
    async with app.database.tenant("slack:command") as session:
        await session.execute(ADD_COMMAND, {"none": NO_TURN})
    rounds = Rounds(app, monkeypatch)
    for minutes, expected in ((0, 1), (DAY - 1, 0), (DAY, 1), (DAY + 1, 0)):
        assert len(await rounds.after(minutes)) == expected, minutes


async def test_a_shorter_retention_shortens_the_time_of_idle_tenants(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    await add_tenant(app, "slack:idle")
    rounds = Rounds(app, monkeypatch, retention_days=2)
    for minutes, expected in ((0, 1), (2 * DAY - 1, 0), (2 * DAY, 1)):
        assert len(await rounds.after(minutes)) == expected, minutes


async def test_the_tenants_that_are_due_are_spread_over_rounds(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"slack:{number}" for number in range(5)]
    for name in names:
        await add_tenant(app, name)
    monkeypatch.setattr(maintenance, "DUE_PER_ROUND", 2)
    rounds = Rounds(app, monkeypatch)
    rounds.broken = {"slack:0", "slack:1"}
    assert [await rounds.after(minute) for minute in range(4)] == [names[:2], names[2:4], names[4:], []]
    assert await rounds.after(60) == names[:2], "those that failed are tried again after an hour"


async def test_tenants_are_maintained_after_the_configured_model_or_the_rules_of_terms_changed(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("slack:model", "slack:idle"):
        await add_tenant(app, name)
    assert len(await Rounds(app, monkeypatch).after(0)) == 2
    async with app.database.tenant("slack:model") as session:
        await session.execute(
            text("INSERT INTO knowledge_state (tenant_id, version, model) VALUES ('slack:model', 0, 'another')")
        )
        await session.execute(text("UPDATE tenants SET maintained_version = 0"))
    assert await Rounds(app, monkeypatch).after(1) == ["slack:model"]
    monkeypatch.setattr(search_terms, "VERSION", search_terms.VERSION + 1)
    rounds = Rounds(app, monkeypatch)
    assert len(await rounds.after(2)) == 2
    assert await rounds.after(3) == []


async def test_a_start_sends_no_statement_for_each_idle_tenant(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[object] = []
    execute = psycopg.AsyncCursor.execute

    async def counted(self: object, *given: object, **options: object) -> object:
        sent.append(given[0])
        return await execute(self, *given, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", counted)

    async def statements_of_a_start() -> int:
        sent.clear()
        rounds = Rounds(app, monkeypatch)
        await rounds.after(0)
        assert rounds.seen == [LOCAL_TENANT]
        return len(sent)

    await Rounds(app, monkeypatch).after(0)
    for_few = await statements_of_a_start()
    async with superuser_connection(app.database) as connection:
        await connection.execute(ADD_IDLE)
    assert await statements_of_a_start() < for_few + IDLE, "not one for each; pings and heartbeats are counted too"


IDLE = 500
ADD_IDLE = text(f"""
    INSERT INTO tenants (tenant_id, platform, maintain_at, maintained_terms)
    SELECT 'slack:idle' || number, 'slack', now() + interval '7 days', 1000 FROM generate_series(1, {IDLE}) AS number
""")


CALL = """
    INSERT INTO ledger
        (tenant_id, call_id, platform, channel_id, user_id, purpose, provider, model, price_version, status, estimated,
        latency_ms, budget_day)
    VALUES
        (:tenant, gen_random_uuid(), 'slack', 'C1', 'U1', 'answer', 'anthropic', 'm', '1', 'ok', false, 1, CURRENT_DATE)
"""


async def test_tenants_in_use_are_maintained_once_an_hour(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("slack:idle", "slack:documents", "slack:calls"):
        await add_tenant(app, name)
    rounds = Rounds(app, monkeypatch)
    assert len(await rounds.after(0)) == 3
    async with app.database.tenant("slack:documents") as session:
        await knowledge_version.lock_and_increment(session, "slack:documents")
    async with app.database.tenant("slack:calls") as session:
        await session.execute(text(CALL), {"tenant": "slack:calls"})
    found = [await rounds.after(minutes) for minutes in (59, 60, 120)]
    assert found == [[], ["slack:calls", "slack:documents"], ["slack:calls"]]
