"""The ``sources`` command: the quotes of an answer in the context of their documents."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text

from bot.app import App
from bot.commands import cited_sources
from bot.commands import registry as commands
from bot.commands.base import Context
from bot.commands.cited_sources import in_context
from bot.commands.user_messages import DOCUMENT_CHANGED, DOCUMENT_GONE, NOTHING_CITED
from bot.engine.display.output_filter import sanitize
from bot.errors import NotAllowed, UsageError
from bot.types.conversation import LOCAL_TENANT, Author
from tests.commands.test_commands import BOSS, by, upload

DOGS = """# Dogs

Whoever brings a dog tells the front desk before nine. Dogs are welcome in the office on Fridays. They stay off the
third floor, where the kitchen is.
"""


async def answered(app: App, question: str = "When are dogs welcome in the office?") -> tuple[Context, str]:
    """Ask a private question; return a context in its thread, and the id of the answer."""
    context = replace(by(app), attachments=(upload("dogs.md", DOGS),))
    await commands.run("ingest", "", context)
    reply = await commands.run("ask", question, by(app))
    async with app.database.tenant(LOCAL_TENANT) as session:
        thread = await session.scalar(
            text("SELECT thread_id FROM turns WHERE turn_id = CAST(:id AS uuid)"), {"id": reply.turn_id}
        )
    return replace(by(app), thread_id=str(thread)), reply.turn_id


async def test_the_quote_stands_in_its_place(app: App) -> None:
    inside, turn_id = await answered(app)
    shown = (await commands.run("sources", "", inside)).text
    assert shown.startswith("**[1]** Dogs\n> ")
    assert f"tells the front desk before nine. **{QUOTE}**" in shown
    assert (await commands.run("sources", turn_id, by(app))).text == shown


QUOTE = "Dogs are welcome in the office on Fridays. They stay off the third floor, where the kitchen is."


def quotes_alone(why: str) -> str:
    """Return what is shown of the quote of the answer without the text around it."""
    return f"**[1]** Dogs\n{why}\n> **{QUOTE}**"


async def test_of_a_document_that_changed_or_went_the_quote_alone_is_shown(app: App) -> None:
    inside, _ = await answered(app)

    async def after(change: str) -> str:
        async with app.database.tenant(LOCAL_TENANT) as session:
            await session.execute(text(change))
        return (await commands.run("sources", "", inside)).text

    moved = await after("UPDATE documents SET text = 'A new beginning. ' || text")
    assert f"before nine. **{QUOTE}**" in moved
    changed = await after("UPDATE documents SET text = 'Cats are welcome.'")
    assert changed == quotes_alone(DOCUMENT_CHANGED)
    elsewhere = await after("UPDATE documents SET text = 'Dogs and secrets.', audience = 'C2'")
    assert elsewhere == quotes_alone(DOCUMENT_GONE)
    assert await after("DELETE FROM documents") == elsewhere


async def test_who_may_look_and_what_there_is_to_look_at(app: App) -> None:
    _, turn_id = await answered(app)
    for other in (by(app, Author("U2", "Bob")), by(app, BOSS, "C2")):
        with pytest.raises(UsageError, match="No answer has the ID"):
            await commands.run("sources", turn_id, other)
    async with app.database.tenant(LOCAL_TENANT) as session:
        await session.execute(text("UPDATE turns SET thread_id = '1.0'"))
    with pytest.raises(NotAllowed, match="another channel"):
        await commands.run("sources", turn_id, by(app, Author("U2", "Bob"), "C2"))
    assert "**[1]**" in (await commands.run("sources", turn_id, by(app, BOSS, "C2"))).text
    with pytest.raises(UsageError, match="No answer has the ID “nonsense”"):
        await commands.run("sources", "nonsense", by(app))
    with pytest.raises(UsageError, match="write /sources with the ID"):
        await commands.run("sources", "", replace(by(app), thread_id=None))
    async with app.database.tenant(LOCAL_TENANT) as session:
        await session.execute(text("UPDATE turns SET citations = '[]'"))
    assert (await commands.run("sources", turn_id, by(app))).text == NOTHING_CITED


async def test_an_answer_that_is_shown_and_not_stored_yet_is_waited_for(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, turn_id = await answered(app)

    async def turned(state: str) -> None:
        async with app.database.tenant(LOCAL_TENANT) as session:
            await session.execute(text("UPDATE turns SET state = :state"), {"state": state})

    await turned("running")
    monkeypatch.setattr(cited_sources, "POLL_SECONDS", 0.0)
    with pytest.raises(UsageError, match="still being written"):
        await commands.run("sources", turn_id, inside)
    monkeypatch.setattr(cited_sources, "POLLS", 1_000_000)
    waiting = asyncio.create_task(commands.run("sources", turn_id, inside))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await turned("done")
    assert "**[1]**" in (await waiting).text


async def test_a_document_makes_nothing_live(app: App) -> None:
    inside, _ = await answered(app)
    async with app.database.tenant(LOCAL_TENANT) as session:
        evil = "See <!channel> @everyone https://evil.example/?q=1 now. "
        await session.execute(text("UPDATE documents SET text = :evil || text"), {"evil": evil})
    reply = await commands.run("sources", "", inside)
    shown = sanitize(reply.text, reply.links)
    assert "`https://evil.example/?q=1`" in shown
    assert "<!channel>" not in shown
    assert "@everyone" not in shown


@pytest.mark.parametrize(
    ("chars", "shown"),
    [(100, ("One two three.", "Four five.", "Six seven.")), (8, ("… three.", "Four five.", "Six …"))],
)
def test_an_excerpt_is_cut_between_words(chars: int, shown: tuple[str, str, str]) -> None:
    document = "# Numbers\nOne two three. Four five. Six seven.\n## Letters\nA b c."
    start = document.index("Four")
    assert in_context(document, start, start + len("Four five."), chars) == shown
