"""A file that cannot be downloaded is reported by its name, beside what was added or shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.app import App
from bot.commands import registry as commands
from bot.errors import StoreAway, SurfaceError
from bot.types.conversation import Attachment
from tests.commands.test_commands import by, upload


def failing(name: str, error: Exception) -> Attachment:
    async def read() -> bytes:
        raise error

    return replace(upload(name, "content"), read=read)


DOGS = upload("dogs.md", "# Dogs\n\nDogs are welcome on Fridays.")
GONE = failing("gone.md", SurfaceError("the file is gone"))


async def test_the_other_files_are_added(app: App) -> None:
    reply = await commands.run("ingest", "", replace(by(app), attachments=(DOGS, GONE)))
    assert "Added 1 document" in reply.text
    assert "gone.md: the file is gone" in reply.text
    listed = await commands.run("docs", "list", by(app))
    assert "dogs.md" in f"{listed.text} {listed.table}"


async def test_the_other_files_are_shown(app: App) -> None:
    reply = await commands.run("docs", "preview", replace(by(app), attachments=(GONE, DOGS)))
    assert "the file is gone" in reply.text
    assert "dogs.md" in reply.text


async def test_nothing_is_said_to_have_failed_while_the_store_is_away(app: App) -> None:
    with pytest.raises(StoreAway):
        await commands.run("ingest", "", replace(by(app), attachments=(failing("a.md", StoreAway("gone")),)))
