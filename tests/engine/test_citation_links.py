"""Links of citations, and quotes as plain text."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote

import pytest

from bot.engine.display.citation_links import as_plain_text, link
from bot.engine.display.output_filter import sanitize
from bot.engine.display.urls import urls_in
from bot.types.display import Citation

PAGE = Citation(
    1,
    "https://handbook.example/leave",
    "Leave",
    "Everybody at Lanternfish has 30 days of paid leave a year.",
    heading=("Leave", "Paid leave"),
)


def test_a_web_page_opens_at_the_quote_or_else_at_its_heading() -> None:
    assert link(PAGE) == (
        "https://handbook.example/leave#:~:text=Everybody%20at%20Lanternfish%20has,paid%20leave%20a%20year."
        "&text=Paid%20leave"
    )
    short = replace(PAGE, quote="Ask the well-read, please", heading=())
    assert link(short).partition("text=")[2] == "Ask%20the%20well%2Dread%2C%20please"
    assert link(replace(PAGE, source="https://a.example/b#c", heading=())).startswith("https://a.example/b#c:~:text=")


def test_a_table_row_is_found_by_its_heading() -> None:
    assert unquote(link(replace(PAGE, quote="| Meals | 40 euros |"))).endswith("#:~:text=Paid leave")
    assert link(replace(PAGE, quote="| Meals | 40 euros |", heading=("Leave",))) == PAGE.source


@pytest.mark.parametrize(
    ("source", "page", "opens"),
    [
        ("https://handbook.example/rules.pdf", 3, "https://handbook.example/rules.pdf#page=3"),
        ("https://handbook.example/rules.pdf#toc", 3, "https://handbook.example/rules.pdf#toc"),
        ("https://parley.slack.com/archives/C1/p1700000000000100", None, "same"),
        ("https://discord.com/channels/1/2/3", None, "same"),
        ("https://[broken", None, "same"),
        ("upload:leave.md", None, ""),
        ("javascript:alert(1)", None, ""),
    ],
)
def test_links_of_paged_documents_chats_and_files(source: str, page: int | None, opens: str) -> None:
    assert link(replace(PAGE, source=source, page=page)) == (source if opens == "same" else opens)


def test_the_output_filter_keeps_the_link_in_markdown() -> None:
    shown = f"[Leave › Paid leave]({link(PAGE)})"
    assert sanitize(shown, urls_in(link(PAGE))) == shown
    assert sanitize(shown, frozenset()) != shown


@pytest.mark.parametrize(
    ("markdown", "words"),
    [
        (
            "## Paid *leave*\n\nIs **30 days**, see [the rules](https://a.example/x).",
            "Paid leave Is 30 days, see the rules.",
        ),
        ("- one\n- `two`\n3. three", "one two three"),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |", "a | b 1 | 2"),
        ("snake_case and _slanted_", "snake_case and slanted"),
        ("> said 5 > 3 - 1", "said 5 > 3 - 1"),
    ],
)
def test_plain_text_has_the_words_without_the_marks(markdown: str, words: str) -> None:
    assert as_plain_text(markdown) == words


@pytest.mark.parametrize("text", ["- # x", "* ## x", "> 1. x", "1. > # x", "x", "# x"])
def test_nested_marks_at_the_start_of_a_line_are_no_words(text: str) -> None:
    assert as_plain_text(text) == "x"
