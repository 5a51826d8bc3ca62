"""``parley init`` on a real terminal: it checks answers at once, shows no secret, and writes a private ``.env``."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot import env_file
from bot.errors import ConfigError
from tests.cli.conftest import Parley
from tests.doubles.models import ModelDouble

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0
"""Seconds to wait for the next prompt, on a busy machine."""


class Terminal:
    """A program on a terminal of its own. ``shown`` is everything that it has displayed."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self.shown, self.process = "", process
        self._descriptor, self._read = descriptor, 0

    def answer(self, prompt: str, text: str) -> None:
        """Wait for a prompt, and type a line."""
        self._wait_for(prompt)
        os.write(self._descriptor, f"{text}\n".encode())

    def end(self) -> int:
        """Read until the program ends. Return its exit status."""
        while self._more():
            pass
        return self.process.wait(PATIENCE)

    def _wait_for(self, prompt: str) -> None:
        while (at := self.shown.find(prompt, self._read)) < 0:
            assert self._more(), f"{prompt!r} was not asked: {self.shown}"
        self._read = at + len(prompt)

    def _more(self) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], PATIENCE)
        assert ready, f"nothing happened after: {self.shown}"
        try:
            block = os.read(self._descriptor, 4096)
        except OSError:  # Linux reports the end of the program on a terminal as an error.
            return False
        self.shown += block.decode()
        return bool(block)


@contextmanager
def parley_init(folder: Path, **environment: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "dumb", **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", "init"],
        cwd=folder,
        env=given,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(ours, process)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


async def test_answers_are_checked_and_written(bare: Path, database_url: str) -> None:
    (bare / ".env").write_text("# mine\nPARLEY_PASSAGES=7\nOPENAI_API_KEY=\n")
    async with ModelDouble() as models:
        with parley_init(bare) as terminal:
            await asyncio.to_thread(_walk_through, terminal, database_url, models)
    written = (bare / ".env").read_text()
    assert written.startswith("# mine\nPARLEY_PASSAGES=7\n")
    assert stat.S_IMODE((bare / ".env").stat().st_mode) == 0o600
    assert env_file.read() == {
        "PARLEY_PASSAGES": "7",
        "DATABASE_URL": database_url,
        "OPENAI_API_KEY": models.openai_key,
        "OPENAI_BASE_URL": models.openai_url,
        "PARLEY_CHEAP_MODEL": "gpt-6-luna",
    }
    assert [path.name for path in bare.iterdir() if "env" in path.name] == [".env"]


def _walk_through(terminal: Terminal, database_url: str, models: ModelDouble) -> None:
    terminal.answer("DATABASE_URL", "mysql://localhost/parley")
    terminal.answer("Enter this again?", "")
    terminal.answer("DATABASE_URL", database_url)
    for key in ("sk-a-wrong-secret", models.openai_key):
        terminal.answer("ANTHROPIC_API_KEY", "")
        terminal.answer("OPENAI_API_KEY", key)
        terminal.answer("OPENAI_BASE_URL", models.openai_url)
        terminal.answer("PARLEY_CHEAP_MODEL", "gpt-6-luna")
        if key != models.openai_key:
            terminal.answer("Enter this again?", "y")
    terminal.answer("SLACK_BOT_TOKEN", "")
    terminal.answer("DISCORD_TOKEN", "")
    assert terminal.end() == 0, terminal.shown
    assert "DATABASE_URL: not a PostgreSQL address" in terminal.shown
    assert "PostgreSQL 18" in terminal.shown
    assert "answers (this check used" in terminal.shown
    assert "rejected the key" in terminal.shown
    assert "sk-a-wrong-secret" not in terminal.shown
    assert models.openai_key not in terminal.shown
    assert "Wrote 4 settings" in terminal.shown


def test_a_setting_of_the_environment_is_not_asked_for(bare: Path, database_url: str) -> None:
    with parley_init(bare, DATABASE_URL=database_url, ANTHROPIC_API_KEY="", OPENAI_API_KEY="") as terminal:
        for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "SLACK_BOT_TOKEN", "DISCORD_TOKEN"):
            terminal.answer(f"{name}:", "")
        assert terminal.end() == 0, terminal.shown
    assert "DATABASE_URL is set in the environment" in terminal.shown
    assert "Nothing was entered" in terminal.shown
    assert not (bare / ".env").exists()


def test_without_a_terminal_it_says_what_to_do(parley: Parley) -> None:
    made = parley("init")
    assert (made.status, made.out) == (2, "")
    assert "Run it in a terminal" in made.err


@pytest.mark.parametrize(
    "value", ["plain", "two words", "it's", 'say "hi"', "back\\slash\\", "#5", "a=b", "ü€", "$HOME"]
)
def test_a_value_is_read_back_as_it_was_written(bare: Path, value: str) -> None:
    env_file.write({"OPENAI_API_KEY": value, "DISCORD_TOKEN": "x"})
    assert env_file.read() == {"OPENAI_API_KEY": value, "DISCORD_TOKEN": "x"}


def test_a_file_is_replaced_as_a_whole_and_becomes_private(bare: Path) -> None:
    real = bare / "shared.env"
    real.write_text("\ufeffexport PARLEY_PASSAGES=7\nDISCORD_TOKEN=old  # a comment\n")
    real.chmod(0o644)
    (bare / ".env").symlink_to(real)
    env_file.write({"DISCORD_TOKEN": "new"})
    assert (bare / ".env").is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert real.read_text() == "export PARLEY_PASSAGES=7\nDISCORD_TOKEN=new\n"
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        env_file.write({"DISCORD_TOKEN": "newer", "OPENAI_API_KEY": "${HOME}"})
    assert env_file.read() == {"PARLEY_PASSAGES": "7", "DISCORD_TOKEN": "new"}
