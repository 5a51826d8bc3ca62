"""Replies of commands on a terminal: bold words are bold, and a file that came with one replaces no other."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from bot.cli.output import show_reply
from bot.commands.base import File, Reply
from tests.cli.terminal import on_terminal


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("out", "shown"),
    [
        (Tty(), "\x1b[1mPage 12\x1b[22m is \\x1b[31mred\n```\na **b** c\n```\n"),
        (io.StringIO(), "**Page 12** is \\x1b[31mred\n```\na **b** c\n```\n"),
    ],
    ids=["terminal", "pipe"],
)
def test_bold_words_are_bold_on_a_terminal(monkeypatch: pytest.MonkeyPatch, out: io.StringIO, shown: str) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", out)
    show_reply(Reply("**Page 12** is \x1b[31mred\n```\na **b** c\n```"))
    assert out.getvalue() == shown


def test_ask_and_help_in_a_chat_show_no_asterisks(bare: Path, empty_database_url: str) -> None:
    given = {"DATABASE_URL": empty_database_url, "PARLEY_DATA_DIR": str(bare), "TERM": "xterm"}
    with on_terminal(bare, "chat", **given) as terminal:
        terminal.answer("\n> ", "/help")
        terminal.answer("\n> ", "/settings")
        terminal.answer("\n> ", "\x04")
        assert terminal.end() == 0
    assert "\x1b[1m" in terminal.shown
    assert "**" not in terminal.shown


def test_the_file_of_a_reply_replaces_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    for name in ("notes (2).txt", "notes (3).txt"):
        show_reply(Reply("", file=File("notes.txt", name.encode(), "text/plain")))
        assert f"Written to {name}" in capsys.readouterr().out
    read = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert read == {"notes.txt": "mine", "notes (2).txt": "notes (2).txt", "notes (3).txt": "notes (3).txt"}
