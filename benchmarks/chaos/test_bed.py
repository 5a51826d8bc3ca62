"""Sets up what outlives every killed process: the platform and provider doubles, Postgres, and the simulated users."""

from __future__ import annotations

import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks.chaos.bot_messages import discord_messages, slack_messages
from benchmarks.chaos.checks import Verdict, judge, judge_orphans, orphaned_turns
from benchmarks.chaos.database_state import read_database
from benchmarks.chaos.delivered_questions import as_delivered
from benchmarks.chaos.postgres import Postgres, crashing_postgres
from benchmarks.chaos.process_pool import ForkServer, ProcessPool
from benchmarks.chaos.simulated_users import DiscordPeople, PlatformName, SimulatedUsers, SlackPeople, script
from benchmarks.chaos.worker import Spec
from bot.jobs import maintenance
from bot.platforms.slack.installation.manifest import manifest
from bot.store.database.session import Database
from bot.store.maintenance import look
from bot.store.tenants import every_tenant
from tests.doubles.discord import DiscordDouble
from tests.doubles.faulty_network import FaultyNetwork
from tests.doubles.models import ModelDouble
from tests.doubles.slack import SlackDouble
from tests.superuser_access import superuser_connection

KEEPALIVE_SECONDS = 11.0
"""Seconds until keepalives end a connection to Postgres whose network is gone; see ``bot.store.database.connections``.
"""
SLACK_PACE = 120.0
"""Seconds of Slack's rate limits in a real second: the run has the traffic of many workspaces."""

REDELIVERY = (0.0, 15 * SLACK_PACE, 75 * SLACK_PACE)
"""Slack delivers again at once, after 1 minute and after 5 minutes; here after a quarter of that."""

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
    network: FaultyNetwork
    """The network between the processes and Postgres."""
    fork_server: ForkServer
    users: SimulatedUsers
    discord_people: DiscordPeople
    folder: Path
    rng: random.Random
    links: dict[str, FaultyNetwork]
    extra_settings: dict[str, Any] = field(default_factory=dict)
    _names: itertools.count[int] = field(default_factory=itertools.count)

    def settings(self) -> dict[str, Any]:
        """Return the settings of every process."""
        return {
            "database_url": self.network.url,
            "anthropic_api_key": self.models.anthropic_key,
            "anthropic_base_url": self.links["Anthropic"].url,
            "openai_api_key": self.models.openai_key,
            "openai_base_url": self.links["OpenAI"].url,
            "embedding_model": "text-embedding-3-small",
            "reranker": "none",
            "daily_tokens": 0,
            "answer_tokens": 4000,
            "slack_bot_token": self.slack.bot_token,
            "slack_app_token": self.slack.app_token,
            "slack_api_url": self.links["Slack"].url,
            "discord_token": self.discord.token,
            "discord_api_url": self.links["Discord"].url,
            "discord_gateway_url": self.discord.gateway_url,
            "home": (f"discord:{self.discord.world.guild_id}",),  # direct messages belong to the home server
            **self.extra_settings,
        }

    def specs(
        self, processes: int, *, mixes: Sequence[tuple[PlatformName, ...]] = MIXES, **more: Any
    ) -> list[Callable[[], Spec]]:
        """Return what each slot of a process pool runs; called again at each start."""

        def one(number: int) -> Callable[[], Spec]:
            def make() -> Spec:
                name = f"w{number}"
                log = str(self.folder / f"{name}.log")
                platforms = mixes[number % len(mixes)]
                return Spec(name, platforms, self.settings(), log, **{"workspaces": SLACK_PACE, **more})

            return make

        return [one(number) for number in range(processes)]

    def pool(self, processes: int, **more: Any) -> ProcessPool:
        """Return a process pool in this environment."""
        return ProcessPool(self.fork_server, self.specs(processes, **more))

    async def greet_users(self) -> None:
        """Let users send their first direct messages, and wait until they are stored."""
        await self.users.greet(self.discord_people)
        until = time.monotonic() + 30
        while len((await asyncio.to_thread(read_database, self.postgres.admin_url)).turns) < len(self.users.questions):
            if time.monotonic() > until:
                raise RuntimeError(f"The first questions were not stored; see the logs in {self.folder}")
            await asyncio.sleep(0.3)

    def judge_now(self) -> Verdict:
        """Run the checks now."""
        shown = [*slack_messages(self.slack), *discord_messages(self.discord)]
        database = read_database(self.postgres.admin_url)
        questions, left_out = as_delivered(self.users.questions, self.slack.socket.deliveries, database.turns)
        verdict = judge(questions, shown, database, self.models)
        return replace(verdict, undelivered=left_out)

    async def verdict(
        self,
        pools: Sequence[ProcessPool],
        *,
        armed_until: float = 0.0,
        outages: Sequence[tuple[float, float]] = (),
    ) -> Verdict:
        """Run the checks at the end, including those for turns that waited too long.

        Until ``armed_until``, every process was set to die, and none could take a turn over. ``outages`` are those of
        the platforms, during which no process can start.
        """
        await self.run_maintenance()
        found = await asyncio.to_thread(self.judge_now)
        turns = (await asyncio.to_thread(read_database, self.postgres.admin_url)).turns
        history = [process for pool in pools for process in pool.history]
        left = [replace(one, at=max(one.at, armed_until)) for one in orphaned_turns(self.fork_server.orphaned, turns)]
        late = [one for one in left if not one.taken_at or one.taken_at > armed_until]
        judge_orphans(found, late, history, [*self.postgres.outages, *outages], time.monotonic())
        return found

    async def run_maintenance(self) -> None:
        """Run the maintenance jobs as if their time had come; they settle the calls that died after an answer."""
        database = Database(self.postgres.admin_url)
        try:
            async with superuser_connection(database) as connection:
                for table in ("reservations", "ledger"):
                    aged = f"UPDATE {table} SET created_at = created_at - interval '1 hour'"
                    await connection.execute(text(aged))
            for tenant_id in await every_tenant(database):
                found = await look(database, tenant_id, now=datetime.now(UTC))
                await maintenance.release_reservations(database, tenant_id, found.orphaned)
                await maintenance.charge_lost_calls(database, tenant_id, found.lost)
        finally:
            await database.aclose()


@asynccontextmanager
async def open_environment(
    seed: int, *, database: dict[str, str] | None = None, folder: Path | None = None, **settings: Any
) -> AsyncIterator[Environment]:
    """Open the environment. ``folder`` keeps the logs of the processes; ``settings`` are added to those of every
    process."""
    rng = random.Random(seed)
    logs = folder or Path(tempfile.mkdtemp(prefix="parley-chaos-logs-"))
    logs.mkdir(parents=True, exist_ok=True)
    app_manifest = manifest()
    slack = SlackDouble(
        scopes=app_manifest["oauth_config"]["scopes"]["bot"],
        events=app_manifest["settings"]["event_subscriptions"]["bot_events"],
        commands=[entry["command"] for entry in app_manifest["features"]["slash_commands"]],
        pace=SLACK_PACE,
        redelivery=REDELIVERY,
    )
    discord = DiscordDouble(limits=DISCORD_LIMITS)
    models = ModelDouble()
    models.script = script
    with crashing_postgres(database) as postgres:
        await slack.__aenter__()
        async with discord, models, AsyncExitStack() as stack, ForkServer() as fork_server:
            targets = {
                "Slack": slack.api_url,
                "Discord": discord.api_url,
                "Anthropic": models.anthropic_url,
                "OpenAI": models.openai_url,
            }
            links = {name: await stack.enter_async_context(FaultyNetwork(url)) for name, url in targets.items()}
            people = DiscordPeople(discord, rng)
            users = SimulatedUsers({"slack": SlackPeople(slack, rng), "discord": people}, rng)
            network = await stack.enter_async_context(FaultyNetwork(postgres.url, keepalive=KEEPALIVE_SECONDS))
            yield Environment(
                slack, discord, models, postgres, network, fork_server, users, people, logs, rng, links, settings
            )
        # Leaving without an error would assert that no platform rule was broken; a kill breaks Retry-After.
        await slack.__aexit__(KeyboardInterrupt, None, None)
