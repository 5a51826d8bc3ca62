"""``parley init`` on a real terminal: it checks answers at once, shows no secret, and writes a private ``.env``."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from bot import env_file
from bot.cli import user_messages
from bot.errors import ConfigError
from tests.cli.conftest import Parley
from tests.cli.terminal import Terminal, on_terminal
from tests.doubles.models import ModelDouble


async def test_answers_are_checked_and_written(bare: Path, database_url: str) -> None:
    (bare / ".env").write_text("# mine\nPARLEY_PASSAGES=7\nOPENAI_API_KEY=\n")
    async with ModelDouble() as models:
        with on_terminal(bare, "init") as terminal:
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
    with on_terminal(bare, "init", DATABASE_URL=database_url, ANTHROPIC_API_KEY="", OPENAI_API_KEY="") as terminal:
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


def test_sentences_are_wrapped_between_words(bare: Path, database_url: str) -> None:
    with on_terminal(bare, "init", DATABASE_URL=database_url, COLUMNS="40") as terminal:
        terminal.answer("ANTHROPIC_API_KEY", "")
        before = terminal.shown.partition("Models.")[0].replace("\r", "")
    sentences = f"{user_messages.INIT_INTRO} {user_messages.INIT_STEPS['database']}"
    assert before.split()[: len(sentences.split())] == sentences.split()
    shown = before[: before.index("DATABASE_URL is set")].split("\n")
    assert max(len(line) for line in shown if "://" not in line) <= 40
