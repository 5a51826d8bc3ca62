"""Texts about verified answers for users."""

from __future__ import annotations

from datetime import datetime

from bot.types.verified_answers import Staleness

VERIFY_ANSWER = "Verify the answer"
VERIFY_AGAIN = "Verify again"
NOT_AN_EXPERT = "Only admins, and people who added every document that the answer cites, can verify it. Ask an admin."
FOR_EVERYONE_ADMIN = "Only admins can verify an answer for everybody. Leave out --tenant to verify it for its channel."
NOTHING_TO_VERIFY = "There is no complete answer to verify. Name an answer that was not refused or stopped."
ONE_ANSWER = "Give the answer with one of --answer, --answer-file and --answer-of."
ANSWER_OF_ALONE = "--answer-of takes the question and the sources of that answer. Leave out QUESTION and --source."
EMPTY_ANSWER = "Write the question and the answer."
PAST_EXPIRY = "That day has passed. Name a later one, or never."
_WHY = {
    "expired": "its time is over",
    "changed": "a document that it cites changed",
}


def verified(answer_id: str, expires_at: datetime | None) -> str:
    """Return the confirmation that an answer is verified; ``expires_at`` is None for no end."""
    until = f" until {expires_at:%Y-%m-%d}, or" if expires_at else ""
    return f"Verified as {answer_id}. I give this answer{until} until a document that it cites changes."


def removed(answer_id: str) -> str:
    return f"Removed the verified answer {answer_id}."


def unknown(answer_id: str) -> str:
    return f"No verified answer has the ID {answer_id}. parley verified list shows them."


def unknown_turn(turn_id: str) -> str:
    return f"No answer has the ID {turn_id}. parley feedback and parley ask --json show IDs."


def not_a_day(text: str) -> str:
    return f"{text} is no day or period. Write 2027-01-31, 90d, 12w or never."


def cites_channel_documents() -> str:
    return "This answer cites documents of a channel, so not everybody may read it. Verify it for the channel."


def cites_deleted_documents() -> str:
    return "This answer cites a document that is deleted. Ask the question again, and verify the answer that it gets."


def out_of_date(question: str, why: Staleness) -> str:
    """Return the notice to the owner of a verified answer that is no longer given."""
    return (
        f"I no longer give the verified answer to “{question}”, because {_WHY.get(why, why)}. Check it, and verify it "
        "again if it still holds."
    )


def how_to_verify(answer_id: str) -> str:
    """Return how to verify an answer without the button of the notice."""
    return f"To verify it, write /docs verify {answer_id} in the server."
