"""Local token counts: near those of a real tokenizer for each kind of text, and corrected by reported usage."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.llm import tokens
from bot.llm.tokens import TokenCounter, base_count, max_tokens_per_character
from knowledge import sample

ENGLISH = "Everybody who works full time has thirty days of paid leave a year, and unused days move to March. "
GERMAN = (
    "Wer Vollzeit arbeitet, hat dreißig Tage bezahlten Urlaub im Jahr. Nicht genommene Tage verfallen Ende März, außer "
    "die Abteilungsleitung hat der Übertragung vorher zugestimmt. Für Reisen im Auftrag der Firma werden die Kosten "
    "der Unterkunft bis zu 140 Euro je Nacht erstattet; darüber entscheidet die Buchhaltung im Einzelfall. "
)
CHINESE = (
    "全职员工每年享有三十天带薪休假，未使用的天数可以结转到次年三月底。出差住宿费用每晚最多报销一百四十欧元，"
    "超出部分需要部门经理事先批准。请在返回后两周内提交所有发票，财务部门会在五个工作日内付款。"
)
HINDI = (
    "पूर्णकालिक कर्मचारियों को हर साल तीस दिन की सवेतन छुट्टी मिलती है। जो दिन बच जाते हैं वे मार्च के अंत तक लिए जा सकते हैं। "
    "यात्रा के दौरान होटल का खर्च प्रति रात एक सौ चालीस यूरो तक वापस किया जाता है, उससे अधिक के लिए प्रबंधक की अनुमति आवश्यक है। "
)
TABLE = "| City | Limit (EUR) | From |\n|---|---:|---|\n" + "".join(
    f"| {city} | {limit:,} | 2026-0{month}-15 |\n"
    for city, limit, month in (("Berlin", 140, 1), ("London", 220, 2), ("Oslo", 1180, 3), ("Lisbon", 95, 4)) * 5
)
CODE = Path(tokens.__file__).read_text(encoding="utf-8")
HANDBOOK = "\n".join(path.read_text(encoding="utf-8") for path in sorted(sample.path().glob("*.md")))


def real_count(text: str) -> int:
    """Return the tokens of a text in the ``o200k`` encoding."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from bpe_openai import get_encoding
    return len(get_encoding("o200k_base").encode(text))


@pytest.mark.parametrize(
    "text",
    [HANDBOOK, ENGLISH * 5, GERMAN, CHINESE, HINDI, TABLE, CODE],
    ids=["handbook", "English", "German", "Chinese", "Hindi", "table", "code"],
)
def test_the_estimate_is_near_the_count_of_a_real_tokenizer(text: str) -> None:
    assert 0.95 <= TokenCounter().count(text) / real_count(text) <= 1.15


@settings(deadline=None)
@given(st.text(min_size=1, max_size=300))
def test_no_text_counts_more_than_the_bound(text: str) -> None:
    assert base_count(text) * 4 <= len(text) * max_tokens_per_character() + 4


def test_models_of_another_family_count_more_until_their_ratio_is_learned() -> None:
    counter = TokenCounter()
    assert counter.count(ENGLISH, "claude-sonnet-5-5") > counter.count(ENGLISH, "gpt-5.6") == counter.count(ENGLISH)
    assert TokenCounter(["gpt-5.6", "claude-sonnet-5-5"]).count(ENGLISH) == counter.count(ENGLISH, "claude-sonnet-5-5")


def test_restored_ratios_count_until_something_is_learned() -> None:
    first, second = TokenCounter(), TokenCounter()
    for _ in range(5):
        first.learn("m", 100, 200)
    second.restore(first.learned())
    assert second.count(ENGLISH * 9, "m") == first.count(ENGLISH * 9, "m") > TokenCounter().count(ENGLISH * 9, "m")
    assert second.learned() == {}
    second.learn("m", 100, 100)
    kept = second.learned()
    second.restore({"m": 4.0})
    assert second.learned() == kept


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
    assert counter.count(ENGLISH, "hungry") == pytest.approx(base_count(ENGLISH) * 2 * tokens.MARGIN, rel=0.03)
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
