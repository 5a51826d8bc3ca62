"""The environment of the processes: platforms, providers, PostgreSQL and users.

It keeps running when processes are killed.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks.chaos.checks import (
    Verdict,
    discord_messages,
    judge,
    judge_orphans,
    left_by_the_dead,
    read_books,
    slack_messages,
)
from benchmarks.chaos.postgres import Postgres, crashing_postgres
from benchmarks.chaos.process_pool import ProcessPool, Zygote
from benchmarks.chaos.simulated_users import DiscordPeople, PlatformName, SimulatedUsers, SlackPeople, script
from benchmarks.chaos.worker import Spec
from bot.jobs import maintenance
from bot.platforms.slack.manifest import manifest
from bot.store.session import Database
from tests.doubles.discord import DiscordDouble
from tests.doubles.models import ModelDouble
from tests.doubles.slack import SlackDouble

SLACK_PACE = 120.0
"""Slack's seconds in a real one, for its rate limits: the run has the traffic of many workspaces."""

REDELIVERY = (0.0, 15 * SLACK_PACE, 75 * SLACK_PACE)
"""Slack's own attempts come at once, after 1 minute and after 5: here a quarter of that."""

DISCORD_LIMITS = {
    "POST /channels/{channel_id}/messages": (5, 0.5),
    "PATCH /channels/{channel_id}/messages/{message_id}": (5, 0.5),
    "*": (500, 1.0),
    "global": (5_000, 1.0),
}
MIXES: tuple[tuple[PlatformName, ...], ...] = (("slack",), ("discord",), ("slack", "discord"), ("discord", "slack"))


@dataclass
class Environment:
    """The environment of one run."""

    slack: SlackDouble
    discord: DiscordDouble
    models: ModelDouble
    postgres: Postgres
    zygote: Zygote
    crowd: SimulatedUsers
    on_discord: DiscordPeople
    folder: Path
    chance: random.Random
    more: dict[str, Any] = field(default_factory=dict)
    _names: itertools.count[int] = field(default_factory=itertools.count)

    def settings(self) -> dict[str, Any]:
        """Settings of every process."""
        return {
            "database_url": self.postgres.url,
            "anthropic_api_key": self.models.anthropic_key,
            "anthropic_base_url": self.models.anthropic_url,
            "openai_api_key": self.models.openai_key,
            "openai_base_url": self.models.openai_url,
            "embedding_model": "text-embedding-3-small",
            "reranker": "none",
            "daily_tokens": 0,
            "answer_tokens": 4000,
            "slack_bot_token": self.slack.bot_token,
            "slack_app_token": self.slack.app_token,
            "slack_api_url": self.slack.api_url,
            "discord_token": self.discord.token,
            "discord_api_url": self.discord.api_url,
            "discord_gateway_url": self.discord.gateway_url,
            "home": ("none",),
            **self.more,
        }

    def specs(
        self, processes: int, *, mixes: Sequence[tuple[PlatformName, ...]] = MIXES, **more: Any
    ) -> list[Callable[[], Spec]]:
        """Return what each slot of a pool runs; called at each start."""

        def one(number: int) -> Callable[[], Spec]:
            def make() -> Spec:
                name = f"w{number}"
                log = str(self.folder / f"{name}.log")
                platforms = mixes[number % len(mixes)]
                return Spec(name, platforms, self.settings(), log, **{"workspaces": SLACK_PACE, **more})

            return make

        return [one(number) for number in range(processes)]

    def fleet(self, processes: int, **more: Any) -> ProcessPool:
        """Processes of this stage."""
        return ProcessPool(self.zygote, self.specs(processes, **more))

    async def greeted(self) -> None:
        """Let the users send their first messages, and wait until these are stored."""
        await self.crowd.greet(self.on_discord)
        until = time.monotonic() + 30
        while len((await asyncio.to_thread(read_books, self.postgres.url)).turns) < len(self.crowd.questions):
            if time.monotonic() > until:
                raise RuntimeError(f"The first questions were not stored; see the logs in {self.folder}")
            await asyncio.sleep(0.3)

    def look(self) -> Verdict:
        """Return the current messages on the platforms."""
        shown = [*slack_messages(self.slack), *discord_messages(self.discord)]
        return judge(self.crowd.questions, shown, read_books(self.postgres.url), self.models)

    async def verdict(self, fleets: Sequence[ProcessPool], *, armed_until: float = 0.0) -> Verdict:
        """Return the final messages on the platforms, with the turns that waited too long.

        ``armed_until``: until then every process was made to die, and there was none to take a turn over.
        """
        await self.keep_house()
        found = await asyncio.to_thread(self.look)
        turns = (await asyncio.to_thread(read_books, self.postgres.url)).turns
        history = [process for fleet in fleets for process in fleet.history]
        left = [replace(one, at=max(one.at, armed_until)) for one in left_by_the_dead(self.zygote.interrupted, turns)]
        late = [one for one in left if not one.taken_at or one.taken_at > armed_until]
        judge_orphans(found, late, history, self.postgres.outages, time.monotonic())
        return found

    async def keep_house(self) -> None:
        """Run background maintenance as if its interval had passed.

        It settles turns whose process died after the answer.
        """
        database = Database(self.postgres.url)
        try:
            async with database.engine.begin() as connection:
                for table in ("reservations", "ledger"):
                    aged = f"UPDATE {table} SET created_at = created_at - interval '1 hour'"
                    await connection.execute(text(aged))
            for tenant_id in await maintenance.every_tenant(database):
                await maintenance.release_orphaned_reservations(database, tenant_id)
        finally:
            await database.aclose()


@asynccontextmanager
async def staged(
    seed: int, *, database: dict[str, str] | None = None, folder: Path | None = None, **settings: Any
) -> AsyncIterator[Environment]:
    """Open the scene. ``folder`` keeps the processes' logs; ``settings`` are further ones of every process."""
    chance = random.Random(seed)
    logs = folder or Path(tempfile.mkdtemp(prefix="parley-chaos-logs-"))
    logs.mkdir(parents=True, exist_ok=True)
    made = manifest()
    slack = SlackDouble(
        scopes=made["oauth_config"]["scopes"]["bot"],
        events=made["settings"]["event_subscriptions"]["bot_events"],
        commands=[entry["command"] for entry in made["features"]["slash_commands"]],
        pace=SLACK_PACE,
        redelivery=REDELIVERY,
    )
    discord = DiscordDouble(limits=DISCORD_LIMITS)
    models = ModelDouble()
    models.script = script
    with crashing_postgres(database) as postgres:
        await slack.__aenter__()
        async with discord, models, Zygote() as zygote:
            people = DiscordPeople(discord, chance)
            crowd = SimulatedUsers({"slack": SlackPeople(slack, chance), "discord": people}, chance)
            yield Environment(slack, discord, models, postgres, zygote, crowd, people, logs, chance, settings)
        # Leaving without an error would assert that no rule was broken; a kill breaks Retry-After.
        await slack.__aexit__(KeyboardInterrupt, None, None)
