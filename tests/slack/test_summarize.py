"""/summarize in Slack: a thread or the last day of a channel, with links to the messages, by the ordinary engine."""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import text as sql

from bot.types.conversation import LOCAL_TENANT
from tests.doubles.models import ModelDouble, Reply
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import Message
from tests.slack.test_end_to_end import finished, running


def link_of(message: Message, suffix: str = "") -> str:
    return f"https://parley.slack.com/archives/{message.channel}/p{message.ts.replace('.', '')}{suffix}"


async def test_a_thread_is_summarized_by_the_model_with_links_to_the_messages(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    start = await slack.say("general", "bob", "Which day do we move to the new office?")
    in_thread = f"?thread_ts={start.ts}&amp;cid={start.channel}"
    decided = await slack.say("general", "ada", "We move on 4 May.", thread_ts=start.ts)
    await slack.say("random", "bob", "Somebody else's lunch.")
    async with ModelDouble() as models:
        models.script = lambda request: Reply(
            "The move is on 4 May [2]. Bob asked which day we move [1].", piece=12, pause=0.0
        )
        keys = {
            "anthropic_api_key": models.anthropic_key,
            "anthropic_base_url": models.anthropic_url,
            "openai_api_key": models.openai_key,
            "openai_base_url": models.openai_url,
            "embedding_model": "text-embedding-3-small",
        }
        async with running(slack, database_url, tmp_path, **keys) as app:
            asked = await slack.say("general", "alice", f"{slack.bot} summarize", thread_ts=start.ts)
            await slack.until(lambda: finished(slack, asked))
            (answer,) = finished(slack, asked)
            async with app.database.tenant(LOCAL_TENANT) as session:
                billed = (await session.execute(sql("SELECT count(*) FROM ledger"))).scalar_one()
        request = str(models.requests[-1].body)
    assert "We move on 4 May." in request
    assert "lunch" not in request
    assert link_of(decided, in_thread) in str(answer.now.blocks)
    assert link_of(start) in str(answer.now.blocks)
    assert billed >= 1


async def test_without_a_model_the_most_telling_messages_of_the_day_are_quoted(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    slack.add_past("general", "bob", "The office rent was paid long ago.", time.time() - 2 * 86_400)
    told = await slack.say("general", "bob", "The release of version three is planned for Friday.")
    await slack.say("general", "ada", "The release needs one more review before Friday.")
    async with running(slack, database_url, tmp_path):
        asked = await slack.say("general", "alice", f"{slack.bot} summarize")
        await slack.until(lambda: finished(slack, asked))
        (answer,) = finished(slack, asked)
        assert "No model is configured, so I cannot summarize." in answer.shown
        assert "planned for Friday" in answer.shown
        assert "rent" not in answer.shown
        assert link_of(told) in str(answer.now.blocks)

        await slack.command("/parley", "summarize", "bob", "general")
        await slack.until(lambda: any("planned for Friday" in text for text in slack.ephemeral_texts("bob")))
        await slack.command("/parley", "summarize thread", "bob", "general")
        await slack.until(lambda: any("summarize [thread | day]" in text for text in slack.ephemeral_texts("bob")))


async def test_where_nobody_wrote_or_the_bot_is_not_it_says_so(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    async with running(slack, database_url, tmp_path):
        await slack.command("/parley", "summarize", "bob", "general")
        await slack.until(lambda: any("Nobody but me wrote" in text for text in slack.ephemeral_texts("bob")))
        await slack.command("/parley", "summarize", "alice", "random")
        await slack.until(lambda: any("Invite me" in text for text in slack.ephemeral_texts("alice")))
