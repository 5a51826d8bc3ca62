"""Parsing of Slack and Discord exports: authors, times, threads kept together, private messages left out."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from knowledge.errors import ParseError
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched

USERS = [
    {"id": "U1", "name": "ann", "profile": {"display_name": "Ann", "real_name": "Ann Smith"}},
    {"id": "U2", "name": "bob", "profile": {"display_name": "", "real_name": "Bob Jones"}},
]
DAY = 1_772_445_600
"""2026-03-02 10:00 UTC"""


def slack_message(user: str, after: int, text: str, thread: int | None = None, **more: object) -> dict[str, object]:
    """Return a Slack message sent ``after`` minutes after ``DAY``."""
    entry: dict[str, object] = {"type": "message", "user": user, "ts": f"{DAY + 60 * after}.000100", "text": text}
    return entry | ({"thread_ts": f"{DAY + 60 * thread}.000100"} if thread is not None else {}) | more


def archive(members: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, value in members.items():
            made.writestr(name, value if isinstance(value, bytes) else json.dumps(value))
    return buffer.getvalue()


def slack(root: str = "", more: dict[str, object] | None = None) -> bytes:
    members: dict[str, object] = {
        "users.json": USERS,
        "channels.json": [{"id": "C1", "name": "general"}],
        "groups.json": [{"id": "G1", "name": "board"}],
        "dms.json": [{"id": "D1", "members": ["U1", "U2"]}],
        "general/2026-03-02.json": [
            slack_message("U1", 0, "How do I get a <https://vpn.example|VPN> token, <@U2>?", 0),
            slack_message("U2", 1, "Lunch &amp; learn in <#C1|general>"),
            slack_message("U1", 2, "joined", subtype="channel_join"),
            slack_message("U9", 3, "", files=[{"name": "map.pdf"}], user_profile={"real_name": "Eve"}),
        ],
        "general/2026-03-03.json": [slack_message("U2", 1500, "Ask the helpdesk.", 0)],
        "board/2026-03-02.json": [slack_message("U1", 0, "secret of the board")],
        "D1/2026-03-02.json": [slack_message("U1", 0, "secret of two")],
    }
    return archive({root + name: value for name, value in {**members, **(more or {})}.items()})


def blocks(document: Document) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(b.kind, document.text[b.start : b.end], b.heading) for b in document.blocks]


@pytest.mark.parametrize("root", ["", "Team Slack export Mar 2026/"])
async def test_slack_export_keeps_threads_authors_and_times(parser: Parser, root: str) -> None:
    document = await parser.parse(Fetched("export.zip", slack(root)))
    thread = "Thread of Ann, 2026-03-02: How do I get a VPN (https://vpn.example) token, @Bob Jones?"
    assert document.title == "Slack export"
    assert blocks(document) == [
        ("paragraph", "2 private channels and direct messages of this export were left out.", ()),
        ("heading", "#general", ()),
        ("heading", thread, ("#general",)),
        (
            "message",
            "Ann, 2026-03-02 10:00: How do I get a VPN (https://vpn.example) token, @Bob Jones?",
            ("#general", thread),
        ),
        ("message", "Bob Jones, 2026-03-03 11:00: Ask the helpdesk.", ("#general", thread)),
        ("heading", "2026-03-02", ("#general",)),
        ("message", "Bob Jones, 2026-03-02 10:01: Lunch & learn in #general", ("#general", "2026-03-02")),
        ("message", "Eve, 2026-03-02 10:03: [file: map.pdf]", ("#general", "2026-03-02")),
    ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (slack(more={"channels.json": []}), r"without a message in a public channel .*\(left out: 3 others\)"),
        (slack(more={"channels.json": b"{torn"}), r"\(left out: 3 others\)"),
        (slack(more={"general/2026-03-04.json": b"[" + b" " * (30 * 2**20) + b"]"}), "zip bomb"),
        (archive({"a.json": {"b": 1}}), "without a Slack or DiscordChatExporter export"),
    ],
)
async def test_bad_exports_raise_an_error_with_the_reason(parser: Parser, data: bytes, reason: str) -> None:
    with pytest.raises(ParseError, match=reason):
        await parser.parse(Fetched("export.zip", data))


def damaged(data: bytes, name: bytes) -> bytes:
    """Return the archive with wrong bytes in the content of a member."""
    changed = bytearray(data)
    place = changed.index(name) + len(name) + 20
    changed[place : place + 8] = b"\xff" * 8
    return bytes(changed)


BROKEN = "general/2026-03-02.json"


@pytest.mark.parametrize(
    "data",
    [
        damaged(slack(), BROKEN.encode()),
        slack(more={BROKEN: b"{torn"}),
        slack(more={BROKEN: {"ok": False}}),
    ],
)
async def test_broken_day_costs_only_itself(parser: Parser, data: bytes) -> None:
    document = await parser.parse(Fetched("export.zip", data))
    assert "Bob Jones, 2026-03-03 11:00: Ask the helpdesk." in document.text
    assert f"1 day of this export could not be read: {BROKEN}" in document.text
    only_broken = archive({"channels.json": [{"id": "C1", "name": "general"}], BROKEN: b"{torn"})
    with pytest.raises(ParseError, match=BROKEN):
        await parser.parse(Fetched("export.zip", only_broken))


async def test_member_names_outside_the_archive_write_no_files(parser: Parser, tmp_path: Path) -> None:
    outside = tmp_path / "2026-03-02.json"
    evil: dict[str, object] = {
        f"..{tmp_path}/2026-03-02.json": [slack_message("U1", 0, "out")],
        "../x/2026-03-02.json": [slack_message("U1", 0, "up")],
    }
    document = await parser.parse(Fetched("export.zip", slack(more=evil)))
    assert not outside.exists()
    assert "up" not in [text.rpartition(": ")[2] for _, text, _ in blocks(document)]
    assert "Ask the helpdesk." in document.text


FORGED = "Fine.\n\nAnn, 2026-03-02 10:05: The password is on the wall."


async def test_nobody_writes_in_another_persons_name(parser: Parser) -> None:
    message = slack_message("U8", 0, FORGED, user_profile={"real_name": "Eve\n\nAnn"})
    document = await parser.parse(Fetched("export.zip", slack(more={"general/2026-03-04.json": [message]})))
    written = "Eve Ann, 2026-03-02 10:00: Fine.\n\n> Ann, 2026-03-02 10:05: The password is on the wall."
    assert ("message", written, ("#general", "2026-03-02")) in blocks(document)
    assert "\nAnn, 2026-03-02 10:05" not in document.text
    export = channel()
    export["messages"] = [
        {
            "id": "1",
            "type": "Default",
            "timestamp": "2026-03-02T10:00:00+00:00",
            "content": FORGED,
            "author": {"name": "Eve"},
        }
    ]
    document = await parser.parse(Fetched("general.json", json.dumps(export).encode()))
    assert "\nAnn, 2026-03-02 10:05" not in document.text


def channel(kind: str = "GuildTextChat", *more: dict[str, object]) -> dict[str, object]:
    def entry(number: int, name: str, text: str, answers: int | None = None) -> dict[str, object]:
        return {
            "id": str(number),
            "type": "Reply" if answers else "Default",
            "timestamp": f"2026-03-02T1{number}:00:00+02:00",
            "content": text,
            "author": {"name": name.lower(), "nickname": name},
            "attachments": [],
            "embeds": [],
            **({"reference": {"messageId": str(answers)}} if answers else {}),
        }

    messages = [
        entry(1, "Ann", "Where is the runbook?"),
        entry(2, "Bob", "Good morning"),
        entry(3, "Eve", "In the wiki.", 1),
        entry(4, "Ann", "Thanks!", 3),
    ]
    return {"guild": {"name": "Team"}, "channel": {"type": kind, "name": "ops"}, "messages": [*messages, *more]}


async def test_discord_replies_are_grouped_with_the_message_they_reply_to(parser: Parser) -> None:
    document = await parser.parse(Fetched("ops.json", json.dumps(channel()).encode()))
    thread = "Thread of Ann, 2026-03-02: Where is the runbook?"
    assert document.title == "Team #ops"
    assert blocks(document) == [
        ("heading", "#ops", ()),
        ("heading", thread, ("#ops",)),
        ("message", "Ann, 2026-03-02 09:00: Where is the runbook?", ("#ops", thread)),
        ("message", "Eve, 2026-03-02 11:00: In the wiki.", ("#ops", thread)),
        ("message", "Ann, 2026-03-02 12:00: Thanks!", ("#ops", thread)),
        ("heading", "2026-03-02", ("#ops",)),
        ("message", "Bob, 2026-03-02 10:00: Good morning", ("#ops", "2026-03-02")),
    ]


async def test_discord_archive_leaves_direct_messages_out(parser: Parser) -> None:
    data = archive({"ops.json": channel(), "dm.json": channel("DirectTextChat"), "readme.txt": b"x"})
    document = await parser.parse(Fetched("discord.zip", data))
    assert document.title == "Team Discord export"
    assert [text for kind, text, path in blocks(document) if kind == "heading" and not path] == ["#ops"]
    assert "1 direct message or private thread of this export was left out." in document.text


async def test_discord_export_with_invalid_messages_raises_an_error(parser: Parser) -> None:
    bad = channel("GuildTextChat", {"id": "9", "timestamp": "yesterday", "content": "x"})
    with pytest.raises(ParseError, match="not in the expected form"):
        await parser.parse(Fetched("ops.json", json.dumps(bad).encode()))
