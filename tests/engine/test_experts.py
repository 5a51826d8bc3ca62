"""People who may know are named: those who wrote about the subject in a channel, and no others."""

from __future__ import annotations

from dataclasses import replace

from bot.engine import user_messages
from bot.engine.answer import experts
from tests.engine.fakes import passage

TALK = (
    "Thread of ann, 2026-11-02: The press\n\nann, 2026-11-02 09:00: The press is stuck again.\n\n"
    "bob, 2026-11-02 10:00: I mended the press in May.\n\nben, 2026-11-02 11:00: Lunch at noon?\n\n"
    "bob, 2026-11-03 10:00: The press needs oil, and ann, 2026-01-01 knows."
)


def test_who_wrote_about_it_in_a_channel_is_named_most_words_first() -> None:
    said = replace(passage(TALK), source="slack:C1/2026-11")
    assert experts.people("Who can mend the press?", [said]) == ("bob", "ann")
    assert experts.people("When is the funeral?", [said]) == ()


def test_documents_name_nobody() -> None:
    assert experts.people("Who can mend the press?", [passage(TALK)]) == ()


def test_the_note_names_people_where_there_are_some_and_else_those_who_keep_the_page() -> None:
    named = user_messages.nothing_found("the press", 3, ["Machines › Press"], ("bob", "ann"))
    assert named.endswith(
        "Closest documents: Machines › Press. bob and ann wrote about something similar and may know more."
    )
    assert user_messages.nothing_found("the press", 3, ["Machines › Press"]).endswith("Their owner may know more.")
