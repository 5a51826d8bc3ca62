"""Two workspaces in one installation of Parley: their documents, their checks, the manifest."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from bot.app import open_app
from bot.errors import ParleyError
from bot.platforms.slack import web_client
from bot.platforms.slack.diagnostics import check
from bot.platforms.slack.installation.installations import Installations, InstallationToken
from bot.platforms.slack.installation.manifest import manifest
from bot.store.database.session import Database
from bot.store.turns import event_log
from bot.types.checks import Check
from knowledge.sources.files import UploadSource
from tests.doubles.slack_oauth import SlackCloud
from tests.slack.fake_dispatcher import ScriptedDispatcher
from tests.slack.oauth_serving import (
    ONE,
    TWO,
    Browser,
    clock,
    cloud,
    free_port,
    is_answered,
    served,
    serving,
    settings_of,
)

__all__ = ["clock", "cloud", "served"]


async def test_two_workspaces_never_see_each_others_documents(
    cloud: SlackCloud, database_url: str, tmp_path: Path
) -> None:
    no_model = {"anthropic_api_key": None, "openai_api_key": None, "openai_base_url": None, "reranker": "none"}
    settings = settings_of(cloud, free_port(), database_url=database_url, data_dir=tmp_path, **no_model)
    days = {ONE: "31", TWO: "27"}
    async with open_app(settings) as app, serving(cloud, app.dispatcher, app.services, settings) as browser:
        for team, number in days.items():
            await browser.install(team)
            text = f"# Leave\n\nEverybody at {team} has {number} days of paid leave a year.\n"
            source = UploadSource(f"leave-{team}.md", text.encode(), content_type="text/markdown")
            await app.ingestor.ingest([source], tenant_id=f"slack:{team}", audience="tenant")
        asked = [(team, await browser.ask(team, "how many days of paid leave?")) for _ in range(2) for team in days]
        for team, question in asked:
            slack = cloud.workspaces[team]
            await slack.until(partial(is_answered, slack, question))
            (answer,) = slack.replies(question)
            other = days[TWO if team == ONE else ONE]
            assert f"{days[team]} days" in answer.shown
            assert other not in answer.shown
        with pytest.raises(ParleyError, match="not installed"):
            await InstallationToken(
                Installations(app.database, settings, web_client.tokenless_client(settings, None)), "slack:T9"
            ).token()


async def test_the_doctor_reports_each_workspace_and_its_events(
    cloud: SlackCloud, served: tuple[Browser, ScriptedDispatcher], database: Database
) -> None:
    browser, _ = served
    settings = settings_of(cloud)
    (_, no_workspace) = await check(settings, database=database)
    assert no_workspace.detail == "no workspace has installed the app yet"
    assert f"{settings.slack_public_url}/slack/install" in no_workspace.fix
    await browser.install(ONE)
    await browser.install(TWO)
    await browser.send_event(TWO, {"type": "app_uninstalled"})

    async def checks_after(kinds: set[str]) -> dict[str, Check]:
        """Return the checks once events of those kinds are recorded, which happens in the background."""
        recorded: set[str] = set()
        async with asyncio.timeout(60):
            while recorded != kinds:
                await asyncio.sleep(0.02)
                async with database.tenant("slack:T0ONE") as session:
                    recorded = set(await event_log.heard(session, tenant_id="slack:T0ONE", platform="slack"))
        return {one.name: one for one in await check(settings, database=database)}

    await browser.ask(ONE, "is anybody there?")
    checks = await checks_after({"app_mention"})
    assert not checks["slack requests"].ok, "Slack calls only https addresses"
    assert "missing scopes" in checks["slack workspace T0ONE"].detail
    assert "app removed" in checks["slack workspace T0TWO"].detail
    assert "slack events of T0TWO" not in checks
    assert not checks["slack events of T0ONE"].ok, "a mention arrived but no channel message"
    assert "parley manifest slack" in checks["slack events of T0ONE"].fix
    joined = {"type": "message", "subtype": "channel_join", "channel_type": "channel", "channel": "C0GENERAL"}
    await browser.send_event(ONE, joined)
    checks = await checks_after({"app_mention", "message.channels"})
    assert checks["slack events of T0ONE"].ok
    assert "not received yet: message.groups, message.im, message.mpim" in checks["slack events of T0ONE"].detail


def test_the_manifest_for_many_workspaces_has_the_redirect_url() -> None:
    app = manifest("https://parley.example.com/", many=True)
    assert app["oauth_config"]["redirect_urls"] == ["https://parley.example.com/slack/oauth_redirect"]
    assert app["settings"]["token_rotation_enabled"]
    assert {"app_uninstalled", "tokens_revoked"} <= set(app["settings"]["event_subscriptions"]["bot_events"])
    assert not manifest("https://parley.example.com/")["settings"]["token_rotation_enabled"]
    assert "redirect_urls" not in manifest()["oauth_config"]
