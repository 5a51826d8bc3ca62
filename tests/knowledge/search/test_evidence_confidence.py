"""Tests the features of the confidence model, and the probabilities of the shipped weights."""

from __future__ import annotations

import numpy as np
import pytest

from knowledge.search.evidence_confidence import (
    EMBEDDING_FEATURES,
    WORD_FEATURES,
    Evidence,
    LogisticModel,
    Weights,
    embedding_features,
    matches,
    shipped,
    word_features,
)

QUESTION = "How many days of parental leave does Acme GmbH grant in 2024?"
HOLDS = "Since 2024, Acme GmbH grants 60 days of parental leave. They are taken within two years."
ELSEWHERE = "The canteen serves lunch from noon. Chess is played on Fridays."


def test_no_passages_give_zero_confidence() -> None:
    assert shipped().confidence(QUESTION, []) == 0.0


def test_words_of_the_question_raise_the_confidence() -> None:
    weights = shipped()
    high = weights.confidence(QUESTION, [Evidence(HOLDS), Evidence(ELSEWHERE)])
    low = weights.confidence(QUESTION, [Evidence(ELSEWHERE)])
    assert 0 < low < 0.3 < 0.6 < high < 1


def test_embedding_features_need_every_passage() -> None:
    weights = shipped()
    near = Evidence(ELSEWHERE, 0.8, [0.6, 0.5, 0.7])
    far = Evidence(ELSEWHERE, 0.1, [0.1, 0.05, 0.1])
    assert weights.confidence(QUESTION, [near]) > weights.confidence(QUESTION, [far])
    assert weights.confidence(QUESTION, [far]) < weights.threshold
    assert embedding_features([near, Evidence(HOLDS)]) is None
    both = embedding_features([near, far])
    assert both is not None
    assert len(both) == len(EMBEDDING_FEATURES)


def test_names_and_numbers_must_occur_in_one_passage() -> None:
    seen = dict(zip(WORD_FEATURES, word_features(QUESTION, [Evidence(HOLDS)]), strict=True))
    assert seen["named"] == 1.0
    assert dict(zip(WORD_FEATURES, word_features(QUESTION, [Evidence(ELSEWHERE)]), strict=True))["named"] == 0.0
    assert (
        dict(zip(WORD_FEATURES, word_features("how are badges made", [Evidence(HOLDS)]), strict=True))["unnamed"] == 1.0
    )


def test_unusual_questions_and_passages_raise_no_error() -> None:
    for question in ("", "???", "the of and", "日本語の質問", "x" * 5000):
        for text in ("", " ", HOLDS, "x" * 50_000):
            assert 0 <= shipped().confidence(question, [Evidence(text, 0.5, [0.2])]) <= 1


def test_match_is_the_best_cosine_among_the_passages_tokens() -> None:
    question = np.array([[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]], np.float32) / np.sqrt(8)
    signs = np.packbits(np.array([[1] * 8, [1, 1, 1, 1, 0, 0, 0, 0]], np.uint8), axis=1)
    assert matches(question, signs) == pytest.approx([1.0])
    assert matches(question, signs[1:]) == pytest.approx([0.0])
    assert matches(question, signs[:0]) == []


def test_weights_round_trip_and_invalid_ones_are_refused() -> None:
    assert Weights.loads(shipped().dumps()) == shipped()
    with pytest.raises(ValueError, match="Train them again"):
        Weights("m", 0.1, 0.2, LogisticModel(0.0, {"covered": 1.0}), shipped().words)
    with pytest.raises(ValueError, match="not the weights of a confidence model"):
        Weights.loads("{}")


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("Kuendigungsfrist", "Die Kündigungsfrist beträgt drei Monate zum Quartalsende."),
        ("office", "The o\ufb03ce at the waterfront is closed."),
        ("O\ufb03ce?", "The office at the waterfront is closed."),
        ("Nunez", "The badge of José Núñez opens the gate."),
    ],
)
def test_question_of_one_word_is_not_declined_where_the_word_is(word: str, text: str) -> None:
    far = [0.2, 0.1]
    assert shipped().confidence(word, [Evidence(ELSEWHERE, 0.1, far), Evidence(text, 0.2, far)]) >= shipped().threshold
    assert shipped().confidence(word, [Evidence(ELSEWHERE, 0.2, far)]) < shipped().threshold


LEAVE = "Jeder Beschäftigte hat Anspruch auf 29 Tage Erholungsurlaub im Jahr, und der Ausweis ist immer zu tragen."


@pytest.mark.parametrize(
    ("question", "covered"),
    [
        ("Wie viele Urlaubstage habe ich?", True),  # a compound of two words of the text
        ("Wie ist es mit dem Ausweis?", True),
        ("Wie ist es mit dem Passwort?", False),  # only words that all German texts have are in it
    ],
)
def test_words_of_a_question_in_another_language_are_those_that_the_search_finds(question: str, covered: bool) -> None:
    shares = dict(zip(WORD_FEATURES, word_features(question, [Evidence(LEAVE)]), strict=True))
    assert (shares["covered"] > 0) is covered
