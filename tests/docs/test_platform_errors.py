"""docs/platform-errors.md lists every error code that the platforms handle, with what people see."""

from __future__ import annotations

import re
from pathlib import Path

from bot.platforms.discord import errors as discord_errors
from bot.platforms.discord import user_messages as discord_messages
from bot.platforms.slack import errors
from bot.platforms.slack import user_messages as slack_messages

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "platform-errors.md").read_text()
ROWS = {
    code: text
    for codes, text in re.findall(r"^\| ([^|]+?) \| (.+) \|$", PAGE, re.MULTILINE)
    for code in re.findall(r"[a-z_]{4,}|\d{5,}", codes)
}


def test_every_slack_code_stands_there_with_its_reason_and_cure() -> None:
    reasons = {**slack_messages.GONE, **slack_messages.REFUSED, **slack_messages.EDIT_REFUSED}
    reasons |= slack_messages.LAYOUT_REFUSED
    for code, reason in reasons.items():
        assert reason in ROWS.get(code, ""), code
    for code, cure in slack_messages.CURES.items():
        assert cure in ROWS[code], code
    assert set(ROWS) >= errors.UNCERTAIN | errors.BUSY


def test_every_discord_code_stands_there_with_its_reason() -> None:
    for code, reason in discord_messages.REASONS_GONE.items():
        assert f"| {code} | {reason}" in PAGE, code
    named = discord_errors.CLOSED | discord_errors.NOT_EDITABLE | discord_errors.NOT_ACCEPTED | discord_errors.BUSY
    named |= {discord_errors.UNKNOWN_MESSAGE, discord_errors.CANNOT_REPLY}
    assert {str(code) for code in named | {discord_errors.THREAD_EXISTS, discord_errors.WRONG_CHANNEL_KIND}} <= set(
        ROWS
    )
