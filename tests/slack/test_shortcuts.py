"""Message shortcuts: share a private answer, ask about a message, forget a question."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from bot.commands import ask
from bot.errors import SurfaceError, UsageError
from bot.platforms.slack import render
from bot.store.schema import messages
from bot.types.audience import MEMBERS
from bot.types.conversation import Author
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import Message
from tests.slack.test_end_to_end import finished, ingest_document, running


async def test_a_private_answer_is_shared_by_its_asker_once(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    async with running(slack, database_url, tmp_path):
        await ingest_document(slack)
        await slack.command("/ask", "how many days of paid leave do interns have?", "alice", "general")

        def answers() -> list[Message]:
            return [one for one in slack.world.messages if one.only_for and "parley_share" in one.now.buttons]

        def public() -> list[Message]:
            return [one for one in slack.messages("general") if "alice asked" in one.shown]

        await slack.until(answers)
        private = answers()[0]
        assert "20 days" in private.shown
        await slack.click("parley_share", private, "bob")
        await slack.until(lambda: any("Only the asker" in text for text in slack.ephemeral_texts("bob")))
        await slack.click("parley_share", private, "alice")
        await slack.until(public)
        assert "20 days" in public()[0].shown
    async with running(slack, database_url, tmp_path):
        await slack.click("parley_share", private, "alice")
        await slack.until(lambda: any("already" in text for text in slack.ephemeral_texts("alice")))
        assert len(public()) == 1, "another process does not share the answer again"


async def test_sharing_can_be_repeated_after_a_failure(slack: SlackDouble, database_url: str, tmp_path: Path) -> None:
    async with running(slack, database_url, tmp_path) as app:
        await ingest_document(slack)
        await slack.command("/ask", "how many days of paid leave do interns have?", "alice", "general")

        def answers() -> list[Message]:
            return [one for one in slack.world.messages if one.only_for and "parley_share" in one.now.buttons]

        await slack.until(answers)
        (turn_id,) = render.turns_of(answers()[0].payload())
        by = Author("U0ALICE", "alice")
        with pytest.raises(SurfaceError):
            async with ask.sharing(app.services, "local", turn_id, by, MEMBERS):
                raise SurfaceError("Slack cannot be reached.")
        async with ask.sharing(app.services, "local", turn_id, by, MEMBERS) as answer:
            assert "20 days" in answer.text
        with pytest.raises(UsageError, match="already"):
            async with ask.sharing(app.services, "local", turn_id, by, MEMBERS):
                pass


async def test_asking_about_and_forgetting_a_message(slack: SlackDouble, database_url: str, tmp_path: Path) -> None:
    async with running(slack, database_url, tmp_path) as app:
        await ingest_document(slack)
        message = await slack.say("general", "bob", "Our interns complain about their leave")
        await slack.use_shortcut("parley_about", message, "alice")
        await slack.until(lambda: slack.views)
        await slack.submit(slack.views[0], {"question": {"text": "How many days of paid leave?"}}, "alice")
        await slack.until(lambda: any("days of paid leave" in text for text in slack.ephemeral_texts("alice")))

        asked = await slack.say("general", "alice", f"{slack.bot} how many weeks of parental leave?")
        await slack.until(lambda: finished(slack, asked))
        (answer,) = finished(slack, asked)
        await slack.use_shortcut("parley_forget", answer, "bob")
        await slack.until(lambda: any("Only the asker" in text for text in slack.ephemeral_texts("bob")))
        await slack.use_shortcut("parley_forget", message, "bob")
        await slack.until(lambda: any("nothing to delete" in text for text in slack.ephemeral_texts("bob")))
        await slack.use_shortcut("parley_forget", answer, "alice")
        await slack.until(lambda: answer.deleted)
        async with app.database.tenant("local") as session:
            weeks = select(func.count()).select_from(messages).where(messages.c.text.contains("parental"))
            assert await session.scalar(weeks) == 0
