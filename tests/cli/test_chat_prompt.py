"""At the prompt of ``parley chat``, on a real terminal."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.cli.terminal import on_terminal


def test_ctrl_c_at_the_prompt_keeps_the_chat(bare: Path, empty_database_url: str) -> None:
    with on_terminal(bare, "chat", DATABASE_URL=empty_database_url, PARLEY_DATA_DIR=str(bare)) as terminal:
        terminal.answer("\n> ", "/memory")
        terminal.wait_for("\n> ")
        terminal.process.send_signal(signal.SIGINT)
        terminal.answer("Ctrl-D ends the chat.\r\n> ", "/memory")
        terminal.answer("\n> ", "\x04")
        assert terminal.end() == 0
