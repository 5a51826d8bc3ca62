"""Admins are told once, on their platform, about an unusual day and about each level of the team's budget."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from sqlalchemy import text

from bot.app import App
from bot.commands.cost_alert_notices import tell, tell_everywhere
from bot.jobs import maintenance
from bot.platforms.slack import render
from bot.store.budgets import cost_alerts
from bot.store.budgets.cost_alerts import CostAlert
from bot.types.conversation import LOCAL_TENANT
from tests.app.conftest import ask
from tests.commands.test_held_back_notices import Box


async def use(app: App, tokens: int) -> None:
    """Let the whole team have used so many of 1000 tokens."""
    async with app.database.tenant(LOCAL_TENANT) as session:
        await session.execute(
            text(
                "INSERT INTO budgets (tenant_id, subject, daily_tokens, set_by) VALUES ('local', 'tenant', 1000, 'x') "
                "ON CONFLICT DO NOTHING"
            )
        )
        await session.execute(
            text(
                "INSERT INTO budget_days (tenant_id, subject, day, used) VALUES ('local', 'tenant', :day, :used) "
                "ON CONFLICT (tenant_id, subject, day) DO UPDATE SET used = :used"
            ),
            {"day": app.services.clock().date(), "used": tokens},
        )


async def test_each_level_of_the_budget_is_told_once(app: App) -> None:
    box, told = Box(), []
    for tokens in (100, 520, 600, 990, 1000, 1200):
        await use(app, tokens)
        for _ in range(2):
            await maintenance.maintain(app.services, LOCAL_TENANT)
            await tell_everywhere(app.services, box)
        told.append(len(box.sent))
    assert told == [0, 1, 1, 2, 3, 3]
    assert [notice.text.split(": ")[1].split(".")[0] for _, notice in box.sent] == [
        "520 of 1,000 tokens",
        "990 of 1,000 tokens",
        "1,000 of 1,000 tokens",
    ]
    assert "used up" in box.sent[-1][1].text


async def test_an_unusual_day_is_told_once_on_each_platform(app: App) -> None:
    await ask(app, "When are dogs welcome in the office?")
    async with app.database.tenant(LOCAL_TENANT) as session:
        await session.execute(text("UPDATE ledger SET cost_usd = 20"))
        names = "tenant_id, platform, channel_id, user_id, purpose, provider, model, price_version, status, estimated"
        await session.execute(
            text(
                f"INSERT INTO ledger ({names}, call_id, latency_ms, cost_usd, budget_day, created_at) "
                f"SELECT {names}, gen_random_uuid(), 1, 2, budget_day - n, created_at - n * interval '1 day' "
                "FROM ledger, generate_series(1, 20) AS n"
            )
        )
    box, other = Box(), Box()
    other.platform = "discord"
    for one in (box, box, other):
        await maintenance.maintain(app.services, LOCAL_TENANT)
        await tell_everywhere(app.services, one)
    assert (len(box.sent), len(other.sent)) == (1, 1)
    ((_, notice),) = box.sent
    assert notice.text.startswith("Models cost $20.00 on ")
    assert "at most $3.00 a day" in notice.text
    assert [block["type"] for block in render.button_notice(notice)["blocks"]] == ["markdown"]


async def test_an_alert_about_which_nobody_could_be_told_stays(app: App) -> None:
    box = Box()
    box.closed = {"U7"}
    await use(app, 800)
    await maintenance.maintain(app.services, LOCAL_TENANT)
    await tell(app.services, box, LOCAL_TENANT)
    box.closed = set()
    await tell(app.services, box, LOCAL_TENANT)
    assert box.told == ["U7"]


async def test_old_alerts_are_not_told(app: App) -> None:
    day = app.services.clock().date() - timedelta(days=2)
    async with app.database.tenant(LOCAL_TENANT) as session:
        alert = CostAlert(day, "unusual day", 0, Decimal(9), Decimal(2))
        await cost_alerts.record(session, tenant_id=LOCAL_TENANT, alerts=[alert])
    box = Box()
    await tell_everywhere(app.services, box)
    assert box.sent == []
