"""A Socket Mode frame or envelope that cannot be parsed costs that event, not the connection."""

from __future__ import annotations

import json

import pytest

from tests.doubles.slack import SlackDouble
from tests.slack.fake_dispatcher import ScriptedDispatcher

UNPARSABLE = {
    "half of a JSON document": '{"type": "events_api", "envelope_id": "1", "payl',
    "no JSON": "hello",
    "an envelope without a payload": json.dumps({"type": "events_api", "envelope_id": "2"}),
    "a payload that is a list": json.dumps({"type": "events_api", "envelope_id": "3", "payload": [1]}),
    "an event that is a text": json.dumps(
        {"type": "events_api", "envelope_id": "4", "payload": {"type": "event_callback", "event": "?", "team_id": "T"}}
    ),
    "an interaction without a user": json.dumps(
        {"type": "interactive", "envelope_id": "5", "payload": {"type": "block_actions", "actions": [{}]}}
    ),
    "an envelope that is a list of lists": json.dumps({"type": ["?"], "envelope_id": {"?": 1}, "payload": {}}),
}


@pytest.mark.parametrize("name", UNPARSABLE)
async def test_the_next_question_is_answered_on_the_same_connection(
    name: str, slack: SlackDouble, dispatcher: ScriptedDispatcher
) -> None:
    (socket,) = slack.socket.connections
    await socket.send_str(UNPARSABLE[name])
    asked = await slack.say("general", "alice", f"{slack.bot} how many days of leave?")
    await slack.until(lambda: slack.replies(asked))
    assert slack.socket.connections == [socket]
