"""The ``settings`` and ``admin`` commands with the real store."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from sqlalchemy import text

from bot.app import App
from bot.commands import registry as commands
from bot.errors import NotAllowed, UsageError
from bot.types.audience import decide
from bot.types.conversation import LOCAL_TENANT, Author, ThreadKey
from tests.commands.test_commands import BOSS, by, ingested

ANN = Author("U1", "Ann")
HERE = ThreadKey(LOCAL_TENANT, "slack", "C1", "1.1")
ELSEWHERE = replace(HERE, channel_id="C2")


async def shown(app: App, author: Author = ANN, channel: str = "C1") -> dict[str, str]:
    reply = await commands.run("settings", "", by(app, author, channel))
    return dict(re.findall(r"(?m)^- \*\*(.+?)\*\*: (.+)$", reply.text))


async def test_a_channel_is_set_by_admins_and_shown_to_everybody(app: App) -> None:
    await ingested(app)
    with pytest.raises(NotAllowed, match="Only an admin"):
        await commands.run("settings", "tier strong", by(app))
    documents = (await commands.run("docs", "", by(app))).table
    assert documents is not None
    source = str(documents.rows[0][documents.columns.index("source")])
    for line in ("persona Answer in  one sentence.", "tier strong", "follow-ups off", "auto-answer on"):
        await commands.run("settings", line, by(app, BOSS))
    await commands.run("settings", f"sources {source}", by(app, BOSS))
    assert await shown(app) == {
        "persona": "Answer in  one sentence.",
        "tier": "strong",
        "sources": source,
        "follow-ups": "off",
        "auto-answer": "on",
        "change-notices": "off",
        "external": "off",
    }
    made = await app.services.stores.settings.channel_settings(HERE)
    assert (made.sources, made.tier, made.follow_ups, made.auto_answer) == ((source,), "strong", False, True)
    assert (await shown(app, channel="C2"))["persona"] == "default"
    await commands.run("settings", "reset", by(app, BOSS))
    assert (await shown(app))["sources"] == "all"


async def test_an_admin_opens_the_direct_messages_of_a_guest(app: App) -> None:
    await ingested(app, author=BOSS)
    guest = Author("U7", "Gil", standing="guest")
    direct = replace(by(app, guest, "D7"), audience=decide("guest", "members", direct=True))
    question = "When are dogs welcome?"
    before = await commands.run("ask", question, direct)
    async with app.database.tenant(LOCAL_TENANT) as session:
        notes = await session.scalar(text("SELECT trace ->> 'notes' FROM turns"))
    assert "/settings external on D7." in str(notes)
    assert "/settings external on D7" in (await commands.run("docs", "", direct)).text
    for person, place in ((ANN, "C1"), (guest, "D7")):
        with pytest.raises(NotAllowed):
            await commands.run("settings", "external on D7", by(app, person, place))
    reply = await commands.run("settings", "external on D7", by(app, BOSS))
    assert reply.text.startswith("In D7: I use all of the team's documents")
    assert (await shown(app))["external"] == "off"
    assert "Fridays" not in before.text
    assert "Fridays" in (await commands.run("ask", question, direct)).text
    await commands.run("settings", "external off <#D7|gil>", by(app, BOSS))
    assert "Fridays" not in (await commands.run("ask", question, direct)).text


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("persona", "Write how I should behave"),
        (f"persona {'x' * 2001}", "at most 2,000"),
        ("tier best", "not a tier"),
        ("sources nowhere/", "No source or document begins"),
        ("sources", "Name the sources"),
        ("external maybe", "external on, or /settings external off"),
        ("external on here", "the ID of its channel"),
        ("external on D1 D2", "the ID of its channel"),
        ("external maybe D1", "external on, or /settings external off"),
        ("follow-ups maybe", "follow-ups on, or /settings follow-ups off"),
        ("colour blue", "Write /settings"),
    ],
)
async def test_a_wrong_setting_gets_its_usage_and_changes_nothing(app: App, line: str, told: str) -> None:
    before = await shown(app)
    with pytest.raises(UsageError, match=told):
        await commands.run("settings", line, by(app, BOSS))
    assert await shown(app) == before


async def test_who_is_made_an_admin_is_one_in_every_command_until_revoked(app: App) -> None:
    with pytest.raises(NotAllowed):
        await commands.run("admin", "grant <@U1>", by(app))
    await commands.run("admin", "grant <@U1|ann>", by(app, BOSS))
    assert "U1" in str((await commands.run("admin", "", by(app))).table)
    await commands.run("admin", "revoke U1", by(app))
    with pytest.raises(NotAllowed):
        await commands.run("costs", "", by(app))
    with pytest.raises(UsageError, match="PARLEY_ADMINS"):
        await commands.run("admin", "revoke U9", by(app, BOSS))


async def test_the_tier_of_the_tenant_holds_where_the_channel_says_nothing(app: App) -> None:
    await commands.run("admin", "tier strong", by(app, BOSS))
    await commands.run("settings", "tier cheap", by(app, BOSS, "C2"))
    assert (await app.services.stores.settings.channel_settings(HERE)).tier == "strong"
    assert (await app.services.stores.settings.channel_settings(ELSEWHERE)).tier == "cheap"
    await commands.run("admin", "tier auto", by(app, BOSS))
    assert (await app.services.stores.settings.channel_settings(HERE)).tier is None


async def test_a_pause_holds_everywhere_and_says_its_note(app: App) -> None:
    await commands.run("admin", "pause Back at noon.", by(app, BOSS))
    assert (await app.services.stores.settings.channel_settings(ELSEWHERE)).paused == "Back at noon."
    assert "Back at noon." in (await commands.run("settings", "", by(app))).text
    asked = await commands.run("ask", "When are dogs welcome?", by(app))
    assert "Back at noon." in asked.text
    await commands.run("admin", "resume", by(app, BOSS))
    assert (await app.services.stores.settings.channel_settings(HERE)).paused is None


async def test_models_are_told(app: App) -> None:
    reply = await commands.run("admin", "models", by(app, BOSS))
    assert reply.table is not None
    assert [row[0] for row in reply.table.rows] == ["cheap", "strong", "embedding"]
    with pytest.raises(UsageError, match="Write /admin"):
        await commands.run("admin", "explode", by(app, BOSS))
