"""A taken port is reported in one line before anything else starts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bot.platforms.web.user_messages import PORT_TAKEN
from tests.cli.conftest import Parley


@pytest.mark.parametrize("command", ["up", "web"])
def test_a_taken_port_is_found_before_the_database_is_opened(
    command: str, parley: Parley, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        started = parley(command, "--port", str(port))
    assert (started.status, started.err.splitlines()) == (1, [f"parley: {PORT_TAKEN.format(port=port)}"])
