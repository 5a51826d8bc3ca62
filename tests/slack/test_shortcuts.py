"""A private answer shared with the channel; asking about a message; having a question forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from bot.commands import ask
from bot.errors import SurfaceError, UsageError
from bot.platforms.slack import render
from bot.store.schema import messages
from bot.types.conversation import Author
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import Message
from tests.slack.test_end_to_end import finished, running, take_in


async def test_a_private_answer_is_shared_by_its_asker_once(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    async with running(slack, database_url, tmp_path):
        await take_in(slack)
        await slack.command("/ask", "how many days of paid leave do interns have?", "alice", "general")

        def answers() -> list[Message]:
            return [said for said in slack.world.messages if said.only_for and "parley_share" in said.now.buttons]

        def public() -> list[Message]:
            return [said for said in slack.messages("general") if "alice asked" in said.shown]

        await slack.until(answers)
        private = answers()[0]
        assert "20 days" in private.shown
        await slack.click("parley_share", private, "bob")
        await slack.until(lambda: any("Only the person who asked" in said for said in slack.whispers("bob")))
        await slack.click("parley_share", private, "alice")
        await slack.until(public)
        assert "20 days" in public()[0].shown
    async with running(slack, database_url, tmp_path):
        await slack.click("parley_share", private, "alice")
        await slack.until(lambda: any("already" in said for said in slack.whispers("alice")))
        assert len(public()) == 1, "a process that knows nothing of the first click shares it no second time"


async def test_an_answer_that_could_not_be_shown_can_be_shared_again(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    async with running(slack, database_url, tmp_path) as app:
        await take_in(slack)
        await slack.command("/ask", "how many days of paid leave do interns have?", "alice", "general")

        def answers() -> list[Message]:
            return [said for said in slack.world.messages if said.only_for and "parley_share" in said.now.buttons]

        await slack.until(answers)
        (turn_id,) = render.turns_of(answers()[0].payload())
        by = Author("U0ALICE", "alice")
        with pytest.raises(SurfaceError):
            async with ask.sharing(app.services, "local", turn_id, by):
                raise SurfaceError("Slack cannot be reached.")
        async with ask.sharing(app.services, "local", turn_id, by) as answer:
            assert "20 days" in answer.text
        with pytest.raises(UsageError, match="already"):
            async with ask.sharing(app.services, "local", turn_id, by):
                pass


async def test_the_menu_of_a_message(slack: SlackDouble, database_url: str, tmp_path: Path) -> None:
    async with running(slack, database_url, tmp_path) as app:
        await take_in(slack)
        said = await slack.say("general", "bob", "Our interns complain about their leave")
        await slack.menu("parley_about", said, "alice")
        await slack.until(lambda: slack.views)
        await slack.submit(slack.views[0], {"question": {"text": "How many days of paid leave?"}}, "alice")
        await slack.until(lambda: any("days of paid leave" in told for told in slack.whispers("alice")))

        asked = await slack.say("general", "alice", f"{slack.bot} how many weeks of parental leave?")
        await slack.until(lambda: finished(slack, asked))
        (answer,) = finished(slack, asked)
        await slack.menu("parley_forget", answer, "bob")
        await slack.until(lambda: any("Only the person who asked" in told for told in slack.whispers("bob")))
        await slack.menu("parley_forget", said, "bob")
        await slack.until(lambda: any("nothing to forget" in told for told in slack.whispers("bob")))
        await slack.menu("parley_forget", answer, "alice")
        await slack.until(lambda: answer.deleted)
        async with app.database.tenant("local") as session:
            weeks = select(func.count()).select_from(messages).where(messages.c.text.contains("parental"))
            assert await session.scalar(weeks) == 0
