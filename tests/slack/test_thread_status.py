"""Slack shows in the thread what the bot is doing, and a refused status changes nothing about the answer."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import RateLimited
from bot.platforms.slack.thread_status import REFUSAL_SECONDS, ThreadStatus
from tests.doubles.slack import SlackDouble
from tests.slack.test_end_to_end import finished, ingest_document, running

SHOWN = "assistant.threads.setStatus"


async def test_an_answer_shows_what_it_is_doing(slack: SlackDouble, database_url: str, tmp_path: Path) -> None:
    async with running(slack, database_url, tmp_path):
        await ingest_document(slack)
        asked = await slack.say("general", "alice", f"{slack.bot} how many days of paid leave do I have?")
        await slack.until(lambda: finished(slack, asked))
        await slack.until(lambda: slack.statuses and not slack.statuses[-1])
    assert slack.statuses[0] == "is searching the documents…"
    assert slack.statuses.count("") == 1
    threads = {args["thread_ts"] for name, args in slack.calls if name == SHOWN}
    assert threads == {asked.ts}


@pytest.mark.parametrize("code", ["missing_scope", "invalid_thread_ts"])
async def test_a_refused_status_changes_nothing(
    slack: SlackDouble, database_url: str, tmp_path: Path, code: str
) -> None:
    async with running(slack, database_url, tmp_path):
        await ingest_document(slack)
        slack.fail_next(SHOWN, code)
        for question in ("how many days of paid leave do I have?", "how many weeks of parental leave?"):
            asked = await slack.say("general", "alice", f"{slack.bot} {question}")
            await slack.until(partial(finished, slack, asked))
    assert slack.statuses == []
    assert len([name for name, _ in slack.calls if name == SHOWN]) == 1, "it is not tried again in that channel"


async def test_a_refusal_ends_after_an_hour_and_a_rate_limit_when_slack_says(slack: SlackDouble) -> None:
    now = 0.0
    question = await slack.say("general", "alice", "x")
    client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
    status = ThreadStatus(monotonic=lambda: now)

    async def show(text: str) -> None:
        await status.show(client, "C0GENERAL", question.ts, text)

    slack.limit_next(SHOWN, 1)
    limited = slack.world.clock()
    with pytest.raises(RateLimited):
        await show("one")
    await show("two")
    assert slack.statuses == []
    await slack.until(lambda: slack.world.clock() >= limited + 1)
    now = 1.0
    slack.fail_next(SHOWN, "channel_not_found")
    await show("three")
    now += REFUSAL_SECONDS - 1
    await show("four")
    now += 2
    await show("five")
    assert slack.statuses == ["five"]
