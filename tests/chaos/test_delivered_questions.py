"""Tests which questions and changes a chaos run leaves out, because Slack gave up delivering them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from benchmarks.chaos.delivered_questions import as_delivered
from tests.chaos.test_verdict import asked
from tests.doubles.slack_socket import Delivery


def delivery(event: dict[str, Any], *, acknowledged: bool = True) -> Delivery:
    sent = Delivery("events_api", {"event": event})
    if acknowledged:
        sent.acked.set()
    return sent


MESSAGE = delivery({"type": "message", "ts": "1"})
EDIT = {
    "type": "message",
    "subtype": "message_changed",
    "message": {"ts": "1", "text": "Q900001"},
    "previous_message": {"ts": "1", "text": "Q000001"},
}
DELETION = {"type": "message", "subtype": "message_deleted", "deleted_ts": "1"}
EDITED = replace(asked(1), tag="Q900001", edited_from="Q000001")
DELETED = replace(asked(1), deleted=True)


def test_a_question_that_no_process_acknowledged_is_left_out() -> None:
    assert as_delivered([asked(1)], [MESSAGE], []) == ([asked(1)], 0)
    assert as_delivered([asked(1)], [delivery({"type": "message", "ts": "1"}, acknowledged=False)], []) == ([], 1)


def test_a_change_that_no_process_acknowledged_is_left_out() -> None:
    assert as_delivered([EDITED], [MESSAGE, delivery(EDIT)], []) == ([EDITED], 0)
    assert as_delivered([EDITED], [MESSAGE, delivery(EDIT, acknowledged=False)], []) == ([asked(1)], 1)
    assert as_delivered([DELETED], [MESSAGE, delivery(DELETION)], []) == ([DELETED], 0)
    assert as_delivered([DELETED], [MESSAGE, delivery(DELETION, acknowledged=False)], []) == ([asked(1)], 1)


def test_what_a_process_stored_before_it_died_counts_without_an_acknowledgment() -> None:
    lost = delivery({"type": "message", "ts": "1"}, acknowledged=False)

    def stored(question: str) -> Any:
        return SimpleNamespace(message_id="1", question=question)

    assert as_delivered([asked(1)], [lost], [stored("what of Q000001?")]) == ([asked(1)], 0)
    assert as_delivered([EDITED], [MESSAGE], [stored("what of Q900001?")]) == ([EDITED], 0)
    assert as_delivered([EDITED], [MESSAGE], [stored("what of Q000001?")]) == ([asked(1)], 1)
    assert as_delivered([DELETED], [MESSAGE], [stored("")]) == ([DELETED], 0)
    assert as_delivered([DELETED], [MESSAGE], [stored("what of Q000001?")]) == ([asked(1)], 1)


def test_the_preview_of_a_link_is_no_edit() -> None:
    preview = delivery({**EDIT, "message": {"ts": "1", "text": "Q000001"}})
    assert as_delivered([EDITED], [MESSAGE, preview], []) == ([asked(1)], 1)


def test_a_mention_that_an_edit_added_is_an_edit() -> None:
    mention = delivery({"type": "app_mention", "ts": "1", "edited": {"ts": "1"}})
    assert as_delivered([EDITED], [MESSAGE, mention], []) == ([EDITED], 0)


def test_questions_on_discord_stay_as_they_are() -> None:
    question = replace(asked(1), platform="discord")
    assert as_delivered([question], [], []) == ([question], 0)
