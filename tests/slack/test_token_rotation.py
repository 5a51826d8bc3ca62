"""Bot tokens that expire: they are renewed once, kept encrypted, and survive what fails meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta

import psycopg
import pytest

from bot.errors import ConfigError, MessageGone
from bot.platforms.slack import web_client
from bot.platforms.slack.installation.installations import InstallationToken
from bot.store.database.advisory_locks import only_one
from bot.store.database.session import Database
from tests.doubles.slack_oauth import SlackCloud
from tests.slack.oauth_serving import (
    NEW_KEY,
    OLD_KEY,
    ONE,
    TWO,
    ManualClock,
    allow_connections,
    clock,
    cloud,
    install_directly,
    installations_of,
    settings_of,
)

__all__ = ["clock", "cloud"]


async def test_a_token_is_renewed_before_and_after_it_expires(
    cloud: SlackCloud, database_url: str, clock: ManualClock
) -> None:
    async with installations_of(cloud, database_url, clock) as process, web_client.http_session() as session:
        stored = await install_directly(cloud, process, clock)
        client = web_client.create_clients(settings_of(cloud), session, stored).retrying
        first = await stored.token()
        clock.now += timedelta(hours=9, minutes=59)
        assert await stored.token() == first
        clock.now += timedelta(minutes=2)
        second = await stored.token()
        assert (second != first, cloud.renewals) == (True, [ONE])
        clock.now += timedelta(hours=13)
        assert (await client.auth_test())["ok"], "an expired token is renewed before the call"
        assert cloud.renewals == [ONE, ONE]
        cloud.tokens[cloud.current(ONE)].expires_at = clock.seconds()
        assert (await client.auth_test())["ok"], "a token that Slack revoked early is renewed after its refusal"
        assert cloud.renewals == [ONE, ONE, ONE]


@pytest.mark.parametrize("stored_by", ["the next event", "maintenance"])
async def test_a_renewed_token_is_kept_until_the_database_can_store_it(
    cloud: SlackCloud, database_url: str, clock: ManualClock, stored_by: str
) -> None:
    async with (
        installations_of(cloud, database_url, clock) as process,
        installations_of(cloud, database_url, clock) as other,
    ):
        stored = await install_directly(cloud, process, clock)
        first = await stored.token()
        clock.now += timedelta(hours=11)
        cloud.on_renewal = lambda: allow_connections(database_url, False)
        try:
            renewed = await stored.token()
            assert renewed == cloud.current(ONE) != first
            clock.now += timedelta(minutes=1)
            assert await stored.token() == renewed, "the token works although the database is still away"
        finally:
            allow_connections(database_url, True)
        if stored_by == "maintenance":
            await process.store_renewed()
        clock.now += timedelta(minutes=1)
        assert await stored.token() == renewed
        assert await InstallationToken(other, f"slack:{ONE}").token() == renewed
        cloud.on_renewal = lambda: None
        clock.now += timedelta(hours=13)
        assert await stored.token() == cloud.current(ONE) != renewed, "the new refresh token was stored too"
    assert cloud.renewals == [ONE, ONE]


async def test_a_renewal_that_is_cancelled_still_stores_its_tokens(
    cloud: SlackCloud, database_url: str, clock: ManualClock
) -> None:
    async with installations_of(cloud, database_url, clock) as process:
        stored = await install_directly(cloud, process, clock)
        clock.now += timedelta(hours=11)
        renewing = asyncio.create_task(stored.token())

        def cancel() -> None:
            renewing.cancel()

        cloud.on_renewal = cancel
        with pytest.raises(asyncio.CancelledError):
            await renewing
    async with installations_of(cloud, database_url, clock) as process:
        assert await InstallationToken(process, f"slack:{ONE}").token() == cloud.current(ONE)
    assert cloud.renewals == [ONE]


async def test_two_processes_renew_a_token_once(cloud: SlackCloud, database_url: str, clock: ManualClock) -> None:
    async with (
        installations_of(cloud, database_url, clock) as first,
        installations_of(cloud, database_url, clock) as second,
    ):
        await install_directly(cloud, first, clock)
        clock.now += timedelta(hours=13)
        found = await asyncio.gather(*(process.grant("slack:T0ONE") for process in (first, second) for _ in range(5)))
    assert cloud.renewals == [ONE]
    assert {grant.token for grant in found} == {cloud.current(ONE)}


async def test_a_refused_token_is_renewed_after_another_process_lets_go(
    cloud: SlackCloud, database_url: str, clock: ManualClock
) -> None:
    waiting, free = asyncio.Event(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        waiting.set()
        await free.wait()

    database = Database(database_url)
    async with (
        aclosing(database),
        installations_of(cloud, database_url, clock) as other,
        installations_of(cloud, database_url, clock, sleep=sleep) as process,
    ):
        refused = await (await install_directly(cloud, other, clock)).token()
        async with only_one(database, "parley token slack:T0ONE") as has_lock:
            assert has_lock
            replacing = asyncio.create_task(process.replacement("slack:T0ONE", refused))
            waited = asyncio.create_task(waiting.wait())
            await asyncio.wait({waited, replacing}, return_when=asyncio.FIRST_COMPLETED)
            assert not replacing.done(), "the refused token is of no use although it has not expired"
        free.set()
        found = await replacing
    assert found is not None
    assert found.token == cloud.current(ONE) != refused


async def test_a_lost_refresh_token_is_reported_with_a_fix(
    cloud: SlackCloud, database_url: str, clock: ManualClock
) -> None:
    async with installations_of(cloud, database_url, clock) as process:
        stored = await install_directly(cloud, process, clock)
        cloud.tokens[cloud.current(ONE)].refresh_token = "used by another"
        clock.now += timedelta(hours=11)
        assert await stored.token(), "a valid token is still used"
        clock.now += timedelta(hours=2)
        with pytest.raises(MessageGone, match="Install the app again"):
            await stored.token()


async def test_keys_are_rotated_by_adding_a_new_first_key(
    cloud: SlackCloud, database_url: str, admin_url: str, clock: ManualClock
) -> None:
    async with installations_of(cloud, database_url, clock) as process:
        token = await (await install_directly(cloud, process, clock)).token()
        await install_directly(cloud, process, clock, TWO)
    async with installations_of(cloud, database_url, clock, token_keys=(NEW_KEY, OLD_KEY)) as process:
        assert await InstallationToken(process, "slack:T0ONE").token() == token
        assert await process.reencrypt() == 2
        assert await process.reencrypt() == 0
    async with installations_of(cloud, database_url, clock, token_keys=(NEW_KEY,)) as process:
        assert await InstallationToken(process, "slack:T0ONE").token() == token
    with psycopg.connect(admin_url) as connection:
        connection.execute(
            "UPDATE slack_installations SET sealed = "
            "(SELECT sealed FROM slack_installations WHERE team_id = 'T0TWO') WHERE team_id = 'T0ONE'"
        )
    async with installations_of(cloud, database_url, clock, token_keys=(NEW_KEY,)) as process:
        with pytest.raises(ConfigError, match="belong to another owner"):
            await InstallationToken(process, "slack:T0ONE").token()
    async with installations_of(cloud, database_url, clock) as process:
        with pytest.raises(ConfigError, match="PARLEY_TOKEN_KEYS"):
            await InstallationToken(process, "slack:T0TWO").token()
