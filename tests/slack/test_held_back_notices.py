"""In Slack, admins get a direct message about a refresh that was held back, whose button lets it through."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bot.app import open_app
from knowledge.store import held_back_sources
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_oauth import SlackCloud
from tests.knowledge.sources.lost_folder import FILES, lose_folder, stored_documents
from tests.slack.oauth_serving import ONE, TWO, clock, cloud, free_port, serving, settings_of
from tests.slack.test_end_to_end import NO_MODEL, running

__all__ = ["clock", "cloud"]


async def test_the_button_below_the_notice_removes_the_documents(
    slack: SlackDouble, database_url: str, tmp_path: Path
) -> None:
    async with running(slack, database_url, tmp_path, admins=("U0BOB",)) as app:
        await lose_folder(app, tmp_path / "handbook")
        await slack.until(lambda: slack.messages("D0ADA") and slack.messages("D0BOB"))
        (notice,) = slack.messages("D0ADA")
        assert f"{FILES - 1} of {FILES} documents are gone from it" in notice.shown
        assert "/handbook" in notice.shown
        assert await stored_documents(app) == FILES
        await slack.click("parley_accept", notice, "ada")
        await slack.until(lambda: any("5 documents removed" in one.shown for one in slack.messages("D0ADA")))
        assert await stored_documents(app) == 1
        assert [one.shown for one in slack.messages("D0BOB")] == [notice.shown]


async def test_somebody_who_is_no_admin_removes_nothing(slack: SlackDouble, database_url: str, tmp_path: Path) -> None:
    async with running(slack, database_url, tmp_path) as app:
        await lose_folder(app, tmp_path / "handbook")
        await slack.until(lambda: slack.messages("D0ADA"))
        (notice,) = slack.messages("D0ADA")
        await slack.click("parley_accept", notice, "alice")
        await slack.until(
            lambda: (
                any("Only an admin" in text for text in slack.ephemeral_texts("alice"))
                or any("Only an admin" in one.shown for one in slack.messages("D0ADA"))
            )
        )
        assert await stored_documents(app) == FILES


async def test_each_workspace_tells_its_own_admins(cloud: SlackCloud, database_url: str, tmp_path: Path) -> None:
    more = {**NO_MODEL, "reranker": "none", "database_url": database_url, "data_dir": tmp_path}
    settings = settings_of(cloud, free_port(), **more)
    async with (
        open_app(settings) as app,
        serving(cloud, app.dispatcher, app.services, settings, notice_seconds=0.1) as browser,
    ):
        await browser.install(ONE)
        await browser.install(TWO)
        for team in (TWO, ONE):
            await lose_folder(app, tmp_path / f"handbook-{team}", f"slack:{team}")
        for team in (ONE, TWO):
            slack = cloud.workspaces[team]
            await slack.until(partial(slack.messages, "D0ADA"))
            (notice,) = slack.messages("D0ADA")
            assert f"/handbook-{team}" in notice.shown
            async with app.database.tenant(f"slack:{team}") as session:
                assert await held_back_sources.not_told(session, tenant_id=f"slack:{team}", platform="discord")
