"""Tests the relevance of messages by words, vectors, neighbors, exchanges and dates in the question."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from knowledge.search.message_relevance import UNRELATED, ConversationMessage, relevance
from knowledge.text.date_expressions import Span, spans

TODAY = date(2026, 11, 23)
START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


def day(year: int, month: int, number: int) -> Span:
    return Span(date(year, month, number), date(year, month, number))


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What did Anna say last Tuesday?", [day(2026, 11, 17)]),
        ("What happened yesterday?", [day(2026, 11, 22)]),
        ("Was war vorgestern?", [day(2026, 11, 21)]),
        ("the day before yesterday", [day(2026, 11, 21)]),
        ("Where did she go in March?", [Span(date(2026, 3, 1), date(2026, 3, 31))]),
        ("Where did she go in December?", [Span(date(2025, 12, 1), date(2025, 12, 31))]),
        ("on 2023-05-07", [day(2023, 5, 7)]),
        ("What came on 24 December 2025?", [day(2025, 12, 24), Span(date(2025, 12, 1), date(2025, 12, 31))]),
        ("am 3.4.", [day(2026, 4, 3)]),
        ("vor zwei Wochen", [Span(date(2026, 11, 7), date(2026, 11, 11))]),
        ("on 31 February", []),
        ("May I march on?", []),
        ("How much is a hotel?", []),
    ],
)
def test_dates_named_in_a_question(question: str, expected: list[Span]) -> None:
    assert spans(question, TODAY) == expected


def talk(*texts: str, pause: timedelta = timedelta(days=1)) -> list[ConversationMessage]:
    return [ConversationMessage("Ann" if n % 2 else "Ben", text, START + n * pause) for n, text in enumerate(texts)]


def best(question: str, said: list[ConversationMessage], number: int = 1) -> list[int]:
    scores = relevance(question, said, vectors=None, question_vector=None, today=TODAY)
    return [int(place) for place in np.argsort(-scores, kind="stable")[:number]]


FILLER = [f"Nothing new about topic{n} and matter{n}." for n in range(12)]


def test_message_with_the_words_is_first_and_its_neighbors_follow() -> None:
    said = talk(*FILLER[:5], "The zebra escaped from the van.", *FILLER[5:])
    first, *beside = best("Where is the zebra?", said, 3)
    assert first == 5
    assert set(beside) == {4, 6}


@pytest.mark.parametrize("length", range(1, 9))
def test_short_conversations_raise_no_error(length: int) -> None:
    said = talk("The zebra escaped.", *FILLER[1:length], pause=timedelta(minutes=1))
    scores = relevance("Where is the zebra?", said, vectors=None, question_vector=None, today=TODAY)
    assert len(scores) == length
    assert np.isfinite(scores).all()


def test_long_exchange_is_raised_only_near_the_subject() -> None:
    said = talk("The zebra escaped.", "Which zebra?", *FILLER, pause=timedelta(minutes=1))
    scores = relevance("Where is the zebra?", said, vectors=None, question_vector=None, today=TODAY)
    assert min(scores[:5]) > max(scores[6:])


def test_exchange_raises_the_messages_around() -> None:
    early = talk(*FILLER[:4], pause=timedelta(minutes=2))
    later = [
        ConversationMessage(one.author, f"{one.text} {n}", one.at + timedelta(days=3))
        for n, one in enumerate(early)
        if one.at
    ]
    later[0] = ConversationMessage("Ann", "We spoke of the zebra.", later[0].at)
    scores = relevance("zebra", [*early, *later], vectors=None, question_vector=None, today=TODAY)
    assert scores[7] > scores[0]


def test_named_date_raises_its_messages() -> None:
    said = talk("The plan changed.", "The plan changed.", "The plan changed.", "The plan changed.", "Bye")
    scores = relevance("What of the plan on 4 November?", said, vectors=None, question_vector=None, today=TODAY)
    assert int(np.argmax(scores)) == 2


def test_vectors_find_messages_without_common_words() -> None:
    said = talk(*FILLER)
    vectors = np.eye(12, dtype=np.float32)
    scores = relevance("zzz", said, vectors=vectors, question_vector=vectors[7], today=TODAY)
    assert int(np.argmax(scores)) == 7


def test_message_without_vector_counts_as_the_mean() -> None:
    said = talk(*FILLER)
    vectors = np.eye(12, dtype=np.float32)
    vectors[3] = 0
    scores = relevance("zzz", said, vectors=vectors, question_vector=np.eye(12, dtype=np.float32)[7], today=TODAY)
    assert np.isfinite(scores).all()


def test_unrelated_question_recalls_nothing() -> None:
    said = talk(*FILLER)
    vectors = np.eye(13, dtype=np.float32)[:12]
    asked = np.eye(13, dtype=np.float32)[12]
    assert set(relevance("zzz", said, vectors=vectors, question_vector=asked, today=TODAY)) == {UNRELATED}
    assert len(relevance("zzz", [], vectors=None, question_vector=None, today=TODAY)) == 0


@pytest.mark.parametrize(
    ("model", "cosine", "recalled"),
    [
        ("all-MiniLM-L6-v2", 0.76, True),
        ("all-MiniLM-L6-v2", 0.1, False),
        ("multilingual-e5-small", 0.76, False),
        ("multilingual-e5-small in 128 dimensions", 0.76, False),
        ("intfloat/multilingual-e5-base", 0.76, False),
        ("multilingual-e5-small", 0.87, True),
        ("intfloat/multilingual-e5-large-instruct", 0.76, True),
    ],
)
def test_a_cosine_means_as_much_as_unrelated_texts_of_its_model_leave(
    model: str, cosine: float, recalled: bool
) -> None:
    said = talk("alpha", "beta", "gamma")
    vectors = np.array([[cosine, np.sqrt(1 - cosine**2)], [0, 1], [0, 1]], np.float32)
    asked = np.array([1, 0], np.float32)
    scores = relevance("delta", said, vectors=vectors, question_vector=asked, model=model, today=TODAY)
    assert bool(scores[0] > UNRELATED) == recalled


def test_thread_of_2000_messages_with_a_giant_one() -> None:
    said = talk(*(f"word{n % 50} and more" for n in range(1999)), "giant " * 20_000 + "zebra")
    scores = relevance("What of word7?", said, vectors=None, question_vector=None, today=TODAY)
    assert int(np.argmax(scores)) % 50 in (6, 7, 8)
