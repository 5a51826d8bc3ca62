"""Random hostile input for everything that reads what strangers send: each module makes it for one kind of reader.

``pytest tests/fuzz`` tries a few hundred inputs of each kind, ``python -m benchmarks.input_fuzz`` as many as wanted.
"""

from __future__ import annotations

from tests.fuzz import answer_streams, archives, discord_events, slack_events, slack_requests, split_texts

TARGETS = (
    slack_events.EVENTS,
    discord_events.EVENTS,
    slack_requests.REQUESTS,
    answer_streams.STREAMS,
    archives.ARCHIVES,
    split_texts.TEXTS,
)
