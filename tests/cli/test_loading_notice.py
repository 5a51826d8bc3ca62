"""On a terminal, ``ask`` and ``chat`` say what they load before they wait for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Parley
from tests.cli.terminal import on_terminal

NOTICE = "Opening the database and the embedding model all-MiniLM-L6-v2"


def test_a_chat_says_what_it_loads_before_it_opens_the_database(bare: Path) -> None:
    with on_terminal(bare, "chat", DATABASE_URL="postgresql://nobody@127.0.0.1:9/none") as terminal:
        assert terminal.end() == 1
    first, second = terminal.shown.splitlines()
    assert first.startswith(NOTICE)
    assert "cannot be reached" in second


@pytest.mark.parametrize(("options", "noticed"), [((), True), (("--json",), False)])
def test_a_question_is_announced_except_beside_json(
    parley: Parley, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], noticed: bool
) -> None:
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda _: True)
    made = parley("ask", "What may a hotel cost?", *options)
    assert (NOTICE in made.err) is noticed
    assert NOTICE not in made.out


def test_a_script_sees_no_notice(parley: Parley) -> None:
    assert parley("ask", "What may a hotel cost?").err == ""
