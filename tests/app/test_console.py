"""A chat on the terminal: a cached answer is marked as such and says how to get a new one."""

from __future__ import annotations

import io
import sys

import pytest

from bot.app import App
from bot.cli.ask import _answer, _chat
from bot.platforms.console import FROM_CACHE, incoming

ASKED = "What may a hotel in Lisbon cost?"


async def said(app: App, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *lines: str) -> str:
    """Return what a chat with these lines prints."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join((*lines, ""))))
    await _chat(app, "t9", "ann")
    return capsys.readouterr().out


async def test_what_was_answered_before_is_asked_anew(
    app: App, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = await _answer(app, incoming(ASKED, thread="t1", user="ann"), quiet=True)
    second = await _answer(app, incoming(ASKED, thread="t2", user="ann"), quiet=True)
    fresh = await _answer(app, incoming(ASKED, thread="t3", user="ann", fresh=True), quiet=True)
    assert (first.cached, second.cached, fresh.cached) == (False, True, False)
    await app.dispatcher.settled()
    answer = await said(app, monkeypatch, capsys, ASKED, "/again", "/again strong")
    before, _, anew = answer.partition(f"({FROM_CACHE})")
    assert before.count("180 EUR") >= 1
    assert anew.count("180 EUR") >= 2
    assert FROM_CACHE not in anew


async def test_there_is_nothing_to_ask_anew_at_the_beginning(
    app: App, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "Nothing has been asked in this chat yet" in await said(app, monkeypatch, capsys, "/again")
