"""The weekly digest and the notice that an answer is out of date, as Slack receives them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text as sql

from bot.types.conversation import LOCAL_TENANT
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import PARTNER_TEAM
from tests.slack.test_end_to_end import finished, ingest_document, running

MISSING, SECRET = "which zebras may I bring?", "which takeover is planned?"


async def test_the_digest_is_posted_without_questions_of_private_channels(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    general = slack.channel("general").id
    async with running(slack, database_url, tmp_path) as app:
        await ingest_document(slack)
        missing = await slack.say("general", "alice", f"{slack.bot} {MISSING}")
        secret = await slack.say("secret", "alice", f"{slack.bot} {SECRET}")
        await slack.until(lambda: finished(slack, missing) and finished(slack, secret))
        before = len(slack.messages(general))
        async with app.database.tenant(LOCAL_TENANT) as session:
            await session.execute(
                sql("INSERT INTO gap_digests VALUES ('local', 'slack', :channel, now())"), {"channel": general}
            )
        await slack.until(lambda: len(slack.messages(general)) > before)
        await slack.settled()
        (digest,) = slack.messages(general)[before:]
        assert MISSING in digest.shown
        assert "takeover" not in digest.shown


async def test_a_channel_that_is_shared_by_now_gets_no_digest_and_the_admins_are_told(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    secret = slack.channel("secret").id
    async with running(slack, database_url, tmp_path) as app:
        slack.share_channel("secret", PARTNER_TEAM)
        async with app.database.tenant(LOCAL_TENANT) as session:
            await session.execute(
                sql("INSERT INTO gap_digests VALUES ('local', 'slack', :channel, now())"), {"channel": secret}
            )
        told = "people from outside the team read that channel"
        await slack.until(
            lambda: any(told in one.shown for channel in _direct(slack) for one in slack.messages(channel))
        )
        assert slack.messages(secret) == []


def _direct(slack: SlackDouble) -> list[str]:
    return [one.id for one in slack.world.channels.values() if one.kind == "im"]


async def test_the_thread_is_told_that_its_answer_is_out_of_date(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    async with running(slack, database_url, tmp_path) as app:
        await ingest_document(slack)
        asked = await slack.say("general", "alice", f"{slack.bot} how many days of paid leave do I have?")
        await slack.until(lambda: finished(slack, asked))
        async with app.database.tenant(LOCAL_TENANT) as session:
            outdated = '{"outdated": {"since": "2026-11-30", "documents": ["Leave"]}}'
            await session.execute(
                sql("UPDATE turns SET trace = trace || CAST(:outdated AS jsonb)"), {"outdated": outdated}
            )
            await session.execute(
                sql("INSERT INTO changed_answer_notices SELECT tenant_id, turn_id, 'slack' FROM turns")
            )
        await slack.until(lambda: len(slack.replies(asked)) > 1)
        await slack.settled()
        _, notice = slack.replies(asked)
        assert "cites has changed since: “Leave”" in notice.shown
        assert notice.now.buttons == ["parley_again"]
