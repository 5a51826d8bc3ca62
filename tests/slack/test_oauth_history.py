"""Ingested channels of several installed workspaces: each is read with its own token and kept separate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot.app import App, open_app
from bot.jobs import working
from knowledge.store import document_catalog
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_oauth import SlackCloud
from tests.doubles.slack_world import TEAM
from tests.slack.conftest import installed
from tests.slack.oauth_serving import (
    ONE,
    TWO,
    Browser,
    ManualClock,
    clock,
    cloud,
    free_port,
    is_answered,
    serving,
    settings_of,
)
from tests.slack.test_end_to_end import NO_MODEL

__all__ = ["clock", "cloud"]

CHANNEL = "slack:C0GENERAL"


@asynccontextmanager
async def running(cloud: SlackCloud, url: str, folder: Path) -> AsyncIterator[tuple[App, Browser]]:
    """Run the application with its workers and Slack; yield it with a browser."""
    options = {**NO_MODEL, "reranker": "none", "database_url": url, "data_dir": folder}
    settings = settings_of(cloud, free_port(), **options)
    async with (
        open_app(settings) as app,
        working(app.services),
        serving(cloud, app.dispatcher, app.services, settings) as browser,
    ):
        yield app, browser


def has_posted(slack: SlackDouble, text: str) -> bool:
    return any(message.bot_id and text in message.shown for message in slack.world.messages)


async def ingest_channel(browser: Browser, slack: SlackDouble, team: str, **more: str) -> None:
    assert await browser.command(team, "/ingest", "<#C0GENERAL|general>", "ada", "general", **more) == 200
    await slack.until(lambda: has_posted(slack, "Added 1 document"))


async def documents(app: App, tenant: str) -> list[str]:
    async with app.database.tenant(tenant) as session:
        return [document.source for document in await document_catalog.list_documents(session, tenant)]


async def test_two_workspaces_ingest_channels_of_the_same_name_with_their_own_tokens(
    cloud: SlackCloud, database_url: str, tmp_path: Path
) -> None:
    days = {ONE: "31", TWO: "27"}
    at = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    async with running(cloud, database_url, tmp_path) as (app, browser):
        for team, number in days.items():
            await browser.install(team)
            slack = cloud.workspaces[team]
            slack.add_past("general", "bob", f"Everybody at {team} has {number} days of paid leave a year.", at)
            await ingest_channel(browser, slack, team)
            (source,) = await documents(app, f"slack:{team}")
            assert source.startswith(f"{CHANNEL}/")
        for team, number in days.items():
            slack, other = cloud.workspaces[team], days[TWO if team == ONE else ONE]
            question = await browser.ask(team, "how many days of paid leave?")
            await slack.until(partial(is_answered, slack, question))
            (answer,) = slack.replies(question)
            assert f"{number} days" in answer.shown
            assert f"{other} days" not in answer.shown
        read = [[name for name, _ in slack.calls].count("conversations.history") for slack in cloud.workspaces.values()]
        assert min(read) >= 1, "each workspace's history was read"


async def test_a_refresh_uses_a_renewed_token(
    cloud: SlackCloud, database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    slack = cloud.workspaces[ONE]
    at = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    async with running(cloud, database_url, tmp_path) as (app, browser):
        await browser.install(ONE)
        slack.add_past("general", "bob", "Everybody has 31 days of paid leave a year.", at)
        await ingest_channel(browser, slack, ONE)
        cloud.tokens[cloud.current(ONE)].expires_at = clock.seconds()
        slack.add_past("general", "bob", "Parking is free for guests.", at + 60)
        source = app.services.open_source(CHANNEL, files=False, tenant_id=f"slack:{ONE}")
        report = await app.ingestor.ingest([source], tenant_id=f"slack:{ONE}", audience="C0GENERAL")
        assert (report.documents - report.unchanged, report.failed) == (1, ())
        assert ONE in cloud.renewals


async def test_a_channel_is_not_read_after_the_app_was_removed(
    cloud: SlackCloud, database_url: str, tmp_path: Path
) -> None:
    async with running(cloud, database_url, tmp_path) as (app, browser):
        await browser.install(ONE)
        assert await browser.send_event(ONE, {"type": "app_uninstalled"}) == 200
        source = app.services.open_source(CHANNEL, files=False, tenant_id=f"slack:{ONE}")
        report = await app.ingestor.ingest([source], tenant_id=f"slack:{ONE}", audience="C0GENERAL")
        (failure,) = report.failed
        assert "Install it again" in failure.error
        assert [name for name, _ in cloud.workspaces[ONE].calls if name.startswith("conversations.")] == []


# --- an organization that installed the app org-wide

ORGANIZATION = "E0ORG"
ORG_EVENT: dict[str, Any] = {"authorizations": None, "enterprise_id": ORGANIZATION}


@pytest.fixture
async def organization(clock: ManualClock) -> AsyncIterator[SlackCloud]:
    """A Slack with one organization of several workspaces that share one token."""
    async with SlackDouble(**installed()) as double, SlackCloud({ORGANIZATION: double}, clock.seconds) as slack_cloud:
        yield slack_cloud


async def test_an_organization_installs_the_app_once_for_all_its_workspaces(
    organization: SlackCloud, database_url: str, tmp_path: Path
) -> None:
    slack = organization.workspaces[ORGANIZATION]
    authorization = {"enterprise_id": ORGANIZATION, "team_id": None, "user_id": "U0BOT", "is_bot": True}
    org_wide = {"enterprise_id": ORGANIZATION, "authorizations": [authorization | {"is_enterprise_install": True}]}
    at = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    async with running(organization, database_url, tmp_path) as (app, browser):
        assert (await browser.install(ORGANIZATION))[0] == 200
        slack.add_past("general", "bob", "Everybody has 31 days of paid leave a year.", at)
        await ingest_channel(browser, slack, ONE, enterprise_id=ORGANIZATION, is_enterprise_install="true")
        assert len(await documents(app, f"slack:{ORGANIZATION}")) == 1
        for team in (ONE, TWO):
            question = await browser.ask(team, "how many days of paid leave?", **org_wide)
            await slack.until(partial(is_answered, slack, question))
            (answer,) = slack.replies(question)
            assert "31 days" in answer.shown
        started = [args for name, args in slack.calls if name == "chat.startStream"]
        assert [args["recipient_team_id"] for args in started] == [TEAM] * len(started)
        assert started, "a stream names the workspace of its reader"

        assert await browser.send_event(TWO, {"type": "app_uninstalled"}, **ORG_EVENT) == 200
        later = await browser.ask(ONE, "how many days of paid leave?", **org_wide)
        await slack.until(partial(is_answered, slack, later))
        assert await browser.send_event("", {"type": "app_uninstalled"}, **ORG_EVENT, team_id=None) == 200
        before = len(slack.calls)
        await browser.ask(ONE, "is anybody there?", **org_wide)
        assert slack.calls[before:] == [], "the organization removed the app"


async def test_buttons_and_modals_of_an_organization_name_no_workspace(
    organization: SlackCloud, database_url: str, tmp_path: Path
) -> None:
    slack = organization.workspaces[ORGANIZATION]
    authorization = {"enterprise_id": ORGANIZATION, "team_id": None, "user_id": "U0BOT", "is_bot": True}
    org_wide = {"enterprise_id": ORGANIZATION, "authorizations": [authorization | {"is_enterprise_install": True}]}
    async with running(organization, database_url, tmp_path) as (_, browser):
        await browser.install(ORGANIZATION)
        question = await browser.ask(ONE, "how many days of paid leave?", **org_wide)
        await slack.until(lambda: any("parley_why" in reply.now.buttons for reply in slack.replies(question)))
        (answer,) = slack.replies(question)
        click = slack.click_payload("parley_why", answer, "alice") | {
            "team": None,
            "enterprise": {"id": ORGANIZATION, "name": "The organization"},
            "is_enterprise_install": True,
        }
        assert await browser.interact(click) == 200
        await slack.until(lambda: slack.ephemeral_texts("alice"))
