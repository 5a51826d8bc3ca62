"""What people and apps wrote outside of a message's text: blocks, attachments, embeds, forwards, snippets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from knowledge.parsing.isolation.sandbox import Parser
from knowledge.types.source_items import Fetched

Entry = dict[str, Any]
RICH = {
    "type": "rich_text",
    "elements": [
        {
            "type": "rich_text_section",
            "elements": [
                {"type": "text", "text": "The freezer of "},
                {"type": "user", "user_id": "U1"},
                {"type": "text", "text": " opens at nine, see "},
                {"type": "link", "url": "https://cold.example", "text": "the plan"},
            ],
        },
        {
            "type": "rich_text_list",
            "elements": [
                {"type": "rich_text_section", "elements": [{"type": "text", "text": "bring gloves"}]},
                {"type": "rich_text_section", "elements": [{"type": "text", "text": "close the door"}]},
            ],
        },
    ],
}


def slack_entry(**more: object) -> Entry:
    return {"type": "message", "ts": "1772445600.000100", "user": "U1", "user_profile": {"real_name": "Ida"}, **more}


async def slack_text(parser: Parser, entry: Entry) -> str:
    """Return the text of a message without its author and time."""
    data = json.dumps({"slack_channel": "cold", "messages": [entry]}).encode()
    document = await parser.parse(Fetched("cold.json", data, private_chats=True))
    return document.text.rpartition("2026-03-02 10:00: ")[2]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (
            slack_entry(blocks=[RICH]),
            "The freezer of @U1 opens at nine, see the plan (https://cold.example)\nbring gloves\nclose the door",
        ),
        (
            slack_entry(
                blocks=[
                    {
                        "type": "section",
                        "text": {"type": "mrkdwn", "text": "Build 7 &amp; 8"},
                        "fields": [{"text": "Status: red"}],
                    }
                ]
            ),
            "Build 7 & 8\nStatus: red",
        ),
        (
            slack_entry(
                attachments=[
                    {
                        "pretext": "Alert",
                        "title": "Disk full",
                        "text": "db-3",
                        "fields": [{"title": "Free", "value": "1 %"}],
                        "fallback": "no",
                        "footer": "Monitor",
                    }
                ]
            ),
            "Alert\nDisk full\ndb-3\nFree: 1 %\nMonitor",
        ),
        (slack_entry(attachments=[{"fallback": "Only a fallback"}]), "Only a fallback"),
        (
            slack_entry(
                attachments=[
                    {
                        "is_share": True,
                        "author_name": "Bo",
                        "text": "The code is in the safe.",
                        "message_blocks": [{"message": {"blocks": [RICH]}}],
                    }
                ]
            ),
            "Bo\nThe code is in the safe.\nThe freezer of @U1 opens at nine, see the plan (https://cold.example)\n"
            "bring gloves\nclose the door",
        ),
        (slack_entry(files=[{"name": "scan_004.pdf", "title": "Lease 2026"}]), "[file: Lease 2026 (scan_004.pdf)]"),
        (
            slack_entry(
                files=[{"name": "-.txt", "mode": "snippet", "preview": "SELECT 1", "preview_highlight": "<b>x</b>"}]
            ),
            "[file: -.txt]\nSELECT 1",
        ),
        (
            slack_entry(text="Same words, once.", blocks=[{"type": "section", "text": {"text": "Same words, once."}}]),
            "Same words, once.",
        ),
        (slack_entry(text="<https://cold.example>"), "https://cold.example"),
        (
            slack_entry(
                text="No &amp; <#C1|cold>",
                blocks=[
                    {
                        "type": "rich_text",
                        "elements": [
                            {
                                "type": "rich_text_section",
                                "elements": [
                                    {"type": "text", "text": "No & "},
                                    {"type": "channel", "channel_id": "C1"},
                                ],
                            }
                        ],
                    }
                ],
            ),
            "No & #cold",
        ),
    ],
)
async def test_slack_message_has_everything_that_its_reader_sees(parser: Parser, entry: Entry, text: str) -> None:
    assert await slack_text(parser, entry) == text


async def test_app_without_a_user_is_named_by_its_profile(parser: Parser) -> None:
    entry = {"type": "message", "ts": "1772445600.000100", "bot_id": "B1", "bot_profile": {"name": "Deploys"}}
    data = json.dumps({"slack_channel": "cold", "messages": [{**entry, "text": "Done."}]}).encode()
    document = await parser.parse(Fetched("cold.json", data, private_chats=True))
    assert "Deploys, 2026-03-02 10:00: Done." in document.text


FORWARDED = {"content": "The key is under the mat.", "attachments": [{"fileName": "map.png"}]}


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"forwardedMessage": FORWARDED}, "[forwarded]\nThe key is under the mat.\n[file: map.png]"),
        ({"message_snapshots": [{"message": FORWARDED}]}, "[forwarded]\nThe key is under the mat.\n[file: map.png]"),
        (
            {
                "embeds": [
                    {
                        "author": {"name": "Bo"},
                        "title": "Rota",
                        "fields": [{"name": "Mon", "value": "Ida"}],
                        "footer": {"text": "v2"},
                    }
                ]
            },
            "Bo\nRota\nMon: Ida\nv2",
        ),
        (
            {"type": "20", "content": "Queue: 3", "interaction": {"name": "queue", "user": {"name": "bo"}}},
            "[/queue of bo]\nQueue: 3",
        ),
        ({"type": 20, "content": "Queue: 3"}, "Queue: 3"),
        ({"type": "21", "content": "The first post"}, "The first post"),
        ({"type": "ChatInputCommand", "content": "Queue: 3"}, "Queue: 3"),
    ],
)
async def test_discord_message_has_everything_that_its_reader_sees(parser: Parser, entry: Entry, text: str) -> None:
    message = {
        "id": "1",
        "type": "Default",
        "timestamp": "2026-03-02T10:00:00+00:00",
        "author": {"name": "Ida"},
        **entry,
    }
    export = {
        "guild": {"id": "5"},
        "channel": {"id": "9", "type": "GuildTextChat", "name": "ops"},
        "messages": [message],
    }
    document = await parser.parse(Fetched("ops.json", json.dumps(export).encode()))
    assert document.text.rpartition("2026-03-02 10:00: ")[2] == text
