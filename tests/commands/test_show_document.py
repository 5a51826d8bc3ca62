"""``/docs show`` and ``/docs preview`` give the whole text: in the reply, or as a file if it is long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.app import App
from bot.commands import registry as commands
from bot.commands.text_excerpt import SHOWN_CHARS, excerpt
from bot.errors import UsageError
from tests.commands.test_commands import ANN, by, upload

LONG = "# Travel\n\n" + "\n\n".join(f"Rule {number}: keep the receipt of every journey." for number in range(100))
SHORT = "# Dogs\n\nDogs are welcome on Fridays."


@pytest.mark.parametrize(("name", "text"), [("travel.md", LONG), ("dogs.md", SHORT)])
@pytest.mark.parametrize("command", ["show", "preview"])
async def test_the_whole_text_is_given(app: App, name: str, text: str, command: str) -> None:
    attached = replace(by(app), attachments=(upload(name, text),))
    if command == "show":
        await commands.run("ingest", "", attached)
        reply = await commands.run("docs", f"show {text.split()[1]}", by(app))
    else:
        reply = await commands.run("docs", "preview", attached)
    body = text.partition("\n\n")[2]
    if text == SHORT:
        assert body in reply.text
        assert reply.file is None
        return
    assert "Rule 99" not in reply.text
    assert reply.file is not None
    assert reply.file.name.lower() == "travel.txt"
    assert body in reply.file.data.decode()
    assert reply.text.endswith(f"characters, is in {reply.file.name}.")


async def test_the_file_holds_only_what_the_channel_may_read(app: App) -> None:
    attached = replace(by(app, ANN, "C-board"), attachments=(upload("plans.md", LONG.replace("Travel", "Plans")),))
    await commands.run("ingest", "--here", attached)
    shown = await commands.run("docs", "show Plans", by(app, ANN, "C-board"))
    assert shown.file is not None
    with pytest.raises(UsageError, match="Plans"):
        await commands.run("docs", "show Plans", by(app, ANN, "C1"))


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Travel: rules / 2026", "Travel- rules - 2026.txt"),
        ("../../etc/passwd", "etc-passwd.txt"),
        ("文書", "文書.txt"),
        ("???", "document.txt"),
        ("x" * 300, "x" * 80 + ".txt"),
    ],
)
def test_the_file_is_named_after_the_title(title: str, name: str) -> None:
    _, file = excerpt("x" * (SHOWN_CHARS + 1), title)
    assert file is not None
    assert file.name == name
