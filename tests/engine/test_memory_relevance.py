"""Earlier statements that are relevant to a question, and small talk."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.engine.memory import earlier_statements, small_talk
from bot.types.conversation import PastMessage
from knowledge.text.search_terms import document_terms

AT = datetime(2026, 11, 2, tzinfo=UTC)
CREW = "My flight to Oslo was cancelled. The replacement crew slept in the hangar next to the seaplane."


def said(*texts: str, role: str = "user") -> list[PastMessage]:
    return [PastMessage(n, role, "Ann", text, 9, AT) for n, text in enumerate(texts)]  # type: ignore[arg-type]


def bearing(question: str, *messages: PastMessage) -> list[str]:
    return [one.text for one in earlier_statements(question, messages, document_terms)]


def test_the_sentence_with_most_terms_of_the_question_is_found() -> None:
    question = "Where did the replacement crew of the seaplane sleep?"
    assert bearing(question, *said("Nothing of it.", CREW)) == [
        "The replacement crew slept in the hangar next to the seaplane."
    ]


def test_questions_answers_and_quotations_are_no_statements() -> None:
    question = "Where is the replacement crew?"
    assert bearing(question, *said("Where is the replacement crew?", '"The replacement crew is here."')) == []
    assert bearing(question, *said("The replacement crew is here.", role="assistant")) == []
    assert bearing("Where is the crew?", *said("The crew.")) == []
    assert bearing(question, *said("Remember that the replacement crew is here.")) == []


def test_the_later_statement_comes_first_and_duplicates_are_removed() -> None:
    told = said("The badge printer is blue.", "The badge printer is green.", "The badge printer is blue.")
    assert bearing("Which colour has the badge printer?", *told) == [
        "The badge printer is blue.",
        "The badge printer is green.",
    ]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        *((text, "thanks") for text in ("thanks!", "Thank you so much, that helped a lot.", "ok", "great, thx")),
        *((text, "greeting") for text in ("Hi there!", "hello", "Hallo dir")),
        ("Vielen Dank 🙏", "thanks"),
        *((text, "about the bot") for text in ("What can you do?", "Hi, who are you?", "help", "¿Qué puedes hacer?")),
    ],
)
def test_small_talk_is_recognized(message: str, kind: str) -> None:
    assert small_talk(message) == kind


@pytest.mark.parametrize(
    "message",
    [
        "thanks, and the other one?",
        "Is that ok?",
        "ok, delete the room",
        "hello world program",
        "What can you do about a flood?",
        "Who are you going to call at night?",
        "help me find the form",
        "welcome day",
        "2 thanks",
        "",
        "🙏",
        "that was it",
        "thanks " * 9,
    ],
)
def test_a_message_that_may_ask_for_something_is_not_small_talk(message: str) -> None:
    assert not small_talk(message)
