"""Tests the terminal chat with cached answers."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.app import App
from bot.cli.ask import _answer, _chat
from bot.config import Settings, environment_name
from bot.platforms.console import FROM_CACHE, Terminal, incoming
from bot.types.conversation import LOCAL_TENANT
from bot.types.display import Part
from tests.doubles.models import ModelDouble, Reply, Seen

QUESTION = "What may a hotel in Lisbon cost?"


async def printed(app: App, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *lines: str) -> str:
    """Return what a chat with these input lines prints."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join((*lines, ""))))
    await _chat(app, "t9", "ann")
    return capsys.readouterr().out


async def test_again_asks_the_model_instead_of_the_cache(
    app: App, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = await _answer(app, incoming(QUESTION, thread="t1", user="ann"), quiet=True)
    second = await _answer(app, incoming(QUESTION, thread="t2", user="ann"), quiet=True)
    fresh = await _answer(app, incoming(QUESTION, thread="t3", user="ann", fresh=True), quiet=True)
    assert (first.cached, second.cached, fresh.cached) == (False, True, False)
    await app.dispatcher.settled()
    answer = await printed(app, monkeypatch, capsys, QUESTION, "/again", "/again strong")
    before, _, asked_again = answer.partition(f"({FROM_CACHE})")
    assert before.count("180 EUR") >= 1
    assert asked_again.count("180 EUR") >= 2
    assert FROM_CACHE not in asked_again


async def test_again_without_a_question_says_so(
    app: App, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "Nothing has been asked in this chat yet" in await printed(app, monkeypatch, capsys, "/again")


async def test_ctrl_c_stops_an_answer_and_the_chat_goes_on(
    app_with_models: App, models: ModelDouble, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = asyncio.Event()
    seen: list[Seen] = []

    def script(request: Seen) -> Reply:
        seen.append(request)
        return Reply("It may cost 180 EUR. [1]", after=1, held=held)

    async def press_ctrl_c() -> None:
        async with asyncio.timeout(60):
            while not seen or not seen[0].pieces_sent:
                await asyncio.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    models.script = script
    before = signal.getsignal(signal.SIGINT)
    pressing = asyncio.create_task(press_ctrl_c())
    said = await printed(app_with_models, monkeypatch, capsys, QUESTION, "/help")
    await pressing
    held.set()
    assert "Stopped" in said
    assert "/ingest" in said.partition("Stopped")[2], "the next line is read"
    assert signal.getsignal(signal.SIGINT) is before


async def test_bold_words_are_bold_in_a_terminal_and_markdown_elsewhere() -> None:
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    text = "The limit is **180 EUR**.\n```\na **b** c\n```\n2 ** 3 and **all**\n"
    for out, shown in (
        (io.StringIO(), text),
        (Tty(), "The limit is \x1b[1m180 EUR\x1b[22m.\n```\na **b** c\n```\n2 ** 3 and \x1b[1mall\x1b[22m\n"),
    ):
        terminal = Terminal(out)
        for end in (15, 30, 50):
            await terminal.edit("1", Part(text[:end], "1", "t"))
        await terminal.edit("1", Part(text, "1", "t", final=True))
        assert out.getvalue().startswith(shown)


@pytest.mark.parametrize("quiet", [False, True])
async def test_an_answer_that_a_signal_ends_is_stopped_and_its_thread_goes_on(
    app_with_models: App, models: ModelDouble, capsys: pytest.CaptureFixture[str], quiet: bool
) -> None:
    held, asked = asyncio.Event(), asyncio.Event()

    def script(request: Seen) -> Reply:
        asked.set()
        return Reply("It may cost 180 EUR. [1]", after=1, held=held)

    models.script = script
    asking = asyncio.create_task(_answer(app_with_models, incoming(QUESTION, thread="t1", user="ann"), quiet=quiet))
    async with asyncio.timeout(60):
        await asked.wait()
        asking.cancel()
        outcome = await asking
    assert outcome.state == "cancelled"
    assert "continues" not in capsys.readouterr().out
    held.set()
    async with asyncio.timeout(60):
        following = await _answer(app_with_models, incoming(QUESTION, thread="t1", user="ann"), quiet=True)
    assert "180 EUR" in following.answer


async def test_the_question_of_a_killed_terminal_does_not_hold_up_its_thread(
    app_with_models: App, both: Settings, models: ModelDouble
) -> None:
    asked, released = asyncio.Event(), asyncio.Event()

    def script(_: Seen) -> Reply:
        asked.set()
        return Reply("It may cost 180 EUR. [1]", after=1, held=released)

    models.script = script
    ours = {environment_name(name) for name in Settings.model_fields}
    given = {
        "DATABASE_URL": both.database_url.get_secret_value() if both.database_url else "",
        "PARLEY_DATA_DIR": str(both.data_dir),
        "ANTHROPIC_API_KEY": models.anthropic_key,
        "ANTHROPIC_BASE_URL": models.anthropic_url,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    killed = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bot", "ask", QUESTION, "--thread", "t1", "--user", "ann"),
        env={**{name: value for name, value in os.environ.items() if name not in ours}, **given},
        cwd=both.data_dir,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(120):
            await asked.wait()
    finally:
        killed.kill()
        await killed.wait()
        released.set()
    async with asyncio.timeout(120):
        following = await _answer(app_with_models, incoming(QUESTION, thread="t1", user="ann"), quiet=True)
        await app_with_models.dispatcher.settled()
    assert (following.state, "180 EUR" in following.answer) == ("done", True)
    async with app_with_models.database.tenant(LOCAL_TENANT) as session:
        states = await session.scalars(text("SELECT state FROM turns ORDER BY seq"))
    assert list(states) == ["done", "done"]
