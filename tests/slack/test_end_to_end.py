"""End-to-end tests: Slack's libraries over real sockets, the real engine, a real Postgres."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import text as sql

from bot.app import App, open_app
from bot.jobs import working
from bot.types.conversation import LOCAL_TENANT
from tests.doubles.models import ModelDouble, Reply
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import Message
from tests.slack.conftest import serving, slack_settings

LEAVE = """# Leave

## Paid leave

Everybody at Lanternfish has 30 days of paid leave a year. Interns have 20 days of paid leave.

## Parental leave

Parents take 16 weeks of parental leave at full pay. It can be split into two parts.

# Expenses

Travel is booked through the portal. Meals on a journey are paid up to 40 euros a day, with receipts.
"""

NO_MODEL: dict[str, Any] = {"anthropic_api_key": None, "openai_api_key": None, "openai_base_url": None}


@asynccontextmanager
async def running(slack: SlackDouble, database_url: str, folder: Path, **more: Any) -> AsyncIterator[App]:
    """Run the application with Slack connected; stop it as the process does."""
    options = {
        **NO_MODEL,
        "database_url": database_url,
        "data_dir": folder,
        "reranker": "none",
        "home": ("auto",),
        **more,
    }
    async with (
        open_app(slack_settings(slack, **options)) as app,
        working(app.services),
        serving(slack, app.dispatcher, app.services, **options),
    ):
        yield app


def finished(slack: SlackDouble, message: Message) -> list[Message]:
    """Return the complete answers: they have a 👍 button."""
    return [reply for reply in slack.replies(message) if "parley_up" in reply.now.buttons]


async def ingest_document(slack: SlackDouble) -> str:
    """Ingest the document by mention, with a file, and return the bot's reply."""
    files = [("leave.md", LEAVE.encode(), "text/markdown")]
    asked = await slack.say("general", "ada", f"{slack.bot} ingest", files=files)
    await slack.until(lambda: any("Added" in reply.shown for reply in slack.replies(asked)))
    return slack.replies(asked)[0].shown


async def test_a_team_asks_in_slack(slack: SlackDouble, database_url: str, tmp_path: Path) -> None:
    async with running(slack, database_url, tmp_path):
        assert "1 document" in await ingest_document(slack)

        asked = await slack.say("general", "alice", f"{slack.bot} how many days of paid leave do I have?")
        slack.redeliver(asked)
        await slack.until(lambda: finished(slack, asked))
        (answer,) = slack.replies(asked)
        assert answer.edits >= 1
        assert answer.versions[0].buttons == ["parley_stop"]
        assert "30 days of paid leave" in answer.shown
        assert "*[1]*" in answer.shown, "the source is shown below the answer"

        await slack.say("general", "bob", "and how many weeks of parental leave?", thread_ts=asked.ts)
        await slack.until(lambda: len(finished(slack, asked)) == 2)
        assert "16 weeks" in slack.replies(asked)[1].shown

        private = await slack.dm("alice", "how much do you pay for meals on a journey?")
        await slack.until(lambda: finished(slack, private))
        assert "40 euros" in slack.replies(private)[0].shown

        await slack.click("parley_again", answer, "alice")
        await slack.until(lambda: len(finished(slack, asked)) == 3)
        await slack.click("parley_why", answer, "alice")
        await slack.until(lambda: any("Searched for" in text for text in slack.ephemeral_texts("alice")))

        await slack.click("parley_sources", answer, "bob")
        await slack.until(
            lambda: any("**Everybody at Lanternfish has 30 days" in text for text in slack.ephemeral_texts("bob"))
        )
        assert "Interns have 20 days of paid leave." in slack.ephemeral_texts("bob")[-1], (
            "the quote is shown in its passage"
        )

        await slack.command("/budget", "", "alice", "random")
        await slack.until(lambda: any("200,000" in text for text in slack.ephemeral_texts("alice")))
        await slack.command("/costs", "", "ada", "general")
        await slack.until(lambda: slack.ephemeral_texts("ada"))
        assert "Something went wrong" not in slack.ephemeral_texts("ada")[0]
        await slack.command("/parley", "inget https://a.example", "bob", "general")
        await slack.until(lambda: any("ingest" in text for text in slack.ephemeral_texts("bob")))
        await slack.say("general", "bob", slack.bot)
        await slack.until(lambda: any("no question" in text for text in slack.ephemeral_texts("bob")))
        await slack.settled()
        assert len(slack.replies(asked)) == 3, "duplicate events were answered once"
    print(slack.transcript(versions=True))


async def test_buttons_work_after_a_restart(slack: SlackDouble, database_url: str, tmp_path: Path) -> None:
    async with running(slack, database_url, tmp_path):
        await ingest_document(slack)
        asked = await slack.say("general", "alice", f"{slack.bot} how many days of paid leave do I have?")
        await slack.until(lambda: finished(slack, asked))
    (answer,) = slack.replies(asked)
    async with running(slack, database_url, tmp_path) as app:
        await slack.click("parley_sources", answer, "bob")
        await slack.until(lambda: any("30 days of paid leave" in text for text in slack.ephemeral_texts("bob")))
        await slack.click("parley_why", answer, "bob")
        await slack.until(lambda: any("Searched for" in text for text in slack.ephemeral_texts("bob")))
        await slack.click("parley_down", answer, "bob")
        await slack.until(lambda: slack.views)
        await slack.submit(slack.views[-1], {"reason": {"text": "It is 32 by now"}}, "bob")
        await slack.until(lambda: "Thanks for the feedback." in slack.ephemeral_texts("bob"))
        async with app.database.tenant(LOCAL_TENANT) as session:
            feedback = (await session.execute(sql("SELECT value, reason FROM feedback"))).all()
        assert [tuple(row) for row in feedback] == [(-1, "It is 32 by now")]
        await slack.click("parley_again", answer, "bob")
        await slack.until(lambda: len(finished(slack, asked)) == 2)


async def test_a_streamed_answer_waits_out_a_429_and_is_stopped(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    filler = " ".join(f"word{number}" for number in range(200))
    async with ModelDouble() as models:
        models.script = lambda request: Reply(f"Thirty days. [1] {filler}", piece=10, pause=0.1)
        keys = {
            "anthropic_api_key": models.anthropic_key,
            "anthropic_base_url": models.anthropic_url,
            "openai_api_key": models.openai_key,
            "openai_base_url": models.openai_url,
            "embedding_model": "text-embedding-3-small",
        }
        async with running(slack, database_url, tmp_path, **keys):
            await ingest_document(slack)
            asked = await slack.say("general", "alice", f"{slack.bot} how many days of paid leave do I have?")
            await slack.until(lambda: [reply for reply in slack.replies(asked) if reply.edits])
            slack.limit_next("chat.appendStream", 2)
            await slack.until(lambda: [reply for reply in slack.replies(asked) if reply.edits >= 3])
            (answer,) = slack.replies(asked)
            await slack.click("parley_stop", answer, "bob")
            await slack.until(lambda: slack.ephemeral_texts("bob"))
            assert "Only the asker" in slack.ephemeral_texts("bob")[0]
            await slack.click("parley_stop", answer, "alice")
            await slack.until(lambda: "Stopped" in answer.shown and "parley_stop" not in answer.now.buttons)
            assert "word199" not in answer.shown
            drafts = [version.shown for version in answer.versions[1:-1]]
            assert all(len(before) < len(after) for before, after in itertools.pairwise(drafts))
        assert models.requests[-1].closed.is_set(), "the model request was cancelled too"
    print(slack.transcript(versions=True))
