"""``/docs preview`` shows what is read of attached files, and stores nothing."""

from __future__ import annotations

from dataclasses import replace
from email.message import EmailMessage

import pytest

from bot.app import App
from bot.commands import registry as commands
from bot.errors import UsageError
from tests.commands.test_commands import by, upload
from tests.knowledge.parsing.parsed_files import count_parsed


async def test_a_preview_shows_the_text_and_stores_nothing(app: App) -> None:
    files = (upload("dogs.md", "# Dogs\n\nDogs are welcome on Fridays."), upload("tool.txt", "MZ\x90\0"))
    reply = await commands.run("docs", "preview", replace(by(app), attachments=files))
    assert "**dogs.md**: Dogs (markdown, 2 blocks)" in reply.text
    assert "Dogs are welcome on Fridays." in reply.text
    assert "**tool.txt**: it is a Windows program" in reply.text
    assert (reply.file, reply.private) == (None, True)
    assert (await commands.run("docs", "", by(app))).table is None


async def test_a_long_text_comes_as_a_file_too(app: App) -> None:
    long = "# Long\n\n" + "The ferns are watered. " * 200
    reply = await commands.run("docs", "preview", replace(by(app), attachments=(upload("long.md", long),)))
    assert len(reply.text) < 2000
    assert reply.file is not None
    assert (reply.file.name, reply.file.data.decode()) == ("long.txt", long)


async def test_what_is_attached_to_a_mail_is_shown_after_it(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = count_parsed(monkeypatch)
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "eve@example.org", "Offer"
    mail.set_content("See the files.")
    for number in range(9):
        mail.add_attachment(f"Words of file{number}.", filename=f"plan{number}.txt")
    files = (replace(upload("offer.eml", mail.as_string()), content_type="message/rfc822"),)
    reply = await commands.run("docs", "preview", replace(by(app), attachments=files))
    assert [line.partition(" (")[0] for line in reply.text.splitlines() if line.startswith("**")] == [
        "**offer.eml**: Offer",
        *(f"**offer.eml/plan{number}.txt**: plan{number}.txt" for number in range(4)),
    ]
    assert "Words of file3." in reply.text
    assert "Words of file4." not in reply.text
    assert len(parsed) == 5
    await commands.run("docs", "preview", replace(by(app), attachments=files * 3))
    assert len(parsed) == 10


async def test_a_preview_needs_a_file(app: App) -> None:
    with pytest.raises(UsageError, match="Attach a file"):
        await commands.run("docs", "preview", by(app))
