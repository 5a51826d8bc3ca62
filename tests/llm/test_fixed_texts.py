"""Tests the fixed texts around quotes: every language has each of them, and the question's language is used."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import asdict
from datetime import UTC, datetime

import pytest

from bot.engine.ports.llm import Message, Prompt
from bot.llm.quoting.extractive import compose
from bot.llm.quoting.fixed_texts import ENGLISH, FixedTexts, texts_for, translations
from bot.types.conversation import PastMessage
from knowledge.text.language_detection import detect_language

needs_detection = pytest.mark.skipif(importlib.util.find_spec("py3langid") is None, reason="py3langid is not installed")

LANGUAGES = ("de", "es", "fr", "it", "ja", "ko", "pt", "ru", "zh")
KEPT = re.compile(r"`[^`]+`|:$|：$")
"""What a translation keeps: commands, and the colon before a list."""

QUESTIONS = {
    "de": "Wie viele Urlaubstage habe ich im Jahr?",
    "en": "How many days of leave do I have in a year?",
    "es": "¿Cuántos días de vacaciones tengo al año?",
    "fr": "Combien de jours de congé ai-je par an ?",
    "it": "Quanti giorni di ferie ho in un anno?",
    "ja": "年間の休暇は何日ありますか？",
    "ko": "일 년에 휴가가 며칠 있습니까?",
    "pt": "Quantos dias de férias tenho por ano?",
    "ru": "Сколько дней отпуска у меня в году?",
    "zh": "我一年有多少天假期？",
}


def kept_parts(text: str) -> list[str]:
    return [":" if part == "：" else part for part in KEPT.findall(text)]


def test_every_language_has_every_text_with_what_it_must_keep() -> None:
    assert sorted(translations()) == list(LANGUAGES)
    for language, texts in translations().items():
        for name, text in asdict(texts).items():
            english = asdict(ENGLISH)[name]
            assert text.strip() == text != "", (language, name)
            assert "\n" not in text, (language, name)
            if name != "date":
                assert text != english, (language, name)
                assert kept_parts(text) == kept_parts(english), (language, name)


def test_dates_of_every_language_name_day_month_and_year() -> None:
    for texts in (ENGLISH, *translations().values()):
        written = datetime(2026, 3, 9, tzinfo=UTC).strftime(texts.date)
        assert re.search("0?9", written), written
        assert "2026" in written
        assert "03" in written or "March" in written


@needs_detection
@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_are_written_in_their_language(language: str) -> None:
    texts = asdict(translations()[language])
    told = {name: detect_language(text) for name, text in texts.items() if name != "date"}
    assert set(told.values()) <= {language, ""}
    assert list(told.values()).count(language) >= 8


@needs_detection
@pytest.mark.parametrize("language", QUESTIONS)
def test_nothing_found_is_said_in_the_language_of_the_question(language: str) -> None:
    wanted = translations().get(language, ENGLISH)
    question = QUESTIONS[language]
    prompt = Prompt("answer", "cheap", "", (Message("user", question),), 100, question=question)
    assert compose(prompt) == wanted.nothing
    assert compose(prompt, outage="passing") == wanted.outage_nothing
    assert compose(prompt, outage="lasting") == wanted.no_usable_model_nothing


@needs_detection
def test_a_message_of_the_thread_has_its_date_in_the_language_of_the_question() -> None:
    question = QUESTIONS["de"]
    said = (PastMessage(1, "user", "Ana", "The door code is 17.", 6, datetime(2026, 3, 9, tzinfo=UTC)),)
    prompt = Prompt("answer", "cheap", "", (Message("user", question),), 100, question=question, said=said)
    assert compose(prompt).split("\n\n") == ["In diesem Thread gesagt:", "“The door code is 17.” (Ana, 09.03.2026)"]


@needs_detection
@pytest.mark.parametrize(
    ("question", "earlier", "wanted"),
    [
        ("VPN?", (), "en"),
        ("VPN?", (QUESTIONS["fr"],), "fr"),
        ("VPN?", (QUESTIONS["fr"], QUESTIONS["de"]), "de"),
        (QUESTIONS["en"], (QUESTIONS["fr"],), "en"),
        ("Hoeveel vakantiedagen heb ik per jaar?", (), "en"),
        ("`SELECT * FROM urlaub` https://example.com/urlaub/antrag 404", (), "en"),
    ],
)
def test_a_question_that_does_not_tell_its_language_follows_the_thread(
    question: str, earlier: tuple[str, ...], wanted: str
) -> None:
    texts: FixedTexts = texts_for(question, earlier)
    assert texts == translations().get(wanted, ENGLISH)
