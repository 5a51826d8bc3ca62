"""Tests the limit on messages of one author in one conversation."""

from __future__ import annotations

from bot.platforms.discord.bot_loop_guard import LoopGuard


def test_the_window_slides() -> None:
    guard = LoopGuard(max_messages=2, window_seconds=10)
    assert [guard.check("pair", f"m{at}", at) for at in (0, 1, 2, 3)] == ["allow", "allow", "warn", "ignore"]
    assert guard.check("other pair", "m3", 3) == "allow"
    assert [guard.check("pair", f"m{at}", at) for at in (14, 15, 16)] == ["allow", "allow", "warn"]


def test_a_retried_message_counts_once() -> None:
    guard = LoopGuard(max_messages=2, window_seconds=10)
    assert [guard.check("pair", "same", 0) for _ in range(50)] == ["allow"] * 50
    assert guard.check("pair", "second", 1) == "allow"
    assert [guard.check("pair", "third", 2) for _ in range(3)] == ["warn"] * 3


def test_newer_messages_do_not_count_against_one_that_arrives_late() -> None:
    guard = LoopGuard(max_messages=2, window_seconds=10)
    assert [guard.check("pair", f"m{at}", at) for at in (100, 101, 102)] == ["allow", "allow", "warn"]
    assert guard.check("pair", "missed", 50) == "allow"
    assert [guard.check("pair", f"m{at}", at) for at in (102, 103)] == ["warn", "ignore"]


def test_the_pair_that_was_inactive_longest_is_dropped() -> None:
    guard = LoopGuard(max_messages=1, window_seconds=1e9, max_pairs=2)
    for pair in ("a", "b", "c"):
        guard.check(pair, "first", 0)
    assert guard.check("a", "second", 1) == "allow"
    assert guard.check("c", "second", 1) == "warn"
