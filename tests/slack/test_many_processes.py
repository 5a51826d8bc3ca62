"""Several processes on one Postgres answer in one workspace and share Slack's rate limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.engine.display.edit_pacing import SharedPacing
from bot.engine.display.stream import Display
from bot.engine.display.workspace_pacing import WorkspacePacing
from bot.platforms.slack.stream_policy import Mode, StreamPolicy
from bot.platforms.slack.surface import LIMITS, SlackSurface
from bot.store.database.notifications import Notifications, telling
from bot.store.database.session import NO_TENANT, Database
from bot.types.display import Pacing
from tests.doubles.models import ModelDouble, Reply
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_world import TEAM, Message
from tests.slack.conftest import installed
from tests.slack.oauth_serving import is_answered
from tests.slack.streaming_scene import Clock, team
from tests.slack.test_end_to_end import running

PACE = 20.0
"""Slack seconds in a real second."""
PROCESSES, ANSWERS_EACH, ANSWER_SECONDS = 4, 4, 45
TENANT = f"slack:{TEAM}"


@dataclass
class Process:
    """What each process has: its workspace pacing and its stream policy."""

    workspace_pacing: WorkspacePacing
    streams: StreamPolicy

    @property
    def shared(self) -> SharedPacing:
        return self.workspace_pacing.of(TENANT, "slack", LIMITS.edits_per_minute)


@asynccontextmanager
async def processes(database: Database, url: str, clock: Clock, mode: Mode) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        created = []

        async def send(pacings: Sequence[Pacing]) -> None:
            await database.flush(NO_TENANT, telling(pacings))

        for _ in range(PROCESSES):
            notifications = Notifications(url, settling=0.0)
            workspace_pacing = WorkspacePacing(notifications.process_id, monotonic=clock.monotonic, sleep=clock.sleep)
            for work in (
                notifications.serve(lambda _: None, workspace_pacing.receive_report),
                workspace_pacing.serve(send),
            ):
                stack.push_async_callback(_cancel, asyncio.create_task(work))
            await asyncio.wait_for(notifications.connected(), 60)
            process = Process(workspace_pacing, StreamPolicy(mode, team))
            process.streams.shared = process.shared
            created.append(process)
        yield created


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _discard(index: int, ref: str | None, *, replaced: str | None = None) -> None:
    return None


async def answer(process: Process, client: AsyncWebClient, clock: Clock, question: Message, delay: float) -> None:
    """Write an answer over ``ANSWER_SECONDS`` Slack seconds."""
    await clock.sleep(delay)
    surface = SlackSurface(
        client,
        question.channel,
        question.ts,
        since=question.ts,
        streams=process.streams,
        asker=question.user,
        monotonic=clock.monotonic,
    )
    async with Display(
        surface,
        turn_id=question.ts,
        record=_discard,
        shared=process.shared,
        monotonic=clock.monotonic,
        sleep=clock.sleep,
    ) as display:
        await display.open("_Looking…_")
        for second in range(ANSWER_SECONDS):
            display.show("Some filler of an answer.\n\n" * (second + 1))
            await clock.sleep(1.0)
        await display.close(f"The end of {question.ts}.")


@pytest.mark.frozen_clock
@pytest.mark.parametrize("mode", ["off", "everywhere"])
async def test_four_processes_share_slacks_limits_and_every_answer_is_completed(
    database: Database, database_url: str, mode: Mode
) -> None:
    clock, time = Clock(PACE), asyncio.get_running_loop().time
    async with SlackDouble(**installed(), pace=PACE, clock=time) as slack, aiohttp.ClientSession() as session:
        client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, session=session, retry_handlers=[])
        questions = [await slack.say("general", "alice", f"question {n}") for n in range(PROCESSES * ANSWERS_EACH)]
        async with processes(database, database_url, clock, mode) as fleet:
            await asyncio.gather(
                *(
                    answer(fleet[n % PROCESSES], client, clock, question, n * 1.5)
                    for n, question in enumerate(questions)
                )
            )
            assert [process.shared.slow for process in fleet] == [1.0] * PROCESSES, "no edit was refused"
        for question in questions:
            (reply,) = slack.replies(question)
            assert reply.shown == f"The end of {question.ts}."
        refused = [name for name in slack.refused if name in ("chat.update", "chat.appendStream", "chat.startStream")]
        assert refused == []


@pytest.mark.frozen_clock
async def test_a_rate_limit_of_one_process_slows_the_others_too(database: Database, database_url: str) -> None:
    clock = Clock(PACE)
    async with processes(database, database_url, clock, "off") as fleet:
        fleet[0].shared.begin()
        fleet[0].shared.refused(clock.monotonic(), 600.0)
        async with asyncio.timeout(60):
            while min(process.shared.blocked(clock.monotonic()) for process in fleet) < 300:
                await asyncio.sleep(0.01)
        assert [process.shared.slow for process in fleet] == [1.5] * PROCESSES


async def test_two_complete_processes_answer_a_burst_within_slacks_limits(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    """Uses real time: more simultaneous answers than Slack allows edits for, written over some seconds."""
    filler = " ".join(f"word{number}" for number in range(60))
    async with ModelDouble() as models:
        models.script = lambda request: Reply(f"Dogs may come. {filler}", piece=20, pause=0.3)
        keys = {
            "anthropic_api_key": models.anthropic_key,
            "anthropic_base_url": models.anthropic_url,
            "openai_api_key": models.openai_key,
            "openai_base_url": models.openai_url,
            "embedding_model": "text-embedding-3-small",
            "slack_streaming": "off",
        }
        async with (
            running(slack, database_url, tmp_path, **keys) as one,
            running(slack, database_url, tmp_path, **keys) as two,
        ):
            questions = [await slack.say("general", "alice", f"{slack.bot} may dog {n} come?") for n in range(8)]
            for question in questions:
                await slack.until(partial(is_answered, slack, question))
            assert all("word59" in slack.replies(question)[0].shown for question in questions)
            workspace_pacing = [app.services.workspace_pacing.of(TENANT, "slack") for app in (one, two)]
            assert [pace.slow for pace in workspace_pacing] == [1.0, 1.0]
        assert set(slack.refused) <= {"assistant.threads.setStatus"}, "a sign of life may be left out"
