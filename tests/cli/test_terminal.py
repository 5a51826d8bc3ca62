"""An answer on a terminal or pipe that is closed in the middle of it."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from bot.cli import log_output
from bot.errors import MessageGone
from bot.platforms.console import Terminal
from bot.types.display import Part


class Closed(io.StringIO):
    """A closed pipe, as after ``| head``."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("final", [False, True])
async def test_a_pipe_that_nobody_reads_ends_the_answer(final: bool) -> None:
    with pytest.raises(MessageGone):
        await Terminal(Closed()).edit("n", Part("One.\n\nTwo.", "n", "t", final=final))


def test_the_terminal_is_the_one_of_the_moment(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal()._print("hello")
    assert capsys.readouterr().out == "hello"


def test_logs_go_to_the_stderr_of_the_moment(logging_restored: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress bars replace stderr, and show what is written to it above them."""
    log_output.set_up("INFO")
    bars = io.StringIO()
    monkeypatch.setattr(sys, "stderr", bars)
    logging.getLogger("bot").info("working")
    assert bars.getvalue().endswith("INFO bot: working\n")
