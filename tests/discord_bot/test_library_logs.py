"""What discord.py logs stays one line."""

from __future__ import annotations

import logging

import pytest

from bot.platforms.discord.connection import one_line_logs


def test_a_blocked_heartbeat_is_logged_in_one_line_whatever_the_librarys_traceback_contains(
    caplog: pytest.LogCaptureFixture,
) -> None:
    blocked = "Shard ID %s heartbeat blocked for more than %s seconds."
    traceback = 'Loop thread traceback (most recent call last):\n  File "x.py", line 1\n    msg = msg % self.args\n'
    with one_line_logs():
        logging.getLogger("discord.gateway").warning(f"{blocked}\n{traceback}", 0, 10)
    assert caplog.messages == ["Shard ID 0 heartbeat blocked for more than 10 seconds."]


def test_a_failed_connection_is_logged_in_one_line_with_its_error(caplog: pytest.LogCaptureFixture) -> None:
    with one_line_logs():
        try:
            raise OSError("the network is down")
        except OSError:
            logging.getLogger("discord.shard").exception("Attempting a reconnect in %.2fs", 1.5)
    assert caplog.messages == ["Attempting a reconnect in 1.50s (the network is down)"]
    assert caplog.records[0].exc_info is None
