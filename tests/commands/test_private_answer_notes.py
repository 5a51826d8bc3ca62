"""What stands below an answer in a thread also stands below a private one, without words about buttons it lacks."""

from __future__ import annotations

import pytest

from bot.app import App
from bot.commands import registry as commands
from bot.engine import user_messages as said
from tests.commands.test_commands import by, ingested


async def test_a_private_answer_keeps_its_notes(app: App) -> None:
    await ingested(app)
    replies = [await commands.run("ask", "When are dogs welcome?", by(app)) for _ in range(2)]
    assert [reply.notes for reply in replies] == [(), ("Answered earlier from the same documents.",)]
    assert replies[1].text == f"{replies[0].text}\n\nAnswered earlier from the same documents."
    assert replies[0].answer == replies[1].answer


@pytest.mark.parametrize(
    ("note", "shown"),
    [
        (said.CUT, "This answer was cut off at the length limit."),
        (said.FROM_CACHE, "Answered earlier from the same documents."),
        (said.NO_KNOWLEDGE, said.NO_KNOWLEDGE),
    ],
)
def test_notes_name_only_what_is_there(note: str, shown: str) -> None:
    assert said.without_thread(note) == shown
