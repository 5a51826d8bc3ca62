"""What emoji below messages mean, by their names on Slack and Discord."""

from __future__ import annotations

import pytest

from bot.platforms.emoji_marks import mark_of

SAVING = ("🔖", "bookmark")


@pytest.mark.parametrize(
    ("emoji", "meaning"),
    [
        ("+1", "up"),
        ("thumbsup::skin-tone-2", "up"),
        ("👍🏿", "up"),
        ("👎", "down"),
        ("-1::skin-tone-6", "down"),
        ("octagonal_sign", "stop"),
        ("🛑\ufe0f", "stop"),
        ("bookmark", "save"),
        ("🔖", "save"),
        ("eyes", None),
        ("", None),
    ],
)
def test_the_meaning_of_an_emoji(emoji: str, meaning: str | None) -> None:
    assert mark_of(emoji, SAVING) == meaning


def test_no_emoji_saves_if_the_setting_says_none() -> None:
    assert mark_of("bookmark", ("none",)) is None
