"""The argument lines of commands: options, quotes, and what chat clients make of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.app import App
from bot.cli import run as run_terminal
from bot.commands import registry as commands
from bot.commands.arguments import parse, with_plain_dashes, words
from bot.errors import UsageError
from tests.commands.test_commands import BOSS, by, upload

DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015"


@pytest.mark.parametrize("dashes", ["--", *DASHES, "\u2014-", "-\u2013", "\u2013\u2013", "\u2212", "\uff0d"])
def test_typographic_dashes_before_a_letter_begin_an_option(dashes: str) -> None:
    given = parse(f"{dashes}here https://a.example", flags=("here", "tenant"))
    assert (given.words, given.flag("here"), given.flag("tenant")) == (["https://a.example"], True, False)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("one “two three” four", ["one", "two three", "four"]),
        ("„zwei drei“", ["zwei drei"]),
        ("‘two three’", ["two three"]),
        ("Ann’s guide", ["Ann’s", "guide"]),
        ("Ann's guide", ["Ann's", "guide"]),
        ("2026—2027 a-b", ["2026—2027", "a-b"]),
        ("— 5", ["—", "5"]),
        ("-- --here", ["--here"]),
        ("", []),
    ],
)
def test_quotes_and_dashes_inside_a_text_stay(line: str, found: list[str]) -> None:
    assert words(line) == found


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("--hree x", "no option --hree. Did you mean --here?"),
        ("x —everyone", "no option --everyone."),
        ("x --here=yes", "--here"),
        ("x --since", "--since"),
    ],
)
def test_an_option_that_does_not_exist_or_fit_is_refused(line: str, error: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(line, flags=("here",), values=("since",))
    assert error in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("option", ["--hree", "—hree", "--private", "-x", "–Tenannt"])
async def test_an_unknown_option_adds_nothing(app: App, option: str) -> None:
    context = replace(by(app, BOSS), attachments=(upload("dogs.md", "# Dogs\n\nDogs are welcome on Fridays."),))
    with pytest.raises(UsageError, match="Nothing was done"):
        await commands.run("ingest", option, context)
    assert "No documents" in (await commands.run("docs", "", by(app, BOSS))).text


async def test_a_dash_that_the_phone_typed_keeps_a_document_to_its_channel(app: App) -> None:
    context = replace(by(app, BOSS), attachments=(upload("dogs.md", "# Dogs\n\nDogs are welcome on Fridays."),))
    await commands.run("ingest", "—here", context)
    elsewhere = await commands.run("ask", "When are dogs welcome?", by(app, channel="C2"))
    assert "Dogs are welcome" not in elsewhere.text


@pytest.mark.parametrize(
    "name", [name for name in commands.COMMANDS if name not in ("ask", "help", "feedback", "costs", "ingest")]
)
async def test_every_command_refuses_an_option_that_it_does_not_have(app: App, name: str) -> None:
    with pytest.raises(UsageError):
        await commands.run(name, "show —everything", by(app, BOSS))


async def test_free_text_is_not_read_as_options(app: App) -> None:
    note = "Back at 5 — see “the wiki” —Ann"
    assert note in (await commands.run("admin", f"pause {note}", by(app, BOSS))).text
    await commands.run("admin", "resume", by(app, BOSS))
    assert note in (await commands.run("settings", f"persona {note}", by(app, BOSS))).text


@pytest.mark.parametrize("text", ["ingest —here https://a.example", "ingest --hree https://a.example", "costs —by day"])
def test_a_mention_with_an_option_is_a_command(text: str) -> None:
    assert commands.match(text) == (text.split()[0], text.split(None, 1)[1])


def test_the_terminal_reads_the_same_dashes(capsys: pytest.CaptureFixture[str]) -> None:
    assert with_plain_dashes("—audience") == "--audience"
    assert run_terminal(["ingest", "—audiense", "C1", "README.md"]) == 2
    assert "--audiense" in capsys.readouterr().err
