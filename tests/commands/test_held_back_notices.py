"""Whoever added a source, and the admins, are told once that a reading of it was held back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.app import App
from bot.commands import registry as commands
from bot.commands.admin_notices import MAX_TOLD, ButtonNotice
from bot.commands.held_back_notices import tell, tell_everywhere
from bot.errors import NotAllowed, SurfaceError, UsageError
from bot.store import tenants
from bot.types.conversation import LOCAL_TENANT, Platform
from tests.commands.test_commands import ANN, BOSS, by
from tests.knowledge.fakes import ListSource, markdown

PAGES = [markdown(f"p{n}.md", f"# Page {n}\n\nThe code of room {n} is {n * 37}.") for n in range(6)]


class Box:
    """A messenger that keeps what it sends, and fails for the people in ``closed``."""

    platform: Platform = "slack"

    def __init__(self) -> None:
        self.sent: list[tuple[str, ButtonNotice]] = []
        self.closed: set[str] = set()
        self.named: list[str] = ["U7"]

    async def served(self) -> Sequence[str]:
        return [LOCAL_TENANT]

    async def admins(self, tenant_id: str) -> Sequence[str]:
        return self.named

    def is_person(self, user_id: str) -> bool:
        return user_id.startswith("U")

    async def send(self, tenant_id: str, user_id: str, notice: ButtonNotice) -> None:
        if user_id in self.closed:
            raise SurfaceError("cannot_dm_bot")
        self.sent.append((user_id, notice))

    @property
    def told(self) -> list[str]:
        return [user for user, _ in self.sent]


async def read(app: App, pages: int, *, accept_removals: bool = False) -> None:
    """Read a source that has so many of its pages."""
    source = ListSource("https://site.example", *PAGES[:pages])
    await app.ingestor.ingest([source], tenant_id=LOCAL_TENANT, accept_removals=accept_removals)


async def lose(app: App) -> None:
    """Add a source for Ann, and read it again when most of it is gone."""
    await read(app, len(PAGES))

    async def name(session: AsyncSession) -> None:
        await session.execute(text("UPDATE sources SET added_by = :ann"), {"ann": ANN.id})
        await tenants.set_settings(
            session,
            tenant_id=LOCAL_TENANT,
            platform="slack",
            change=lambda made: replace(made, admins=("U8", "1234567890")),
        )

    await app.database.run(LOCAL_TENANT, name)
    await read(app, 1)


async def test_each_is_told_once(app: App) -> None:
    box = Box()
    await tell(app.services, box, LOCAL_TENANT)
    await lose(app)
    for _ in range(2):
        await tell(app.services, box, LOCAL_TENANT)
        await read(app, 1)
    assert box.told == [ANN.id, "U8", "U7"]
    (shown,) = {one.text for _, one in box.sent}
    assert "https://site.example" in shown
    assert "5 of 6 documents are gone from it, so nothing was removed. Check the source." in shown


async def test_one_statement_asks_for_all_tenants(app: App) -> None:
    """A process that serves a thousand workspaces must not open a thousand transactions each minute."""

    class Everywhere(Box):
        async def served(self) -> Sequence[str]:
            return [LOCAL_TENANT, *(f"slack:T{n}" for n in range(1000))]

    begun: list[str] = []
    event.listen(app.database.engine.sync_engine, "checkout", lambda *_: begun.append("checkout"))
    box = Everywhere()
    await tell_everywhere(app.services, box)
    assert (len(begun), box.sent) == (1, [])
    await lose(app)
    await tell_everywhere(app.services, box)
    assert box.told == [ANN.id, "U8", "U7"]
    begun.clear()
    await tell_everywhere(app.services, box)
    assert (len(begun), len(box.sent)) == (1, 3)


async def test_without_a_tenant_only_sources_that_are_held_back_are_seen(app: App) -> None:
    names = text("SELECT uri FROM sources")
    await lose(app)
    await app.ingestor.ingest([ListSource("https://fine.example", PAGES[0])], tenant_id=LOCAL_TENANT)
    async with app.database.queue() as session:
        assert list(await session.scalars(names)) == ["https://site.example"]
        assert list(await session.scalars(text("UPDATE sources SET held_back = '' RETURNING uri"))) == []
    async with app.database.tenant("slack:T2") as session:
        assert list(await session.scalars(names)) == []


async def test_another_platform_tells_its_own_people(app: App) -> None:
    await lose(app)
    slack, discord = Box(), Box()
    discord.platform, discord.named = "discord", ["U6"]
    await tell(app.services, slack, LOCAL_TENANT)
    await tell(app.services, discord, LOCAL_TENANT)
    assert (slack.told, discord.told) == ([ANN.id, "U8", "U7"], [ANN.id, "U8", "U6"])


async def test_they_are_told_again_if_it_happens_again(app: App) -> None:
    box = Box()
    await lose(app)
    await tell(app.services, box, LOCAL_TENANT)
    await read(app, len(PAGES))
    await tell(app.services, box, LOCAL_TENANT)
    assert len(box.sent) == 3
    await read(app, 1)
    await tell(app.services, box, LOCAL_TENANT)
    assert len(box.sent) == 6


async def test_a_notice_that_reached_nobody_is_sent_again(app: App) -> None:
    box = Box()
    await lose(app)
    box.closed = {ANN.id, "U7", "U8"}
    await tell(app.services, box, LOCAL_TENANT)
    box.closed = {ANN.id}
    for _ in range(2):
        await tell(app.services, box, LOCAL_TENANT)
    assert box.told == ["U8", "U7"]


async def test_only_so_many_are_told(app: App) -> None:
    box = Box()
    await lose(app)
    box.named = [f"U{n}" for n in range(100, 200)]
    await tell(app.services, box, LOCAL_TENANT)
    assert box.told[:2] == [ANN.id, "U8"]
    assert len(box.told) == MAX_TOLD


async def test_only_admins_let_it_through_and_only_while_it_is_held_back(app: App) -> None:
    box = Box()
    await lose(app)
    await tell(app.services, box, LOCAL_TENANT)
    source_id = box.sent[0][1].buttons[0].value
    with pytest.raises(NotAllowed, match="Only an admin"):
        await commands.run("docs", f"accept {source_id}", by(app))
    await read(app, 1, accept_removals=True)
    for named in (source_id, "nothing"):
        with pytest.raises(UsageError, match="no longer held back"):
            await commands.run("docs", f"accept {named}", by(app, BOSS))
