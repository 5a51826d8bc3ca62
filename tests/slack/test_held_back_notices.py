"""In Slack, admins get a direct message about a refresh that was held back, whose button lets it through."""

from __future__ import annotations

from pathlib import Path

from tests.doubles.slack import SlackDouble
from tests.knowledge.lost_folder import FILES, lose_folder, stored_documents
from tests.slack.test_end_to_end import running


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
