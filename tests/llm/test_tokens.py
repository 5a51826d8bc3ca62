"""Local token counts: plausible for each script, and corrected by reported usage."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.llm import tokens
from bot.llm.tokens import TokenCounter, base_count

ENGLISH = "Everybody who works full time has thirty days of paid leave a year, and unused days move to March. "
RUSSIAN = "Каждый сотрудник имеет право на тридцать дней оплачиваемого отпуска в год. "
JAPANESE = "正社員は年間三十日の有給休暇を取得できます。未使用分は三月まで繰り越せます。"


@pytest.mark.parametrize(
    ("text", "least", "most"), [(ENGLISH * 20, 4.0, 5.6), (RUSSIAN * 20, 2.2, 4.4), (JAPANESE * 20, 0.8, 1.5)]
)
def test_characters_a_token_differ_by_script(text: str, least: float, most: float) -> None:
    assert least <= len(text) / base_count(text) <= most


def test_it_errs_high() -> None:
    assert TokenCounter().count(ENGLISH * 10) > len(ENGLISH * 10) / 4.9


def test_nothing_is_nothing() -> None:
    assert TokenCounter().count("") == 0


@settings(deadline=None)
@given(st.text(min_size=1, max_size=200))
def test_any_text_counts_and_longer_is_never_less(text: str) -> None:
    counter = TokenCounter()
    assert counter.count(text) >= 1
    assert counter.count(text + " and one more sentence") > counter.count(text) - 1


def test_it_learns_a_model_and_leaves_the_others() -> None:
    counter = TokenCounter()
    for _ in range(30):
        said = counter.count(ENGLISH, "hungry")
        counter.learn("hungry", said, round(base_count(ENGLISH) * 2))
    assert counter.count(ENGLISH, "hungry") == pytest.approx(base_count(ENGLISH) * 2 * 1.05, rel=0.03)
    assert counter.count(ENGLISH, "other") == TokenCounter().count(ENGLISH, "other")
    assert counter.count(ENGLISH) == counter.count(ENGLISH, "hungry")


def test_it_rises_faster_than_it_falls() -> None:
    up, down = TokenCounter(), TokenCounter()
    start = up.count(ENGLISH, "m")
    up.learn("m", start, start * 2)
    down.learn("m", start, start // 2)
    assert up.count(ENGLISH, "m") - start > start - down.count(ENGLISH, "m")


@pytest.mark.parametrize(("estimated", "real"), [(0, 10), (10, 0), (-1, 5), (10, 10**9)])
def test_nonsense_teaches_little(estimated: int, real: int) -> None:
    counter = TokenCounter()
    counter.learn("m", estimated, real)
    assert counter.count("word", "m") <= 6


def test_a_long_text_is_counted_once_and_follows_what_was_learnt() -> None:
    counter, text = TokenCounter(), "A system prompt that is sent with every question. " * 20
    before = tokens._cached_count.cache_info().misses
    first = counter.count(text)
    counter.learn("m", 100, 200)
    assert counter.count(text, "m") > first
    assert tokens._cached_count.cache_info().misses == before + 1
