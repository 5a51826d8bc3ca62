"""The history of channels where workspaces install the app themselves: read with each one's own token, kept apart."""

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
from knowledge import document_catalog
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_oauth import Cloud
from tests.doubles.slack_world import TEAM
from tests.slack.conftest import installed
from tests.slack.test_end_to_end import NO_MODEL
from tests.slack.test_oauth import ONE, TWO, Browser, Hands, cloud, free_port, hands, serving, settings_of, stands

__all__ = ["cloud", "hands"]

CHANNEL = "slack:C0GENERAL"


@asynccontextmanager
async def running(cloud: Cloud, url: str, folder: Path) -> AsyncIterator[tuple[App, Browser]]:
    """The application, with workers, and the way to it."""
    given = {**NO_MODEL, "reranker": "none", "database_url": url, "data_dir": folder}
    made = settings_of(cloud, free_port(), **given)
    async with (
        open_app(made) as app,
        working(app.services),
        serving(cloud, app.dispatcher, app.services, made) as browser,
    ):
        yield app, browser


def says(slack: SlackDouble, words: str) -> bool:
    return any(message.bot_id and words in message.shown for message in slack.world.messages)


async def take_in(browser: Browser, slack: SlackDouble, team: str, **more: str) -> None:
    assert await browser.command(team, "/ingest", "<#C0GENERAL|general>", "ada", "general", **more) == 200
    await slack.until(lambda: says(slack, "Added 1 document"))


async def documents(app: App, tenant: str) -> list[str]:
    async with app.database.tenant(tenant) as session:
        return [document.source for document in await document_catalog.list_documents(session, tenant)]


async def test_two_workspaces_take_in_channels_of_the_same_name_each_with_its_own_token(
    cloud: Cloud, database_url: str, tmp_path: Path
) -> None:
    days = {ONE: "31", TWO: "27"}
    at = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    async with running(cloud, database_url, tmp_path) as (app, browser):
        for team, number in days.items():
            await browser.install(team)
            slack = cloud.workspaces[team]
            slack.past("general", "bob", f"Everybody at {team} has {number} days of paid leave a year.", at)
            await take_in(browser, slack, team)
            (source,) = await documents(app, f"slack:{team}")
            assert source.startswith(f"{CHANNEL}/")
        for team, number in days.items():
            slack, other = cloud.workspaces[team], days[TWO if team == ONE else ONE]
            question = await browser.ask(team, "how many days of paid leave?")
            await slack.until(partial(stands, slack, question))
            (answer,) = slack.replies(question)
            assert f"{number} days" in answer.shown
            assert f"{other} days" not in answer.shown
        read = [[name for name, _ in slack.calls].count("conversations.history") for slack in cloud.workspaces.values()]
        assert min(read) >= 1, "each was read from its own workspace"


async def test_a_refresh_uses_the_token_that_is_good_by_then(
    cloud: Cloud, database_url: str, tmp_path: Path, hands: Hands
) -> None:
    slack = cloud.workspaces[ONE]
    at = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    async with running(cloud, database_url, tmp_path) as (app, browser):
        await browser.install(ONE)
        slack.past("general", "bob", "Everybody has 31 days of paid leave a year.", at)
        await take_in(browser, slack, ONE)
        cloud.tokens[cloud.current(ONE)].until = hands.seconds()
        slack.past("general", "bob", "Parking is free for guests.", at + 60)
        source = app.services.open_source(CHANNEL, files=False, tenant_id=f"slack:{ONE}")
        report = await app.ingestor.ingest([source], tenant_id=f"slack:{ONE}", audience="C0GENERAL")
        assert (report.documents - report.unchanged, report.failed) == (1, ())
        assert ONE in cloud.renewals


async def test_a_workspace_that_removed_the_app_has_nothing_read(
    cloud: Cloud, database_url: str, tmp_path: Path
) -> None:
    async with running(cloud, database_url, tmp_path) as (app, browser):
        await browser.install(ONE)
        assert await browser.tell(ONE, {"type": "app_uninstalled"}) == 200
        source = app.services.open_source(CHANNEL, files=False, tenant_id=f"slack:{ONE}")
        report = await app.ingestor.ingest([source], tenant_id=f"slack:{ONE}", audience="C0GENERAL")
        ((_, told),) = [(failure.source, failure.error) for failure in report.failed]
        assert "install it again" in told
        assert [name for name, _ in cloud.workspaces[ONE].calls if name.startswith("conversations.")] == []


# --- an organisation that installed the app as a whole

ORGANISATION = "E0ORG"
HOUSE: dict[str, Any] = {"authorizations": None, "enterprise_id": ORGANISATION}


@pytest.fixture
async def organisation(hands: Hands) -> AsyncIterator[Cloud]:
    """A Slack with one organisation of several workspaces, seen by one token."""
    async with SlackDouble(**installed()) as double, Cloud({ORGANISATION: double}, hands.seconds) as made:
        yield made


async def test_an_organisation_installs_the_app_once_for_all_its_workspaces(
    organisation: Cloud, database_url: str, tmp_path: Path
) -> None:
    slack = organisation.workspaces[ORGANISATION]
    allowed = {"enterprise_id": ORGANISATION, "team_id": None, "user_id": "U0BOT", "is_bot": True}
    whole = {"enterprise_id": ORGANISATION, "authorizations": [allowed | {"is_enterprise_install": True}]}
    at = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    async with running(organisation, database_url, tmp_path) as (app, browser):
        assert (await browser.install(ORGANISATION))[0] == 200
        slack.past("general", "bob", "Everybody has 31 days of paid leave a year.", at)
        await take_in(browser, slack, ONE, enterprise_id=ORGANISATION, is_enterprise_install="true")
        assert len(await documents(app, f"slack:{ORGANISATION}")) == 1
        for team in (ONE, TWO):
            question = await browser.ask(team, "how many days of paid leave?", **whole)
            await slack.until(partial(stands, slack, question))
            (answer,) = slack.replies(question)
            assert "31 days" in answer.shown
        started = [args for name, args in slack.calls if name == "chat.startStream"]
        assert [args["recipient_team_id"] for args in started] == [TEAM] * len(started)
        assert started, "a stream names the workspace of its reader"

        assert await browser.tell(TWO, {"type": "app_uninstalled"}, **HOUSE) == 200
        still = await browser.ask(ONE, "how many days of paid leave?", **whole)
        await slack.until(partial(stands, slack, still))
        assert await browser.tell("", {"type": "app_uninstalled"}, **HOUSE, team_id=None) == 200
        before = len(slack.calls)
        await browser.ask(ONE, "is anybody there?", **whole)
        assert slack.calls[before:] == [], "the organisation removed the app"


async def test_buttons_and_modals_of_an_organisation_name_no_workspace(
    organisation: Cloud, database_url: str, tmp_path: Path
) -> None:
    slack = organisation.workspaces[ORGANISATION]
    allowed = {"enterprise_id": ORGANISATION, "team_id": None, "user_id": "U0BOT", "is_bot": True}
    whole = {"enterprise_id": ORGANISATION, "authorizations": [allowed | {"is_enterprise_install": True}]}
    async with running(organisation, database_url, tmp_path) as (_, browser):
        await browser.install(ORGANISATION)
        question = await browser.ask(ONE, "how many days of paid leave?", **whole)
        await slack.until(lambda: any("parley_why" in one.now.buttons for one in slack.replies(question)))
        (answer,) = slack.replies(question)
        pressed = slack.pressed("parley_why", answer, "alice") | {
            "team": None,
            "enterprise": {"id": ORGANISATION, "name": "The organisation"},
            "is_enterprise_install": True,
        }
        assert await browser.interact(pressed) == 200
        await slack.until(lambda: slack.whispers("alice"))
