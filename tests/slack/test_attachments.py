"""Files and the earlier messages of a thread, end to end: what the model receives and what is stored."""

from __future__ import annotations

import io
from pathlib import Path

import PIL.Image
from sqlalchemy import select

from bot.store.privacy import erasure
from bot.store.schema import attachments
from tests.doubles.models import ModelDouble, Reply
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import BOT_ID
from tests.slack.test_end_to_end import finished, running


def png() -> bytes:
    data = io.BytesIO()
    PIL.Image.new("RGB", (40, 30), "red").save(data, "PNG")
    return data.getvalue()


async def test_a_mention_in_a_thread_with_files(slack: SlackDouble, database_url: str, tmp_path: Path) -> None:
    async with ModelDouble() as models:
        models.script = lambda request: Reply("Five thousand, says bob.")
        keys = {"anthropic_api_key": models.anthropic_key, "anthropic_base_url": models.anthropic_url}
        async with running(slack, database_url, tmp_path, **keys) as app:
            root = await slack.say("general", "ada", "How large is the budget for the fair?")
            await slack.say("general", "bob", "Ask <!channel>, I would say 5,000", thread_ts=root.ts)
            other = slack.add_past("general", "bob", "Build 77 is green", float(root.ts), root.ts, bot_id="B0CI")
            assert other.bot_id != BOT_ID
            files = [
                ("fair.csv", b"item,cost\nstand,3200\nflyers,300\n", "text/csv"),
                ("stand.png", png(), "image/png"),
                ("broken.pdf", b"%PDF-1.7 nothing", "application/pdf"),
            ]
            asked = await slack.say("general", "alice", f"{slack.bot} so what is it?", root.ts, files=files)
            await slack.until(lambda: finished(slack, asked))
            (answer,) = finished(slack, asked)
            assert "broken.pdf could not be read" in answer.shown

            last = models.requests[-1].messages[-1][1]
            assert "ada: How large is the budget" in last
            assert "bob: Ask @channel, I would say 5,000" in last
            assert "(a bot): Build 77 is green" in last
            assert "so what is it" not in last.partition("</above")[0], "the question is not part of its own context"
            assert ' name="fair.csv">' in last
            assert "3200" in last
            assert "image" in str(models.requests[-1].body["messages"][-1]["content"])

            reads = len([call for call in slack.calls if call[0] == "conversations.replies"])
            more = await slack.say("general", "bob", "and the flyers?", thread_ts=root.ts)
            await slack.until(lambda: len(finished(slack, more)) == 1)
            last = models.requests[-1].messages[-1][1]
            assert "flyers" in last.partition("and the flyers?")[0], "the file stays with the thread"
            assert "How large is the budget" in last
            assert len([call for call in slack.calls if call[0] == "conversations.replies"]) == reads, "read once"

            async with app.database.tenant("local") as session:
                rows = (await session.execute(select(attachments.c.kind, attachments.c.people))).all()
                assert sorted(kind for kind, _ in rows) == ["file", "file", "file", "thread"]
                assert {"U0ADA", "U0BOB"} <= set(next(people for kind, people in rows if kind == "thread"))
            async with app.database.tenant("local") as session:
                await erasure.erase(session, tenant_id="local", user_id="U0ADA")
            async with app.database.tenant("local") as session:
                left = (await session.execute(select(attachments.c.kind))).scalars()
                assert "thread" not in list(left), "a stored thread with an erased user's messages is deleted"


async def test_a_file_without_text_asks_for_a_summary(slack: SlackDouble, database_url: str, tmp_path: Path) -> None:
    async with ModelDouble() as models:
        models.script = lambda request: Reply("What the stand and the flyers cost.")
        keys = {"anthropic_api_key": models.anthropic_key, "anthropic_base_url": models.anthropic_url}
        async with running(slack, database_url, tmp_path, **keys):
            files = [("fair.csv", b"item,cost\nstand,3200\nflyers,300\n", "text/csv")]
            asked = await slack.say("general", "alice", slack.bot, files=files)
            await slack.until(lambda: finished(slack, asked))
            last = models.requests[-1].messages[-1][1]
            assert "What is in fair.csv, in short?" in last
            assert "3200" in last
            nothing = await slack.say("general", "alice", slack.bot)
            await slack.until(lambda: any("no question" in text for text in slack.ephemeral_texts("alice")))
            assert not slack.replies(nothing)
