"""``/docs preview`` with an attached file, on both platforms: the text and the warnings, and nothing is stored."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path

import psycopg
import pytest

from tests.parity.test_attachments import BROKEN, Discord, File, Platform, Slack, running_app


def offer() -> File:
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "eve@example.org", "Offer"
    mail.set_content("See the prices.")
    mail.add_attachment("Plan,Price\nTeam,12\n", subtype="csv", filename="prices.csv")
    return "offer.eml", "message/rfc822", mail.as_bytes()


async def previewed(chat: Platform, file: File) -> str:
    """Ask for a preview of a file, by mention on Slack and by command on Discord, and return what is shown."""
    if isinstance(chat, Slack):
        slack, (name, kind, data) = chat.slack, file
        await slack.say("general", "alice", f"{slack.bot} docs preview", files=[(name, data, kind)])
        await slack.until(lambda: any(name in text for text in slack.ephemeral_texts("alice")))
        return next(text for text in slack.ephemeral_texts("alice") if name in text)
    assert isinstance(chat, Discord)
    discord = chat.discord
    run = await discord.slash("docs preview", user=discord.user("Ada"), channel=discord.channel("general"), file=file)
    await discord.until(lambda: run.response is not None and file[0] in run.response.content)
    assert run.response is not None
    return run.response.content


@pytest.mark.parametrize("platform", ["slack", "discord"])
async def test_a_preview_shows_what_is_read_and_stores_nothing(
    platform: str, database_url: str, tmp_path: Path
) -> None:
    async with running_app(platform, database_url, tmp_path) as chat:
        shown = await previewed(chat, offer())
        assert "Nothing was stored." in shown
        assert "See the prices." in shown
        assert "offer.eml/prices.csv" in shown
        assert "Team" in shown
        assert "it is damaged" in await previewed(chat, BROKEN)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM documents").fetchone() == (0,)
