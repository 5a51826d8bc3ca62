"""Files of chat exports that are cut off or damaged: nothing tells who may read them, so they are refused."""

from __future__ import annotations

import json

import pytest

from knowledge.errors import ParseError
from knowledge.parsing import parsers

SECRET = "The salary of Ida is 4711."
SLACK_DAY = [
    {"type": "message", "user": "U1", "text": SECRET, "ts": f"177244560{number}.000100", "team": "T1"}
    for number in range(3)
]
MEMBERS = [
    {"id": f"U{number}", "name": "ida", "profile": {"real_name": "Ida", "phone": SECRET, "team": "T1"}}
    for number in range(3)
]
DISCORD = {
    "guild": {"id": "0", "name": "Direct Messages"},
    "channel": {"id": "9", "type": "DirectTextChat", "name": "bob"},
    "messages": [
        {"id": "1", "type": "Default", "timestamp": "2024-03-05T10:01:00", "content": SECRET, "author": {"name": "Ida"}}
    ],
}
MATTERMOST = "\n".join(
    json.dumps(line)
    for line in (
        {"type": "version", "version": 1},
        {"type": "direct_post", "direct_post": {"user": "ida", "message": SECRET}},
        {"type": "direct_post", "direct_post": {"user": "bob", "message": "Oh."}},
    )
)
FORMS = {
    "day.json": json.dumps(SLACK_DAY),
    "users.json": json.dumps(MEMBERS, indent=4),
    "dm.json": json.dumps(DISCORD, indent=2),
    "import.jsonl": MATTERMOST,
    "zulip.json": json.dumps({"zerver_message": [{"id": 1, "content": SECRET}]}),
    "teams.json": json.dumps({"conversations": [{"id": "19:x", "MessageList": [{"content": SECRET}]}]}),
    "graph.json": json.dumps({"value": [{"chatId": "19:x", "messageType": "message", "body": {"content": SECRET}}]}),
}


def text_of(name: str, data: str) -> str:
    try:
        return parsers.parse(data.encode(), name).text
    except ParseError:
        return ""


@pytest.mark.parametrize("name", FORMS)
def test_a_file_that_ends_too_early_says_nothing(name: str) -> None:
    data = FORMS[name]
    for saved_as in (name, "export.txt"):
        assert [at for at in range(1, len(data) + 1) if SECRET in text_of(saved_as, data[:at])] == []


@pytest.mark.parametrize("name", FORMS)
def test_a_file_without_one_of_its_marks_says_nothing(name: str) -> None:
    """Each comma, colon, bracket and quotation mark is taken out once."""
    data = FORMS[name]
    marks = [at for at, character in enumerate(data) if character in ',:"{}[]']
    assert [at for at in marks if SECRET in text_of(name, data[:at] + data[at + 1 :])] == []


@pytest.mark.parametrize("name", ["churn.ipynb", "data.json", "rows.jsonl"])
def test_other_files_that_end_too_early_say_so(name: str) -> None:
    notebook = {"nbformat": 4, "cells": [{"cell_type": "code", "source": ["x = 1"], "outputs": []}]}
    data = (
        json.dumps(notebook) + "\n" + json.dumps(notebook)[:-9] if name == "rows.jsonl" else json.dumps(notebook)[:-9]
    )
    with pytest.raises(ParseError, match="not complete"):
        parsers.parse(data.encode(), name)


def test_documentation_that_shows_an_export_is_read() -> None:
    page = f"[[toc]]\n# The export\n\n```json\n{FORMS['dm.json']}\n{FORMS['day.json']}\n```\n"
    assert SECRET in parsers.parse(page.encode(), "export.md").text
