"""Tests the terminal chat with cached answers."""

from __future__ import annotations

import io
import sys

import pytest

from bot.app import App
from bot.cli.ask import _answer, _chat
from bot.platforms.console import FROM_CACHE, incoming

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
