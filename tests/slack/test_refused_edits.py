"""An answer is shown although Slack no longer allows edits of its draft: through the real client."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.types.conversation import LOCAL_TENANT
from tests.doubles.models import ModelDouble, Reply
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import Message
from tests.slack.test_end_to_end import finished, running

ANSWER = "Thirty days of paid leave, and twenty for interns. " * 8


def options(models: ModelDouble) -> dict[str, object]:
    return {"anthropic_api_key": models.anthropic_key, "anthropic_base_url": models.anthropic_url}


@pytest.mark.parametrize("from_the_start", [True, False])
async def test_an_answer_is_posted_anew_where_its_draft_can_no_longer_be_edited(
    slack: SlackDouble, database_url: str, tmp_path: Path, from_the_start: bool
) -> None:
    go_on = asyncio.Event()
    async with ModelDouble() as models, running(slack, database_url, tmp_path, **options(models)) as app:
        models.script = lambda _: Reply(ANSWER, after=4, held=go_on)
        slack.edit_window_closed = from_the_start
        asked = await slack.say("general", "alice", f"{slack.bot} how many days of leave?")
        began = (lambda: bool(models.requests)) if from_the_start else (lambda: "Thirty" in shown(slack, asked))
        await slack.until(began)
        slack.edit_window_closed = True
        go_on.set()
        await slack.until(lambda: finished(slack, asked) and len(slack.replies(asked)) == 1)
        await slack.settled()
        (answer,) = slack.replies(asked)
        assert ANSWER.strip() in answer.shown
        assert "parley_stop" not in answer.now.buttons
        async with app.database.tenant(LOCAL_TENANT) as session:
            refs = (await session.scalars(text("SELECT ref FROM reply_parts"))).all()
        assert refs == [answer.ts], "a deletion or an edit of the question finds the answer"


def shown(slack: SlackDouble, asked: Message) -> str:
    return " ".join(reply.shown for reply in slack.replies(asked))
