"""Parsing of Slack payloads: messages, slash commands and button clicks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.platforms.slack.message_text import plain_text
from bot.platforms.slack.payloads import (
    BotUser,
    UserMessage,
    parse_click,
    parse_message,
    parse_slash_command,
)
from bot.types.audience import MEMBERS
from bot.types.conversation import Author, ThreadKey

BOT = BotUser("U0BOT", "B0BOT", "T1", "slack:T1")


def event(**more: Any) -> dict[str, Any]:
    base = {"type": "message", "user": "U1", "channel": "C1", "ts": "1700000000.000100", "channel_type": "channel"}
    return {**base, "text": "<@U0BOT> hello", **more}


def parsed(**more: Any) -> UserMessage | None:
    return parse_message(event(**more), BOT)


def test_a_mention_becomes_an_incoming_message() -> None:
    found = parsed()
    assert found is not None
    assert (found.raw, found.args) == ("<@U0BOT> hello", "hello")
    incoming = found.incoming("hello", Author("U1", "alice"), MEMBERS)
    assert incoming.thread == ThreadKey("slack:T1", "slack", "C1", "1700000000.000100")
    assert (incoming.message_id, incoming.text, incoming.kind) == ("1700000000.000100", "hello", "mention")
    assert incoming.sent_at == datetime(2023, 11, 14, 22, 13, 20, 100, tzinfo=UTC)


def test_the_two_events_of_a_mention_parse_to_the_same_message() -> None:
    assert parsed() == parsed(type="app_mention", channel_type=None)


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"channel_type": "im", "channel": "D1", "text": "hello"}, "dm"),
        ({"channel_type": "mpim", "channel": "G1"}, "mention"),
        ({"text": "go on", "thread_ts": "1600000000.000001"}, "follow_up"),
        ({"text": "<@U0BOT> go on", "thread_ts": "1600000000.000001"}, "mention"),
        ({"text": "hello <@U0BOT|parley>"}, "mention"),
        ({"subtype": "file_share"}, "mention"),
        ({"subtype": "thread_broadcast"}, "mention"),
    ],
)
def test_messages_that_ask_for_an_answer(more: dict[str, Any], kind: str) -> None:
    found = parsed(**more)
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize(
    "more",
    [
        {"text": "<@U2> hello"},
        {"text": "<@U2> you decide", "thread_ts": "1600000000.000001"},
        {"text": "<!subteam^S1|@ops> can you confirm?", "thread_ts": "1600000000.000001"},
        {"text": "<!subteam^S1> can you confirm?", "thread_ts": "1600000000.000001"},
        {"text": "<!here> can you confirm?", "thread_ts": "1600000000.000001"},
        {"text": "<!channel> lunch?"},
        {"text": "<!everyone|@everyone> lunch?"},
        {"text": "write `<@U0BOT> hi` to it", "type": "app_mention"},
        {"text": "first", "thread_ts": "1700000000.000100"},
        {"subtype": "message_changed", "hidden": True},
        {"subtype": "message_deleted", "hidden": True},
        {"subtype": "bot_message", "bot_id": "B9"},
        {"subtype": "channel_join"},
        {"bot_id": "B9"},
        {"user": "U0BOT"},
        {"user": "USLACKBOT", "channel_type": "im"},
        {"user": None},
    ],
)
def test_messages_that_are_ignored(more: dict[str, Any]) -> None:
    assert parsed(**more) is None


@pytest.mark.parametrize(
    ("raw", "text", "args"),
    [
        ("<@U0BOT> hi", "hi", "hi"),
        ("hi <@U0BOT|parley> there", "hi there", "hi there"),
        ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c", "a <b> &amp; c"),
        ("see <https://a.example/x?a=1&amp;b=2>", "see https://a.example/x?a=1&b=2", "see https://a.example/x?a=1&b=2"),
        ("<http://a.example|a.example>", "http://a.example", "http://a.example"),
        ("<https://a.example/p|the page>", "the page (https://a.example/p)", "https://a.example/p"),
        ("<mailto:bob@a.example|bob@a.example>", "bob@a.example", "bob@a.example"),
        ("<@U2|bob> and <@U3>", "@bob and @U3", "U2 and U3"),
        ("<#C2|general> <#C3>", "#general #C3", "C2 C3"),
        ("<!here> <!subteam^S1|@ops> <!subteam^S2>", "@here @ops @group", "@here @ops @group"),
        ("<!date^1700000000^{date}|14 Nov>", "14 Nov", "14 Nov"),
        ("if a < b and b > c", "if a < b and b > c", "if a < b and b > c"),
        ("<@U0BOT> one\n  two   three", "one\n  two   three", "one\n  two   three"),
    ],
)
def test_encoded_text_is_decoded_as_it_was_typed(raw: str, text: str, args: str) -> None:
    assert plain_text(raw, "U0BOT") == text
    assert plain_text(raw, "U0BOT", ids=True) == args


def test_an_escaped_mention_stays_text() -> None:
    assert plain_text("&lt;@U0BOT&gt; hi", "U0BOT") == "<@U0BOT> hi"


def test_files_without_content_are_left_out() -> None:
    found = parsed(files=[{"id": "F1", "mode": "hosted"}, {"id": "F2", "mode": "tombstone"}])
    assert found is not None
    assert [file["id"] for file in found.files] == ["F1"]


def test_long_and_short_slash_commands_are_the_same() -> None:
    body = {"channel_id": "C1", "user_id": "U1", "team_id": "T1", "response_url": "https://r.example"}
    long = parse_slash_command({**body, "command": "/parley", "text": " Ingest <https://a.example> "}, BOT)
    short = parse_slash_command({**body, "command": "/ingest", "text": "<https://a.example>"}, BOT)
    assert long == short
    assert short is not None
    assert (short.name, short.args, short.tenant_id) == ("ingest", "https://a.example", "slack:T1")
    alone = parse_slash_command({**body, "command": "/parley"}, BOT)
    assert alone is not None
    assert alone.name == "help"


def test_a_click_has_its_turn_and_thread() -> None:
    body = {
        "team": {"id": "T1"},
        "user": {"id": "U1"},
        "channel": {"id": "C1"},
        "message": {"ts": "2.0", "thread_ts": "1.0"},
        "actions": [{"action_id": "parley_stop", "value": "turn-7"}],
        "trigger_id": "t",
    }
    found = parse_click(body, BOT)
    assert found is not None
    assert (found.action, found.turn_id, found.thread_ts, found.tenant_id) == ("stop", "turn-7", "1.0", "slack:T1")
    assert parse_click({**body, "actions": [{"action_id": "other", "value": "x"}]}, BOT) is None
    assert parse_click({**body, "actions": [{"action_id": "parley_stop"}]}, BOT) is None


def test_a_message_that_mentions_nobody_is_overheard() -> None:
    found = parsed(text="good morning")
    assert found is not None
    assert found.kind == "overheard"


@pytest.mark.parametrize(
    "text",
    [
        "write `<@U0BOT> hi` to ask it",
        "```\n<@U0BOT> hi\n```",
        "&gt; <@U0BOT> hi\nthat is what I wrote",
        "&gt;&gt;&gt; see\n<@U0BOT> hi",
        "``a ` <@U0BOT>`` is code",
    ],
)
def test_a_mention_in_code_or_in_a_quotation_does_not_call_the_bot(text: str) -> None:
    found = parsed(text=text)
    assert found is not None
    assert found.kind == "overheard"
    in_thread = parsed(text=text, thread_ts="1600000000.000001")
    assert in_thread is not None
    assert in_thread.kind == "follow_up"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("<@U0BOT> what does `<@U0BOT> hi` do?", "what does `@U0BOT hi` do?"),
        ("<@U0BOT> explain\n```\nsend  <@U0BOT>  x\n```", "explain\n```\nsend  @U0BOT  x\n```"),
        ("&gt; <@U0BOT> hi\n<@U0BOT> what did I mean?", "> @U0BOT hi\n what did I mean?"),
        ("one ` tick <@U0BOT> and ` two", "one ` tick @U0BOT and ` two"),
        ("<@U0BOT> an open ``` fence", "an open ``` fence"),
    ],
)
def test_only_the_mention_that_calls_is_removed(raw: str, text: str) -> None:
    assert plain_text(raw, "U0BOT") == text


def test_a_mention_of_another_person_in_a_quotation_does_not_silence_the_bot() -> None:
    found = parsed(text="&gt; <@U2> said 28\nis that right?", thread_ts="1600000000.000001")
    assert found is not None
    assert found.kind == "follow_up"


def test_a_mention_of_an_edited_message_bears_the_time_of_its_edit() -> None:
    """Slack sends the mention anew after an edit, and events of two edits can arrive in either order."""
    found = parsed(type="app_mention", edited={"user": "U1", "ts": "1700000060.000000"})
    assert found is not None
    incoming = found.incoming("hello", Author("U1", "alice"), MEMBERS)
    assert incoming.edited_at == datetime(2023, 11, 14, 22, 14, 20, tzinfo=UTC)
    assert incoming.sent_at == datetime(2023, 11, 14, 22, 13, 20, 100, tzinfo=UTC)
    unedited = parsed()
    assert unedited is not None
    assert unedited.edited_at is None
