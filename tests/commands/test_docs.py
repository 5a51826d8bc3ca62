"""``/docs`` as any platform calls it."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from bot.app import App
from bot.commands import registry as commands
from bot.errors import NotAllowed, UsageError
from bot.ingestion import Ingestion
from bot.types.conversation import LOCAL_TENANT
from tests.commands.test_commands import BOSS, by, ingested


@pytest.mark.parametrize("option", ["--accept-removals", "—accept-removals"])
async def test_an_admin_lets_a_refresh_remove_many_documents(
    app: App, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    await ingested(app, author=BOSS)
    async with app.database.tenant(LOCAL_TENANT) as session:
        await session.execute(text("UPDATE sources SET uri = 'https://handbook.example/dogs', kind = 'url'"))
    accepted: list[object] = []

    async def refresh(*_: object, accept_removals: bool, **__: object) -> None:
        accepted.append(accept_removals)
        raise UsageError("enough")

    monkeypatch.setattr(Ingestion, "refresh", refresh)
    for line in ("refresh Dogs", f"refresh Dogs {option}"):
        with pytest.raises(UsageError, match="enough"):
            await commands.run("docs", line, by(app, BOSS))
    assert accepted == [False, True]
    with pytest.raises(NotAllowed, match="Only an admin"):
        await commands.run("docs", f"refresh Dogs {option}", by(app))
    for line in (option, f"refresh {option}", f"list {option}", f"delete Dogs {option}"):
        with pytest.raises(UsageError, match="Write /docs"):
            await commands.run("docs", line, by(app, BOSS))
    assert accepted == [False, True]
