"""Nobody replaces or deletes another person's document, except for admins; members add to their own channel."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from bot.app import App
from bot.commands import registry as commands
from bot.commands.base import Context, Reply
from bot.errors import NotAllowed, UsageError
from bot.types.conversation import LOCAL_TENANT, Attachment, Author

ADMIN, ANN, BOB = Author("boss", "Boss", is_admin=True), Author("ann", "Ann"), Author("bob", "Bob")


async def upload(
    app: App, author: Author, content: str, line: str = "", *, channel: str = "C1", open_to_members: bool = False
) -> Reply:
    async def read() -> bytes:
        return content.encode()

    services = app.services
    if open_to_members:
        services = replace(services, settings=services.settings.model_copy(update={"tenant_documents": "members"}))
    attached = Attachment("handbook.md", "text/markdown", len(content), read)
    context = Context(LOCAL_TENANT, "slack", channel, None, author, services, attachments=(attached,))
    return await commands.run("ingest", line, context)


async def run(app: App, author: Author, line: str) -> Reply:
    return await commands.run("docs", line, Context(LOCAL_TENANT, "slack", "C1", None, author, app.services))


async def stored(app: App) -> set[tuple[str, str, str, str]]:
    """The documents: audience, name, text and owner."""
    async with app.database.tenant(LOCAL_TENANT) as session:
        rows = await session.execute(
            text(
                "SELECT documents.audience, documents.uri, documents.text, coalesce(added_by, '-') FROM documents "
                "JOIN sources ON sources.tenant_id = documents.tenant_id AND sources.id = source_id"
            )
        )
        return {(row[0], row[1], row[2].strip().removeprefix("# "), row[3]) for row in rows}


async def document_id(app: App, author: Author) -> str:
    async with app.database.tenant(LOCAL_TENANT) as session:
        found = await session.scalar(
            text(
                "SELECT documents.id FROM documents JOIN sources ON sources.tenant_id = documents.tenant_id "
                "AND sources.id = source_id WHERE added_by = :by"
            ),
            {"by": author.id},
        )
    return str(found)


async def test_a_members_upload_does_not_replace_the_admins(app: App) -> None:
    await upload(app, ADMIN, "# true")
    reply = await upload(app, ANN, "# forged")
    assert "People in this channel can ask" in reply.text
    assert await stored(app) == {("tenant", "handbook.md", "true", "boss"), ("C1", "handbook.md", "forged", "ann")}


async def test_a_member_is_told_who_may_add_for_everyone(app: App) -> None:
    with pytest.raises(NotAllowed, match=r"Only an admin .* Leave out --tenant"):
        await upload(app, ANN, "# forged", "--tenant")
    assert await stored(app) == set()


async def test_two_people_in_one_channel_keep_a_document_each(app: App) -> None:
    await upload(app, ANN, "# of ann")
    await upload(app, BOB, "# of bob")
    await upload(app, BOB, "# of bob, again")
    await upload(app, ANN, "# of ann, again")
    await upload(app, ANN, "# elsewhere", channel="C2")
    assert await stored(app) == {
        ("C1", "handbook.md", "of ann, again", "ann"),
        ("C1", "handbook (2).md", "of bob, again", "bob"),
        ("C2", "handbook.md", "elsewhere", "ann"),
    }


async def test_members_who_may_add_for_everyone_still_replace_nothing(app: App) -> None:
    await upload(app, ADMIN, "# true")
    await upload(app, ANN, "# forged", open_to_members=True)
    assert await stored(app) == {
        ("tenant", "handbook.md", "true", "boss"),
        ("tenant", "handbook (2).md", "forged", "ann"),
    }


async def test_an_admin_replaces_a_members_document_and_owns_it_then(app: App) -> None:
    await upload(app, ANN, "# of ann")
    await upload(app, ADMIN, "# corrected", "--here")
    assert await stored(app) == {("C1", "handbook.md", "corrected", "boss")}
    await upload(app, ANN, "# of ann")
    assert ("C1", "handbook.md", "corrected", "boss") in await stored(app)


async def test_a_document_without_an_owner_is_replaced_by_admins_alone(app: App) -> None:
    await upload(app, ADMIN, "# old", "--here")
    async with app.database.tenant(LOCAL_TENANT) as session:
        await session.execute(text("UPDATE sources SET added_by = NULL, upload_name = NULL"))
    await upload(app, ANN, "# forged")
    assert ("C1", "handbook.md", "old", "-") in await stored(app)
    await upload(app, ADMIN, "# new", "--here")
    assert ("C1", "handbook.md", "new", "boss") in await stored(app)


async def test_members_delete_their_own_documents_alone(app: App) -> None:
    await upload(app, ANN, "# of ann")
    found = await document_id(app, ANN)
    with pytest.raises(NotAllowed, match="Ask an admin to delete it"):
        await run(app, BOB, f"delete {found}")
    await run(app, ANN, f"delete {found}")
    assert await stored(app) == set()
    await upload(app, BOB, "# of bob")
    assert await stored(app) == {("C1", "handbook.md", "of bob", "bob")}, "the name is free again"
    await run(app, ADMIN, f"delete {await document_id(app, BOB)}")
    assert await stored(app) == set()


async def test_erasing_oneself_asks_about_uploads_first(app: App) -> None:
    await upload(app, ANN, "# of ann")
    context = Context(LOCAL_TENANT, "slack", "C1", None, ANN, app.services)
    for line, words in (
        ("erase", "/privacy erase me"),
        ("erase me", "You uploaded 1 document. .*Nothing was erased yet"),
    ):
        with pytest.raises(UsageError, match=words):
            await commands.run("privacy", line, context)
    assert ("C1", "handbook.md", "of ann", "ann") in await stored(app)
    await commands.run("privacy", "erase me keep", context)
    assert await stored(app) == {("C1", "handbook.md", "of ann", "-")}, "it belongs to the admins"
    await upload(app, ANN, "# again")
    await commands.run("privacy", "erase me delete", context)
    assert await stored(app) == {("C1", "handbook.md", "of ann", "-")}
