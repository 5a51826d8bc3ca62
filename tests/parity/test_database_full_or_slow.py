"""A full database, or one too slow to store a message: the asker is notified, and answered once it recovers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg
import pytest

from bot.platforms.discord.user_messages import NOT_STORED_YET
from bot.platforms.slack.user_messages import NOT_STORED
from tests.discord_bot import test_end_to_end as on_discord
from tests.discord_bot.conftest import FAST_LIMITS
from tests.doubles.discord import DiscordDouble
from tests.doubles.slack import SlackDouble
from tests.slack import test_end_to_end as on_slack
from tests.slack.conftest import installed
from tests.superuser_access import as_superuser

FULL_DISK_SQL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END$$;
CREATE TRIGGER full_disk BEFORE INSERT ON turns EXECUTE FUNCTION full_disk();
"""
DISK_FREED_SQL = "DROP TRIGGER full_disk ON turns"


class Platform(Protocol):
    async def ask(self) -> None: ...

    def notifications(self) -> int:
        """Return how often the asker was notified that the message could not be stored."""

    def answers(self) -> int: ...

    async def until(self, condition: Callable[[], object], timeout: float = 90) -> None: ...


@dataclass
class Slack:
    slack: SlackDouble

    async def ask(self) -> None:
        self.asked = await self.slack.dm("alice", "how many days of leave do I have?")

    def notifications(self) -> int:
        return sum(NOT_STORED in reply.shown for reply in self.slack.replies(self.asked))

    def answers(self) -> int:
        return len(on_slack.finished(self.slack, self.asked))

    async def until(self, condition: Callable[[], object], timeout: float = 90) -> None:
        await self.slack.until(condition, timeout=timeout)


@dataclass
class Discord:
    discord: DiscordDouble

    async def ask(self) -> None:
        text = f"{self.discord.bot.mention} how many days of leave do I have?"
        self.asked = await self.discord.say(self.discord.channel("general"), self.discord.user("Ada"), text)

    def notifications(self) -> int:
        channels = self.discord.world.channels.values()
        return sum(NOT_STORED_YET in one.content for channel in channels for one in channel.messages.values())

    def answers(self) -> int:
        return len(on_discord.finished(self.discord, self.asked))

    async def until(self, condition: Callable[[], object], timeout: float = 90) -> None:
        await self.discord.until(condition, timeout=timeout)


@asynccontextmanager
async def running_app(platform: str, database_url: str, folder: Path) -> AsyncIterator[Platform]:
    async with AsyncExitStack() as stack:
        if platform == "slack":
            slack = await stack.enter_async_context(SlackDouble(**installed(), pace=20.0, ack_seconds=0.4))
            await stack.enter_async_context(on_slack.running(slack, database_url, folder))
            yield Slack(slack)
        else:
            discord = await stack.enter_async_context(DiscordDouble(limits=FAST_LIMITS))
            discord.channel("general")
            await stack.enter_async_context(on_discord.running(discord, database_url, folder))
            yield Discord(discord)


@asynccontextmanager
async def full(url: str) -> AsyncIterator[None]:
    async with await psycopg.AsyncConnection.connect(as_superuser(url), autocommit=True) as server:
        await server.execute(FULL_DISK_SQL)
        yield
        await server.execute(DISK_FREED_SQL)


@asynccontextmanager
async def slow(url: str) -> AsyncIterator[None]:
    """Block every write of a turn."""
    async with await psycopg.AsyncConnection.connect(url) as server:
        await server.execute("LOCK TABLE turns IN SHARE MODE")
        yield


@pytest.mark.parametrize("trouble", [full, slow], ids=["full", "slow"])
@pytest.mark.parametrize("platform", ["slack", "discord"])
async def test_the_asker_is_notified_and_answered_after_recovery(
    platform: str,
    trouble: Callable[[str], AbstractAsyncContextManager[None]],
    database_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running_app(platform, database_url, tmp_path) as chat:
        async with trouble(database_url):
            await chat.ask()
            await chat.until(chat.notifications)
            assert chat.answers() == 0
        await chat.until(chat.answers)
        assert (chat.notifications(), chat.answers()) == (1, 1)
    with psycopg.connect(as_superuser(database_url)) as server:
        stored: Sequence[tuple[str]] = server.execute("SELECT state FROM turns").fetchall()
    assert [state for (state,) in stored] == ["done"]
    why = "No space left on device" if trouble is full else "took longer than"
    assert why in caplog.text, "the log has the reason for the operator"
    assert "Traceback" not in caplog.text
