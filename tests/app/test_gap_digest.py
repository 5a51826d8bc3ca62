"""The weekly digest and the admin page of gaps: what they name, and that they leak nothing from private channels."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import aiohttp
import psycopg
import pytest

from bot.app import App
from bot.commands import registry
from bot.commands.admin_notices import ButtonNotice
from bot.commands.ask import NullSurface
from bot.commands.base import Context
from bot.commands.gap_digest import following_monday, tell_everywhere
from bot.errors import PlatformAway, UsageError
from bot.platforms.web.admin import gaps_page
from bot.platforms.web.admin.gaps_page import GapsPage
from bot.store import tenants
from bot.types.audience import MEMBERS, Audience
from bot.types.conversation import LOCAL_TENANT, PRIVATE_THREAD, Author, Platform, ThreadKey
from knowledge.errors import EmbeddingError
from knowledge.sources.source_factory import open_source
from tests.app.conftest import incoming
from tests.doubles.models import ModelDouble, Reply, Seen, quoting
from tests.web.serving import served

ADMIN = Author("boss", "Bo", is_admin=True)


async def ask(app: App, question: str, channel: str = "C1", *, user: str = "ann", thread: str = "") -> None:
    key = ThreadKey(LOCAL_TENANT, "slack", channel, thread or uuid.uuid4().hex)
    turn = await app.dispatcher.accept(incoming(question, key, user=user))
    assert turn is not None
    await app.dispatcher.start(turn, NullSurface())


async def switch(app: App, value: str, channel: str = "C1", audience: Audience = MEMBERS) -> str:
    context = Context(LOCAL_TENANT, "slack", channel, None, ADMIN, app.services, audience=audience)
    return (await registry.COMMANDS["admin"].run(context, f"digest {value}")).text


def make_due(admin_url: str) -> None:
    with psycopg.connect(admin_url) as connection:
        connection.execute("UPDATE gap_digests SET next_at = now() - interval '1 minute'")


@dataclass
class Channels:
    """Posts to the channels of one workspace."""

    public: frozenset[str] = frozenset(("C1", "C2"))
    platform: Platform = "slack"
    error: Exception | None = None
    readers: Audience = MEMBERS
    tenants: Sequence[str] = (LOCAL_TENANT,)
    posted: list[tuple[str, str]] = field(default_factory=list)
    sent: list[tuple[str, str]] = field(default_factory=list)

    async def served(self) -> Sequence[str]:
        return self.tenants

    async def admins(self, tenant_id: str) -> Sequence[str]:
        return ["U0BOSS"]

    def is_person(self, user_id: str) -> bool:
        return user_id.startswith("U")

    async def send(self, tenant_id: str, user_id: str, notice: ButtonNotice) -> None:
        self.sent.append((user_id, notice.text))

    async def audience(self, tenant_id: str, channel_id: str) -> Audience:
        return self.readers

    async def public_channels(self, tenant_id: str, channel_ids: Collection[str]) -> set[str]:
        return set(self.public.intersection(channel_ids))

    async def post(self, tenant_id: str, channel_id: str, text: str) -> None:
        if self.error is not None:
            raise self.error
        self.posted.append((channel_id, text))


async def test_a_digest_has_questions_of_its_channel_and_of_public_ones_alone(app: App, admin_url: str) -> None:
    assert "Every week I post here" in await switch(app, "on")
    await ask(app, "Which zebras may I bring to the office?")
    await ask(app, "Which zebras may I take into the office?", "C2", user="bob")
    await ask(app, "Which takeover is planned in secret?", "C3", user="eve")
    await ask(app, "What is my secret salary?", "D1", user="eve")
    await ask(app, "Which secret did I ask alone?", "C1", thread=f"{PRIVATE_THREAD}1")
    for user in ("ann", "bob", "eve"):
        await ask(app, "What may a hotel in Lisbon cost?", user=user)
    box = Channels()
    await tell_everywhere(app.services, box)
    assert box.posted == [], "not due before Monday"
    make_due(admin_url)
    for _ in range(2):
        await tell_everywhere(app.services, box)
    ((channel, text),) = box.posted
    assert channel == "C1"
    assert "2 questions by 2 people (" in text
    assert "3 questions by 3 people (3 asked often)" in text
    assert "secret" not in text
    assert "off" in await _shown(app, "off")


async def _shown(app: App, value: str) -> str:
    assert "no weekly digest" in await switch(app, value)
    context = Context(LOCAL_TENANT, "slack", "C1", None, ADMIN, app.services, audience=MEMBERS)
    table = (await registry.COMMANDS["admin"].run(context, "")).table
    assert table is not None
    return next(str(row[1]) for row in table.rows if row[0] == "weekly digest")


async def test_a_private_channel_may_read_its_own_questions(app: App, admin_url: str) -> None:
    await switch(app, "on", "C3")
    await ask(app, "Which takeover is planned?", "C3")
    make_due(admin_url)
    box = Channels()
    await tell_everywhere(app.services, box)
    assert "Which takeover is planned?" in box.posted[0][1]


async def test_a_digest_that_cannot_be_posted_is_tried_again(app: App, admin_url: str) -> None:
    await switch(app, "on")
    make_due(admin_url)
    await tell_everywhere(app.services, Channels(error=PlatformAway("away")))
    assert await is_retried_soon(admin_url)
    make_due(admin_url)
    box = Channels()
    await tell_everywhere(app.services, box)
    assert "no gaps" in box.posted[0][1]


async def is_retried_soon(admin_url: str) -> bool:
    async with await psycopg.AsyncConnection.connect(admin_url) as connection:
        found = await connection.execute("SELECT next_at < now() + interval '2 hours' FROM gap_digests")
        (soon,) = await found.fetchone() or (False,)
    return bool(soon)


async def test_people_from_outside_who_joined_later_get_no_digest_and_the_admins_are_told(
    app: App, admin_url: str
) -> None:
    await switch(app, "on")
    await ask(app, "Which zebras may I bring to the office?")
    make_due(admin_url)
    box = Channels(readers=Audience("guests"))
    for _ in range(2):
        await tell_everywhere(app.services, box)
    assert box.posted == []
    ((person, told),) = box.sent
    assert person == "U0BOSS"
    assert "<#C1>: people from outside the team" in told
    assert not await is_retried_soon(admin_url)
    async with app.database.tenant(LOCAL_TENANT) as session:
        await tenants.set_channel_settings(
            session, tenant_id=LOCAL_TENANT, channel_id="C1", change=lambda made: replace(made, external=True)
        )
    make_due(admin_url)
    await tell_everywhere(app.services, box)
    assert "zebras" in box.posted[0][1], "an admin allowed it with /settings external on"


async def test_no_digest_is_posted_while_it_is_unknown_who_reads_it(app: App, admin_url: str) -> None:
    await switch(app, "on")
    make_due(admin_url)
    box = Channels(readers=Audience())
    await tell_everywhere(app.services, box)
    assert (box.posted, box.sent) == ([], [])
    assert await is_retried_soon(admin_url)


async def lost(*_: object) -> NoReturn:
    raise EmbeddingError("The embedding server does not answer. Start it.")


async def test_a_digest_whose_questions_cannot_be_encoded_is_tried_again_and_others_are_posted(
    app: App, admin_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await switch(app, "on")
    for _ in range(2):
        await ask(app, "Which zebras may I bring to the office?")
    make_due(admin_url)
    with psycopg.connect(admin_url) as connection:
        connection.execute("INSERT INTO gap_digests VALUES ('slack:T9', 'slack', 'C9', now() - interval '1 minute')")
    monkeypatch.setattr(app.services.models.current, "encode", lost)
    box = Channels(tenants=(LOCAL_TENANT, "slack:T9"))
    await tell_everywhere(app.services, box)
    assert [channel for channel, _ in box.posted] == ["C9"]
    with psycopg.connect(admin_url) as connection:
        rows = connection.execute("SELECT tenant_id FROM gap_digests WHERE next_at < now() + interval '2 hours'")
        assert rows.fetchall() == [(LOCAL_TENANT,)]


async def test_the_page_says_that_questions_cannot_be_encoded(
    app: App, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(app, "Which zebras may I bring to the office?")
    monkeypatch.setattr(app.services.models.current, "encode", lost)
    async with served(app) as url, http.get(f"{url}/admin/gaps") as response:
        assert (response.status, "Start it." in await response.text()) == (503, True)


async def test_the_page_keeps_the_vectors_that_another_request_removes(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = GapsPage(app.services, LOCAL_TENANT)
    monkeypatch.setattr(gaps_page, "MOST_VECTORS", 1)
    await page._encode(["one"])
    first = asyncio.create_task(page._encode(["one", "two"]))
    encode = app.services.models.current.encode

    async def encode_after_other_request(*given: Any) -> Any:
        monkeypatch.setattr(app.services.models.current, "encode", encode)
        await page._encode(["three"])
        return await encode(*given)

    monkeypatch.setattr(app.services.models.current, "encode", encode_after_other_request)
    assert len(await first) == 2


async def test_people_from_outside_get_no_digest(app: App) -> None:
    with pytest.raises(UsageError, match="People from outside"):
        await switch(app, "on", audience=Audience("guests"))
    context = Context(LOCAL_TENANT, "web", "web", None, ADMIN, app.services, audience=MEMBERS)
    with pytest.raises(UsageError, match="in the channel of Slack or Discord"):
        await registry.COMMANDS["admin"].run(context, "digest on")
    with pytest.raises(UsageError, match="/admin digest on"):
        await switch(app, "maybe")


async def contradict(app: App, handbook: Path, audience: str = "tenant") -> None:
    (handbook / "prices.md").write_text("# Prices\n\nA hotel in Lisbon may cost 240 EUR a night.\n")
    source = open_source(str(handbook / "prices.md"), fetch_allow=(), max_bytes=10**6, files=True)
    assert (await app.ingestor.ingest([source], tenant_id=LOCAL_TENANT, audience=audience)).failed == ()


async def test_documents_that_say_other_numbers_are_named(app: App, handbook: Path, admin_url: str) -> None:
    await contradict(app, handbook)
    await switch(app, "on")
    await ask(app, "What may a hotel in Lisbon cost?")
    make_due(admin_url)
    box = Channels()
    await tell_everywhere(app.services, box)
    assert "180 EUR" in box.posted[0][1]
    assert "240 EUR" in box.posted[0][1]


async def test_documents_of_other_channels_are_not_quoted(app: App, handbook: Path, admin_url: str) -> None:
    await contradict(app, handbook, "C2")
    await switch(app, "on")
    await ask(app, "What may a hotel in Lisbon cost?", "C2")
    make_due(admin_url)
    box = Channels()
    await tell_everywhere(app.services, box)
    assert "240" not in box.posted[0][1]
    assert "prices.md" not in box.posted[0][1]


async def test_the_cheap_model_names_the_groups_and_its_call_is_in_the_ledger(
    app_with_models: App, models: ModelDouble, admin_url: str
) -> None:
    def script(seen: Seen) -> Reply:
        return Reply('{"names": ["Animals at work"]}') if "You name groups" in seen.system else quoting(seen)

    models.script = script
    await switch(app_with_models, "on")
    await ask(app_with_models, "Which zebras may I bring to the office?")
    make_due(admin_url)
    box = Channels()
    await tell_everywhere(app_with_models.services, box)
    assert "**Animals at work**: 1 question by 1 person" in box.posted[0][1]
    with psycopg.connect(admin_url) as connection:
        rows = connection.execute("SELECT purpose, status FROM ledger WHERE user_id = 'digest'").fetchall()
    assert rows == [("summary", "ok")]
    models.script = lambda _: Reply("nonsense")
    make_due(admin_url)
    await tell_everywhere(app_with_models.services, box)
    assert "zebras" in box.posted[1][1].lower()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_the_page_has_gaps_without_other_peoples_private_questions(
    app: App, http: aiohttp.ClientSession, handbook: Path
) -> None:
    await contradict(app, handbook)
    await ask(app, "Which zebras may I bring to the office?")
    await ask(app, "Which secret did I ask alone?", thread=f"{PRIVATE_THREAD}1")
    await ask(app, "What may a hotel in Lisbon cost?")
    async with served(app) as url:
        for _ in range(2):
            async with http.get(f"{url}/admin/gaps?days=30") as response:
                page = await response.text()
                assert response.status == 200
            assert "zebras" in page
            assert "secret" not in page
            assert "240 EUR" in page


def test_the_next_monday_is_in_the_time_zone() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    monday = datetime(2026, 11, 30, 9, tzinfo=berlin)
    assert following_monday(datetime(2026, 11, 29, 12, tzinfo=UTC), "Europe/Berlin") == monday
    assert following_monday(monday - timedelta(minutes=1), "Europe/Berlin") == monday
    assert following_monday(monday, "Europe/Berlin") == monday + timedelta(days=7)
