"""Parsing of JSON, JSON Lines and mailboxes."""

from __future__ import annotations

import json

import pytest

from knowledge.errors import ParseError
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched


def blocks(document: Document) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(b.kind, document.text[b.start : b.end], b.heading) for b in document.blocks]


async def test_json_keys_become_headings(parser: Parser) -> None:
    value = {
        "name": "Billing service",
        "owner": "Ann",
        "limits": {"per_minute": 60, "burst": True},
        "hosts": [{"host": "a", "port": 1}, {"host": "b", "port": 2}],
        "tags": ["money", "core"],
        "steps": [{"title": "Restart", "run": ["stop", "start"]}],
    }
    document = await parser.parse(Fetched("https://example.org/service", json.dumps(value).encode()))
    assert document.title == "Billing service"
    assert blocks(document) == [
        ("paragraph", "name: Billing service\nowner: Ann", ()),
        ("heading", "limits", ()),
        ("paragraph", "per_minute: 60\nburst: true", ("limits",)),
        ("heading", "hosts", ()),
        ("table", "| host | port |\n| --- | --- |\n| a | 1 |\n| b | 2 |", ("hosts",)),
        ("heading", "tags", ()),
        ("list", "- money\n- core", ("tags",)),
        ("heading", "steps", ()),
        ("heading", "Restart", ("steps",)),
        ("paragraph", "title: Restart", ("steps", "Restart")),
        ("heading", "run", ("steps", "Restart")),
        ("list", "- stop\n- start", ("steps", "Restart", "run")),
    ]


async def test_deeply_nested_json_keys_become_paths(parser: Parser) -> None:
    value: object = {"key": "deep"}
    for name in "hgfedcba":
        value = {name: value}
    document = await parser.parse(Fetched("deep.json", json.dumps(value).encode()))
    assert blocks(document)[-1] == ("paragraph", "g.h.key: deep", tuple("abcdef"))


async def test_json_lines_become_table_rows(parser: Parser) -> None:
    document = await parser.parse(Fetched("events.jsonl", b'{"at": 1, "what": "up"}\n{"at": 2, "what": "down"}\n'))
    assert [text for _, text, _ in blocks(document)] == ["| at | what |\n| --- | --- |\n| 1 | up |\n| 2 | down |"]


async def test_json_lines_end_at_line_breaks_alone(parser: Parser) -> None:
    rows = '{"at": 1, "what": "up\u2028and\x85on"}\r\n{"at": 2, "what": "down"}\n'
    document = await parser.parse(Fetched("events.jsonl", rows.encode()))
    assert [block.kind for block in document.blocks] == ["table"]


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("tsconfig.json", b'{\n  // remark\n  "strict": true,\n}', "code"),
        ("notes.md", b"[x] is done and the rest is in [y]", "paragraph"),
        ("notes.txt", b"{{ a template }}", "paragraph"),
    ],
)
async def test_invalid_json_is_parsed_as_code_or_text(parser: Parser, name: str, data: bytes, kind: str) -> None:
    document = await parser.parse(Fetched(name, data))
    assert {b.kind for b in document.blocks} == {kind}
    assert document.text == data.decode()


@pytest.mark.parametrize("depth", [200, 200_000])
async def test_json_nested_too_deep_raises_an_error(parser: Parser, depth: int) -> None:
    with pytest.raises(ParseError, match="nested deeper"):
        await parser.parse(Fetched("deep.json", b"[" * depth + b"]" * depth))


MBOX = b"""From ann@example.org Mon Mar  2 10:00:00 2026
From: Ann <ann@example.org>
Date: Mon, 2 Mar 2026 10:00:00 +0000
Subject: Launch
Message-ID: <1@example.org>

We launch on Friday.

>From then on, support is in charge.

From bob@example.org Tue Mar  3 10:00:00 2026
From: bob@example.org
Date: Tue, 3 Mar 2026 10:00:00 +0000
Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8

<html><body><h1>Sizes</h1><p>The large one fits, and nobody needs another.</p></body></html>

From nobody Tue Mar  3 11:00:00 2026
MIME-Version: 1.0
Content-Type: text/plain

"""


@pytest.mark.parametrize("name", ["team.mbox", "team", "team.txt"])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
async def test_each_email_of_a_mailbox_is_a_section(parser: Parser, name: str, ends: bytes) -> None:
    document = await parser.parse(Fetched(name, MBOX.replace(b"\n", ends)))
    found = blocks(document)
    launch, sizes = "Launch (Ann, 2026-03-02)", "Größe (bob@example.org, 2026-03-03)"
    assert document.title == "team"
    assert [text for kind, text, path in found if kind == "heading" and not path] == [launch, sizes, "(no subject)"]
    assert ("paragraph", "We launch on Friday.", (launch,)) in found
    assert ("paragraph", "From then on, support is in charge.", (launch,)) in found
    assert any("The large one fits" in text and path[0] == sizes for _, text, path in found)
    assert found[-1] == ("paragraph", "(the message has no text)", ("(no subject)",))
