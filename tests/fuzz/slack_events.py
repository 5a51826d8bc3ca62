"""Slack's events, clicks and commands in every broken form: the parsers read them or leave them out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from bot.platforms.slack import message_text, payloads, shared_files, workspace_router
from bot.platforms.slack.payloads import BotUser, UserMessage
from bot.types.audience import MEMBERS
from bot.types.conversation import Author
from tests.fuzz.mutated_json import mutations
from tests.fuzz.target import Target

BOT = BotUser("U0BOT", "B0BOT", "T1", "slack:T1")
ASKER = Author("U1", "Ann")

_RICH = {
    "type": "rich_text",
    "elements": [
        {
            "type": "rich_text_section",
            "elements": [
                {"type": "user", "user_id": "U0BOT"},
                {"type": "link", "url": "https://a.example", "text": "a"},
                {"type": "date", "timestamp": 1_700_000_000, "format": "{date}", "fallback": "then"},
                {"type": "text", "text": "how many days?"},
            ],
        }
    ],
}
_FILE = {
    "id": "F1",
    "name": "a.pdf",
    "title": "A",
    "mimetype": "application/pdf",
    "size": 12,
    "mode": "hosted",
    "url_private": "https://files.slack.com/a.pdf",
    "transcription": {"status": "complete", "preview": {"content": "said", "has_more": False}},
    "initial_comment": {"comment": "see"},
}
_SHARED = {
    "is_share": True,
    "from_url": "https://a.slack.com/archives/C1/p1",
    "fields": [{"title": "t", "value": "v"}],
    "message_blocks": [{"message": {"blocks": [_RICH]}}],
    "files": [_FILE],
    "fallback": "f",
}
_MESSAGE = {
    "type": "message",
    "user": "U1",
    "channel": "C1",
    "channel_type": "channel",
    "ts": "1700000000.000100",
    "thread_ts": "1700000000.000050",
    "team": "T1",
    "text": "<@U0BOT> how many days, <@U2|bob>, since <!date^1700000000^{date}>?",
    "blocks": [_RICH, {"type": "table", "rows": [[_RICH, {"type": "raw_text", "text": "x"}]]}],
    "attachments": [_SHARED],
    "files": [_FILE],
}
_CHANGED = {
    "type": "message",
    "subtype": "message_changed",
    "channel": "C1",
    "message": _MESSAGE,
    "previous_message": {**_MESSAGE, "text": "before"},
    "deleted_ts": "1700000000.000100",
}
_CLICK = {
    "type": "block_actions",
    "team": {"id": "T1"},
    "user": {"id": "U1", "team_id": "T1"},
    "channel": {"id": "C1"},
    "container": {"channel_id": "C1", "message_ts": "1700000000.000100", "thread_ts": "1700000000.000050"},
    "message": {**_MESSAGE, "user": "U0BOT"},
    "actions": [{"action_id": "parley_why", "value": "t" * 32}],
    "trigger_id": "1.2",
}
_COMMAND = {
    "command": "/parley",
    "text": "ingest <https://a.example|a> in <#C1|general>",
    "team_id": "T1",
    "channel_id": "C1",
    "user_id": "U1",
    "response_url": "https://hooks.slack.com/x",
}
_EVENT = {
    "type": "event_callback",
    "team_id": "T1",
    "event": _MESSAGE,
    "authorizations": [{"team_id": "T1", "user_id": "U0BOT", "is_bot": True}],
    "view": {"app_installed_team_id": "T1"},
}


def check(body: Any) -> None:
    """Read a body in every way in which the bot reads one."""
    if not isinstance(body, dict):
        return
    payloads.installed_team(body)
    payloads.parse_click(body, BOT)
    command = payloads.parse_slash_command(body, BOT)
    assert command is None or (command.channel_id and command.user_id and command.name)
    for event in (body, body.get("event")):
        if isinstance(event, dict):
            workspace_router.subscription_of(event)
            _check_message(payloads.parse_message(event, BOT))
            _check_message(payloads.parse_change(event, BOT))
            message_text.everything(event)


def _check_message(message: object) -> None:
    if not isinstance(message, UserMessage):
        return
    assert all(isinstance(part, str) and part for part in (message.user_id, message.ts, message.thread.thread_id))
    assert message.thread.tenant_id == BOT.tenant_id
    incoming = message.incoming(message_text.plain_text(message.raw, BOT.user_id), ASKER, MEMBERS)
    assert incoming.sent_at >= datetime.fromtimestamp(0, UTC)
    message_text.mentioned(message.raw)
    shared_files.spoken_in(message.files)


@contextmanager
def _opened() -> Iterator[Callable[[Any], None]]:
    yield check


EVENTS = Target("slack-events", mutations([_MESSAGE, _CHANGED, _CLICK, _COMMAND, _EVENT]), _opened)
