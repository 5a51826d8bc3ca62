"""Text that PostgreSQL cannot store: cleaned where it comes in, and never a reason to buy an answer again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from bot.app import App, open_app
from bot.commands.ask import NullSurface
from bot.config import Settings
from bot.engine import user_messages
from bot.store.budgets import ledger
from bot.types.conversation import LOCAL_TENANT
from knowledge.sources.source_factory import open_source
from tests.app.conftest import ask, incoming, key
from tests.doubles.models import ModelDouble, Reply

ANSWER = "A hotel in Lis\0bon may cost 180 EUR \ud83d\ude00 a night \ud800 [1]."
CLEAN = "A hotel in Lis\ufffdbon may cost 180 EUR 😀 a night \ufffd [1]."


@pytest.fixture(params=["anthropic", "openai"])
def one_provider(request: pytest.FixtureRequest, both: Settings) -> Settings:
    other = "openai" if request.param == "anthropic" else "anthropic"
    return both.model_copy(update={f"{other}_api_key": None})


@pytest.mark.parametrize("piece", [1, 12])
async def test_an_answer_with_unstorable_characters_is_stored_clean_and_bought_once(
    one_provider: Settings, handbook: Path, models: ModelDouble, piece: int
) -> None:
    models.script = lambda _: Reply(ANSWER, piece=piece)
    async with open_app(one_provider) as app:
        source = open_source(str(handbook), fetch_allow=(), max_bytes=10**6, files=True)
        await app.ingestor.ingest([source], tenant_id=LOCAL_TENANT)
        async with asyncio.timeout(30):
            outcome = await ask(app, "What may a hotel in Lisbon cost?")
        assert (outcome.state, outcome.answer) == ("done", CLEAN)
        assert len(models.bill) == 1
        async with app.database.tenant(LOCAL_TENANT) as session:
            assert await session.scalar(text("SELECT answer FROM turns")) == CLEAN


async def test_a_question_with_unstorable_characters_is_accepted_clean(app: App) -> None:
    asked = incoming("What may a hotel\0 in Lisbon \ud800cost?", key())
    turn = await app.dispatcher.accept(asked)
    assert turn is not None
    assert turn.question == "What may a hotel\ufffd in Lisbon \ufffdcost?"
    outcome = await app.dispatcher.start(turn, NullSurface())
    assert outcome.state == "done"
    await app.dispatcher.settled()
    edited = await app.dispatcher.change(
        turn.id, asked.author, "And in\0 Oslo?", tenant_id=LOCAL_TENANT, audience=asked.audience
    )
    assert edited is not None
    assert edited.question == "And in\ufffd Oslo?"
    await app.dispatcher.rate(turn.id, asked.author, tenant_id=LOCAL_TENANT, value=-1, reason="no\0pe")


async def test_documents_with_unstorable_characters_are_stored_clean(app: App, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "page.html").write_bytes(b"<h1>Parking&#0; lots &#xd800;</h1><p>The blue&#0; lot is free.</p>")
    (folder / "rows.json").write_bytes(b'{"title": "Keys \\u0000 \\ud800", "text": "The key \\u0000 is blue \\udc00."}')
    name = b"caf\xe9.md".decode("utf-8", "surrogateescape")
    (folder / name).write_text("# Coffee\n\nCoffee is free.")
    report = await app.ingestor.ingest(
        [open_source(str(folder), fetch_allow=(), max_bytes=10**6, files=True)], tenant_id=LOCAL_TENANT
    )
    assert report.failed == ()
    assert report.documents == 3
    again = await app.ingestor.ingest(
        [open_source(str(folder), fetch_allow=(), max_bytes=10**6, files=True)], tenant_id=LOCAL_TENANT
    )
    assert (again.documents, again.unchanged, again.deleted) == (3, 3, 0)
    outcome = await ask(app, "Which lot is free?")
    assert outcome.state == "done"


async def test_an_answer_that_the_database_rejects_fails_and_is_paid_once(
    app_with_models: App, models: ModelDouble, admin_url: str
) -> None:
    """A constraint stands for any reason for which this answer can never be stored."""
    with psycopg.connect(admin_url) as connection:
        connection.execute("ALTER TABLE messages ADD CHECK (text NOT LIKE '%towel%')")
    models.script = lambda _: Reply("Bring a towel to the hotel in Lisbon [1].")
    async with asyncio.timeout(30):
        outcome = await ask(app_with_models, "What may a hotel in Lisbon cost?")
    assert (outcome.state, outcome.answer, outcome.refused) == ("failed", "", user_messages.BROKEN)
    async with app_with_models.database.tenant(LOCAL_TENANT) as session:
        rows = await ledger.of_turn(session, tenant_id=LOCAL_TENANT, turn_id=outcome.turn_id)
        state = await session.scalar(text("SELECT state FROM turns"))
        reserved = await session.scalar(text("SELECT sum(reserved) FROM budget_days"))
    assert (state, [row.status for row in rows], reserved) == ("failed", ["ok"], 0)
    assert len(models.bill) == 1
