"""Commands as any platform calls them: permissions, replies, and errors for wrong usage."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from PIL import Image

from bot.app import App
from bot.commands import registry as commands
from bot.commands.base import Context, Reply
from bot.commands.ingest import describe_run
from bot.commands.ingest_user_messages import counted
from bot.errors import NotAllowed, UsageError
from bot.reports.costs import money
from bot.types.audience import MEMBERS
from bot.types.conversation import LOCAL_TENANT, Attachment, Author, ThreadKey
from knowledge.store.ingest_runs import Run
from knowledge.types.ingest_reports import Progress

NOW = datetime(2026, 11, 2, tzinfo=UTC)
ANN = Author("U1", "Ann")
BOSS = Author("U9", "Boss", is_admin=True)


def by(app: App, author: Author = ANN, channel: str = "C1") -> Context:
    return Context(LOCAL_TENANT, "slack", channel, "1.0", author, app.services, audience=MEMBERS)


def upload(name: str, text: str) -> Attachment:
    async def read() -> bytes:
        return text.encode()

    return Attachment(name, "text/plain", len(text), read)


async def ingested(app: App, *args: str, author: Author = ANN, channel: str = "C1") -> Reply:
    context = replace(
        by(app, author, channel), attachments=(upload("dogs.md", "# Dogs\n\nDogs are welcome on Fridays."),)
    )
    return await commands.run("ingest", " ".join(args), context)


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress("s", 1, None, 0), "1 document"),
        (Progress("s", 0, 1, 0), "0 of 1 document"),
        (Progress("s", 142, 310, 2, kind="url"), "142 of 310 pages, 2 failed"),
        (Progress("s", 1, 13, 0, kind="crawl"), "1 page, 12 more found"),
    ],
)
def test_progress_counts_documents_or_pages(progress: Progress, words: str) -> None:
    assert counted(progress) == words


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "started"),
        ({"stop_asked": True}, "started, stopping"),
        ({"total": 3}, "0 of 3 documents"),
        ({"done": 2, "failed": 1}, "2 documents, 1 failed"),
        ({"state": "waiting"}, "waiting for a worker"),
        ({"state": "done"}, "0 documents"),
    ],
)
def test_the_state_of_a_run_is_described(changed: dict[str, Any], words: str) -> None:
    run = Run(
        "1", "s", "upload:a.md", "upload", "tenant", "running", "U1", False, "", False, 1, 0, None, 0, False, "", NOW
    )
    assert describe_run(replace(run, **changed)) == words


async def test_an_upload_is_added_once_and_reported(app: App) -> None:
    first = await ingested(app)
    assert "Added 1 document (1 passage)." in first.text
    assert not first.private
    assert "1 document unchanged." in (await ingested(app)).text


async def test_here_keeps_a_document_to_its_channel(app: App) -> None:
    await ingested(app, "--here")
    assert "Dogs are welcome" in (await commands.run("ask", "When are dogs welcome?", by(app))).text
    elsewhere = await commands.run("ask", "When are dogs welcome?", by(app, channel="C2"))
    assert "Dogs are welcome" not in elsewhere.text
    listed = await commands.run("docs", "", by(app))
    assert listed.table is not None
    (row,) = listed.table.rows
    assert (await commands.run("docs", "", by(app, channel="C2"))).table is None
    with pytest.raises(UsageError, match="There is no document"):
        await commands.run("docs", f"show {row[0]}", by(app, channel="C2"))


async def test_a_private_thread_gives_no_document_to_its_whole_channel(app: App) -> None:
    for args, author in (("--here", ANN), ("--here", BOSS)):
        inside = replace(by(app, author), private_thread=True, attachments=(upload("a.md", "# A\n\nSecret."),))
        with pytest.raises(NotAllowed, match="private thread"):
            await commands.run("ingest", args, inside)
    assert (await commands.run("docs", "", by(app, BOSS))).table is None
    inside = replace(by(app, BOSS), private_thread=True, attachments=(upload("a.md", "# A\n\nFor everyone."),))
    assert "Added 1 document" in (await commands.run("ingest", "--tenant", inside)).text


async def test_a_limit_for_a_mentioned_channel_of_slack_limits_the_channel(app: App) -> None:
    for number, mention in enumerate(("C0123ABCDEF", "<#C0123ABCDEG>", "<#C0123ABCDEH|general>"), 1):
        assert "channel" in (await commands.run("budget", f"set {mention} {number}k", by(app, BOSS))).text
    await commands.run("budget", "set U0123ABCDEF 9k", by(app, BOSS))
    listed = (await commands.run("budget", "list", by(app, BOSS))).table
    assert listed is not None
    assert {row[0] for row in listed.rows} == {
        "channel:C0123ABCDEF",
        "channel:C0123ABCDEG",
        "channel:C0123ABCDEH",
        "user:U0123ABCDEF",
    }


async def test_files_of_the_server_are_not_for_the_chat(app: App) -> None:
    reply = await commands.run("ingest", "/etc/passwd http://127.0.0.1:1/x", by(app))
    assert "terminal only" in reply.text
    assert "PARLEY_FETCH_ALLOW" in reply.text
    assert "2 documents could not be read" in reply.text


async def test_deleting_is_for_admins_and_who_added_the_document(app: App) -> None:
    await ingested(app)
    listed = await commands.run("docs", "list dogs", by(app))
    assert listed.table is not None
    document = str(listed.table.rows[0][0])
    with pytest.raises(NotAllowed, match="Only the person who added this document, or an admin"):
        await commands.run("docs", f"delete {document}", by(app, Author("U7", "Gus")))
    assert "Deleted" in (await commands.run("docs", f"delete {document}", by(app, BOSS))).text
    assert (await commands.run("docs", "", by(app))).text.startswith("No documents yet")


async def test_budgets_are_seen_by_oneself_and_set_by_admins(app: App) -> None:
    assert "200,000" in (await commands.run("budget", "", by(app))).text
    with pytest.raises(NotAllowed):
        await commands.run("budget", "set <@U1|ann> 5k", by(app))
    assert "5,000" in (await commands.run("budget", "set <@U1|ann> 5k", by(app, BOSS))).text
    assert "5,000" in (await commands.run("budget", "", by(app))).text
    with pytest.raises(UsageError, match="whole number"):
        await commands.run("budget", "set U1 lots", by(app, BOSS))


async def test_costs_are_for_admins_and_come_as_a_table_and_a_file(app: App) -> None:
    await ingested(app)
    await commands.run("ask", "When are dogs welcome?", by(app))
    with pytest.raises(NotAllowed):
        await commands.run("costs", "", by(app))
    reply = await commands.run("costs", "7d by user csv", by(app, BOSS))
    assert reply.table is not None
    assert [row[0] for row in reply.table.rows] == ["Ann", "total"]
    assert reply.file is not None
    assert reply.file.data.decode().startswith('"key","name","answers"')
    for grouped in ("7d chart", "by day chart"):
        charted = await commands.run("costs", grouped, by(app, BOSS))
        assert charted.file is not None
        assert (charted.file.name, charted.file.content_type) == ("costs-by-day.png", "image/png")
        assert Image.open(io.BytesIO(charted.file.data)).size == (1080, 480)
    for wrong in ("tomorrow", "7d csv chart"):
        with pytest.raises(UsageError, match="30d"):
            await commands.run("costs", wrong, by(app, BOSS))


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("41.2552", "$41.26"), ("-1.5", "-$1.50"), ("0.00123", "$0.0012"), ("-0.00001", "$0.0000"), ("0", "$0.0000")],
)
def test_money_is_told_as_people_read_it(amount: str, shown: str) -> None:
    assert money(Decimal(amount)) == shown


async def test_why_shows_the_last_answer_of_a_thread_to_its_channel(app: App) -> None:
    await ingested(app)
    with pytest.raises(UsageError, match="Nothing has been answered"):
        await commands.run("why", "", by(app))
    await commands.run("ask", "When are dogs welcome?", by(app))
    async with app.database.tenant(LOCAL_TENANT) as session:
        from bot.store.browser_page import page_conversations

        (thread,) = await page_conversations.list_threads(
            session, tenant_id=LOCAL_TENANT, platform="slack", channel_id="C1"
        )
    inside = replace(by(app), thread_id=thread.key.thread_id)
    reply = await commands.run("why", "", inside)
    assert "Searched for: When are dogs welcome?" in reply.text
    turn_id = reply.text.split()[1].strip("*")
    for other in (by(app, Author("U2", "Bob"), "C2"), by(app, Author("U2", "Bob")), by(app, BOSS)):
        with pytest.raises(UsageError, match="No answer has the ID"):
            await commands.run("why", turn_id, other)


async def test_stop_without_an_answer_says_so(app: App) -> None:
    with pytest.raises(UsageError, match="nothing to stop"):
        await commands.run("stop", "", by(app))


async def test_the_bot_is_not_in_threads_it_was_never_asked_in(app: App) -> None:
    assert not await app.dispatcher.follows(ThreadKey(LOCAL_TENANT, "slack", "C1", "9.9"))


async def test_an_unknown_command_gets_the_nearest(app: App) -> None:
    with pytest.raises(UsageError, match="Did you mean /budget"):
        await commands.run("bugdet", "", by(app))


@pytest.mark.parametrize(
    ("name", "args", "nearest"),
    [
        ("docs", "lst leave", "docs list"),
        ("memory", "forgt 2", "memory forget"),
        ("settings", "auto-anwser on", "settings auto-answer"),
        ("privacy", "exprot", "privacy export"),
    ],
)
async def test_wrong_arguments_get_the_usage_and_the_nearest(app: App, name: str, args: str, nearest: str) -> None:
    with pytest.raises(UsageError) as wrong:
        await commands.run(name, args, by(app, BOSS))
    assert f"/{name} [" in str(wrong.value)
    assert str(wrong.value).endswith(f"Did you mean /{nearest}?")


async def test_arguments_that_are_like_nothing_get_the_usage_alone(app: App) -> None:
    with pytest.raises(UsageError) as wrong:
        await commands.run("docs", "zebra", by(app))
    assert "Did you mean" not in str(wrong.value)
    assert "`/costs" not in (await commands.run("help", "", by(app))).text
    assert "`/costs" in (await commands.run("help", "", by(app, BOSS))).text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("stop", ("stop", "")),
        ("stop the deployment?", None),
        ("/stop", ("stop", "")),
        ("ingest https://example.com/a", ("ingest", "https://example.com/a")),
        ("ingest --tenant https://example.com/a", ("ingest", "--tenant https://example.com/a")),
        (
            "ingest\nhttps://example.com/a\nhttps://example.com/b",
            ("ingest", "https://example.com/a\nhttps://example.com/b"),
        ),
        ("/settings\n persona Be brief.\nBe kind.", ("settings", "persona Be brief.\nBe kind.")),
        ("costs\tby\nday", ("costs", "by\nday")),
        ("ingest <#C1|general>", ("ingest", "<#C1|general>")),
        ("ingest C0GENERAL", ("ingest", "C0GENERAL")),
        ("ingest C0GENERAL --here", ("ingest", "C0GENERAL --here")),
        ("ingest is what?", None),
        ("ingest", ("ingest", "")),
        ("budget", ("budget", "")),
        ("budget set @U1 5k", ("budget", "set @U1 5k")),
        ("budget for travel?", None),
        ("budget export to a spreadsheet?", None),
        ("budget delete requests go where?", None),
        ("docs set up by whom?", None),
        ("docs preview", ("docs", "preview")),
        ("docs preview of the roadmap?", None),
        ("docs verify 1a2b3c4d", ("docs", "verify 1a2b3c4d")),
        ("privacy list of what we store?", None),
        ("privacy export", ("privacy", "export")),
        ("costs by day", ("costs", "by day")),
        ("costs chart", ("costs", "chart")),
        ("costs of a hotel in Oslo", None),
        ("why", ("why", "")),
        ("why is the sky blue", None),
        ("help", ("help", "")),
        ("help me with my laptop", None),
        ("/nonsense", ("nonsense", "")),
    ],
)
def test_which_mentions_are_commands(text: str, found: tuple[str, str] | None) -> None:
    assert commands.match(text) == found
