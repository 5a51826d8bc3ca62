"""What one tenant's platform refuses does not keep the notices of the others back."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from bot.app import App
from bot.commands import changed_answer_notices, cost_alert_notices, held_back_notices, stale_answer_notices
from bot.errors import StoreAway, SurfaceError
from bot.store.budgets import cost_alerts
from bot.store.turns import changed_answers
from bot.store.verified_answers import staleness
from knowledge.store import held_back_sources
from tests.commands.test_held_back_notices import Box

NOTICES = [
    (changed_answer_notices, "_tell", changed_answers, "tenants_to_tell"),
    (cost_alert_notices, "tell", cost_alerts, "tenants_not_told"),
    (held_back_notices, "tell", held_back_sources, "tenants_not_told"),
    (stale_answer_notices, "tell", staleness, "tenants_not_told"),
]


@pytest.mark.parametrize(("notices", "step", "waiting", "query"), NOTICES)
async def test_the_tenants_after_one_that_fails_are_told(
    app: App,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    notices: ModuleType,
    step: str,
    waiting: ModuleType,
    query: str,
) -> None:
    told: list[str] = []

    async def tenants(*_: Any, **__: Any) -> list[str]:
        return ["slack:T1", "slack:T2"]

    async def tell(_: Any, __: Any, tenant_id: str) -> None:
        if tenant_id == "slack:T1":
            raise SurfaceError("missing_scope: users:read")
        told.append(tenant_id)

    async def away(*_: Any) -> None:
        raise StoreAway("gone")

    monkeypatch.setattr(waiting, query, tenants)
    monkeypatch.setattr(notices, step, tell)
    await notices.tell_everywhere(app.services, Box())
    assert told == ["slack:T2"]
    assert "slack:T1" in caplog.text
    monkeypatch.setattr(notices, step, away)
    with pytest.raises(StoreAway):
        await notices.tell_everywhere(app.services, Box())
