"""Installing the Slack app with OAuth, and removing it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import psycopg

from bot.engine.display.workspace_pacing import WorkspacePacing
from bot.platforms.slack.installation import oauth_state
from bot.store import slack_workspaces
from bot.store.database.session import Database
from tests.doubles.slack_oauth import CLIENT_SECRET, SlackCloud
from tests.doubles.slack_world import BOT_USER
from tests.slack.fake_dispatcher import ScriptedDispatcher
from tests.slack.oauth_serving import ONE, TWO, Browser, clock, cloud, free_port, rows, served, serving, settings_of

__all__ = ["clock", "cloud", "served"]


async def test_an_installation_stores_its_tokens_encrypted(
    cloud: SlackCloud, served: tuple[Browser, ScriptedDispatcher], admin_url: str
) -> None:
    browser, dispatcher = served
    status, page = await browser.install(ONE)
    assert (status, "installed in The T0ONE" in page) == (200, True)
    question = await browser.ask(ONE, "how many days off?")
    slack = cloud.workspaces[ONE]
    await slack.until(lambda: any("parley_why" in reply.now.buttons for reply in slack.replies(question)))
    assert [incoming.thread.tenant_id for incoming in dispatcher.accepted] == ["slack:T0ONE"]

    (row,) = rows(admin_url)
    assert "T0ONE" in row
    with psycopg.connect(admin_url) as connection:
        names = [name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    all_rows = "\n".join(line for name in names for line in rows(admin_url, name))
    for token, issued in cloud.tokens.items():
        assert token not in all_rows
        assert issued.refresh_token not in all_rows


async def test_forged_replayed_late_or_denied_consent_installs_nothing(
    cloud: SlackCloud, served: tuple[Browser, ScriptedDispatcher], admin_url: str
) -> None:
    browser, _ = served
    state, cookie = await browser.start()
    assert rows(admin_url, "oauth_states") == [], "the start of an installation stores nothing"
    code = cloud.consent(ONE)
    for sent_cookie, query in [
        ("", {"state": state, "code": code}),
        ("another", {"state": state, "code": code}),
        ("forged", {"state": "forged", "code": code}),
        (cookie, {"code": code}),
        ("", {"code": code}),
    ]:
        assert (await browser.return_from_slack(sent_cookie, **query))[0] == 400
    status, page = await browser.return_from_slack(cookie, state=state, error="access_denied")
    assert (status, "did not allow" in page) == (200, True)
    assert (await browser.return_from_slack(cookie, state=state, code=code))[0] == 400, "a state is valid once"
    late = oauth_state.create(CLIENT_SECRET, datetime.now(UTC) - timedelta(minutes=11))
    changed = late.replace(late.split(".")[1], str(int(time.time()) + 600))
    forged = oauth_state.create("another secret", datetime.now(UTC))
    for state in (late, changed, forged, "", ".", "..", "a.b.c", "\u00e4.1.b"):
        status, page = await browser.return_from_slack(state, state=state, code=code)
        assert status == 400, state
    assert len(rows(admin_url, "oauth_states")) == 1, "only the state that was used is stored"
    status, page = await browser.return_from_slack(late, state=late, code=code)
    assert (status, "ten minutes" in page) == (400, True)
    state, cookie = await browser.start()
    status, page = await browser.return_from_slack(cookie, state=state, code="<script>")
    assert (status, "invalid_code" in page) == (400, True)
    assert rows(admin_url) == []
    assert state not in "".join(rows(admin_url, "oauth_states")), "only the digest of a state is stored"
    assert not cloud.tokens


async def test_the_app_is_uninstalled_from_a_workspace_that_is_not_served(
    cloud: SlackCloud, database: Database, admin_url: str
) -> None:
    settings = settings_of(cloud, free_port(), slack_workspaces=(TWO,))
    async with serving(
        cloud, ScriptedDispatcher(), SimpleNamespace(database=database, workspace_pacing=WorkspacePacing()), settings
    ) as browser:
        status, page = await browser.install(ONE)
        assert (status, "does not serve your workspace" in page) == (403, True)
        assert (await browser.install(TWO))[0] == 200
    assert cloud.uninstalled == [ONE]
    assert len(rows(admin_url)) == 1


async def test_removing_the_app_stops_its_events_and_deletes_its_tokens(
    cloud: SlackCloud, served: tuple[Browser, ScriptedDispatcher], database: Database, database_url: str
) -> None:
    browser, dispatcher = served
    await browser.install(ONE)
    await browser.install(TWO)
    for event in ({"type": "tokens_revoked", "tokens": {"bot": [BOT_USER]}}, {"type": "app_uninstalled"}):
        assert await browser.send_event(ONE, event) == 200
    await browser.ask(ONE, "is anybody there?")
    await browser.ask(TWO, "is anybody there?")
    assert [incoming.thread.tenant_id for incoming in dispatcher.accepted] == ["slack:T0TWO"]
    removed, kept = await slack_workspaces.every(database)
    assert (removed.sealed, removed.removed_at is None) == (None, False)
    assert kept.sealed is not None

    before = time.time() - 3600
    await browser.install(ONE)
    assert await browser.send_event(ONE, {"type": "app_uninstalled"}, at=before) == 200
    await browser.ask(ONE, "and now?")
    assert dispatcher.accepted[-1].thread.tenant_id == "slack:T0ONE", (
        "an event older than the installation removes nothing"
    )
    assert await browser.send_event(ONE, {"type": "tokens_revoked", "tokens": {"oauth": ["U0ALICE"]}}) == 200
    assert all(one.sealed for one in await slack_workspaces.every(database)), "user tokens are ignored"
