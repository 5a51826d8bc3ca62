"""Filters out questions that Slack never delivered. Slack gives up after four unacknowledged attempts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from benchmarks.chaos.simulated_users import Question
from tests.doubles.slack_socket import Delivery

Kind = Literal["asked", "edited", "deleted"]


def as_delivered(
    questions: Sequence[Question], deliveries: Iterable[Delivery], turns: Iterable[Any]
) -> tuple[list[Question], int]:
    """Return the questions as Slack's events describe them, and how many messages and changes are left out.

    An event counts if a process acknowledged it or stored it; the process may have died in between. Parley cannot know
    of any other. Questions on Discord stay as they are: Parley reads missed messages there.
    """
    stored = {row.message_id: row.question for row in turns}
    arrived = {about for one in deliveries if one.acked.is_set() for about in _about(one.payload.get("event") or {})}
    known = {ts for ts, _ in arrived} | stored.keys()
    found: list[Question] = []
    left_out = 0
    for question in questions:
        ts, now = question.message_id, stored.get(question.message_id)
        if question.platform == "discord":
            found.append(question)
            continue
        if question.edited_from and (ts, "edited") not in arrived and question.tag not in (now or ""):
            question, left_out = replace(question, tag=question.edited_from, edited_from=""), left_out + 1
        if question.deleted and (ts, "deleted") not in arrived and now != "":
            question, left_out = replace(question, deleted=False), left_out + 1
        if ts in known:
            found.append(question)
        else:
            left_out += 1
    return found, left_out


def _about(event: Mapping[str, Any]) -> Iterator[tuple[str, Kind]]:
    """Return the message that an event is about, and what happened to it; nothing for the preview of a link."""
    if event.get("subtype") == "message_deleted":
        yield str(event["deleted_ts"]), "deleted"
    elif event.get("subtype") == "message_changed":
        if event["message"].get("text") != event["previous_message"].get("text"):
            yield str(event["message"]["ts"]), "edited"
    elif event.get("type") in ("message", "app_mention"):
        yield str(event["ts"]), "edited" if event.get("edited") else "asked"
