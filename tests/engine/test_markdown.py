"""The Markdown splitter and half-streamed text: nothing is lost or reordered at any limit, and finished parts stay."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.engine.markdown import MIN_LIMIT, NOTICE, TextSize, code_ranges, displayable, split, truncated, utf16_units

WORDS = st.sampled_from(
    "alpha beta gamma delta café naïve 東京 don't e.g. 3.14 (see) “quoted” end. Why? `code` **bold** 🚀 R&D <b>".split()
)
SENTENCE = st.lists(WORDS, min_size=1, max_size=30).map(" ".join)
CODE_LINE = st.sampled_from(["x = 1", "    return x", "", "# not a heading", "| no | table |", "- no item", "a = '`'"])
CODE = st.lists(CODE_LINE, min_size=1, max_size=12).map(lambda lines: ["start", *lines, "end"])


def fenced(lines: Sequence[str], marker: str, info: str, indent: str = "") -> str:
    return "\n".join(f"{indent}{line}" if line else "" for line in (marker + info, *lines, marker))


FENCE = st.builds(
    fenced, CODE, st.sampled_from(["```", "````", "~~~", "~~~~~"]), st.sampled_from(["", "python", "c++"])
)
ITEMS = st.lists(SENTENCE, min_size=1, max_size=8).map(
    lambda items: "\n".join(f"{n}. {s}" for n, s in enumerate(items, 1))
)
LIST_FENCE = st.builds(
    lambda s, f: f"- {s}\n\n{f}", SENTENCE, st.builds(fenced, CODE, st.just("```"), st.just("sh"), st.just("  "))
)
ROW = st.lists(st.sampled_from(["one", "two words", "3"]), min_size=2, max_size=2).map(
    lambda cells: f"| {cells[0]} | {cells[1]} |"
)
TABLE = st.lists(ROW, min_size=1, max_size=12).map(lambda rows: "\n".join(["| A | B |", "|---|---|", *rows]))
HEADING = SENTENCE.map(lambda text: "## " + text[:40])
DOCUMENT = st.lists(st.one_of(SENTENCE, FENCE, ITEMS, LIST_FENCE, TABLE, HEADING), min_size=1, max_size=8).map(
    "\n\n".join
)
SOUP = st.lists(
    st.sampled_from(
        [
            "```",
            "~~~",
            "`",
            "\n",
            "\n\n",
            "- ",
            "> ",
            "1. ",
            "| a | b |",
            "|--|--|",
            "# ",
            "x",
            "word ",
            "    ",
            "[a](u)",
            "é",
            "👨‍👩‍👧",
            "🚀",
            "&&",
        ]
    ),
    max_size=200,
).map("".join)
LIMIT = st.integers(MIN_LIMIT, 400)


def escaped(text: str) -> int:
    """Return the units of a text after escaping, as Slack counts them."""
    return utf16_units(html.escape(text, quote=False))


SIZE: st.SearchStrategy[TextSize] = st.sampled_from([len, utf16_units, escaped])


def blocks(text: str, kind: str) -> list[str]:
    return [token.content for token in MarkdownIt("commonmark").parse(text) if token.type == kind]


def letters(text: str) -> str:
    return "".join(text.split())


def without_repeats(parts: Sequence[str], text: str) -> str:
    """Return all parts joined, without the fence lines and table headers that the splitter adds."""
    lines = [line for part in parts for line in part.split("\n")]
    return letters("".join(line for line in lines if not is_frame(line)))


def is_frame(line: str) -> bool:
    return bool(re.match(r"\s*[`~]{3,}[\w+]*\s*$", line)) or line in ("| A | B |", "|---|---|")


@given(DOCUMENT, LIMIT, SIZE)
@settings(max_examples=150, deadline=None)
def test_parts_hold_the_whole_text_in_order_within_the_limit(text: str, limit: int, size: TextSize) -> None:
    parts, rest = split(text, limit, size=size)
    assert rest == ""
    assert all(part.strip() and size(part) <= limit for part in parts)
    assert without_repeats(parts, text) == without_repeats([text], text)


@given(DOCUMENT, LIMIT)
@settings(max_examples=150, deadline=None)
def test_a_parser_finds_the_same_code_in_the_parts_as_in_the_text(text: str, limit: int) -> None:
    parts = split(text, limit).parts
    whole = "\n".join(line for block in blocks(text, "fence") for line in block.split("\n") if line.strip())
    found = "\n".join(
        line for part in parts for block in blocks(part, "fence") for line in block.split("\n") if line.strip()
    )
    assert found == whole


@given(DOCUMENT, LIMIT)
@settings(max_examples=100, deadline=None)
def test_every_fence_is_closed_in_its_own_part(text: str, limit: int) -> None:
    for part in split(text, limit).parts:
        assert letters("".join(blocks(part + "\n\nsentinel", "fence"))).count("sentinel") == 0


@given(st.one_of(SOUP, st.text(max_size=400)), LIMIT, SIZE)
@example("`" * 51 + "\n``````x", 64, len)
@settings(max_examples=300, deadline=None)
def test_any_text_is_split_without_losing_letters(text: str, limit: int, size: TextSize) -> None:
    """An open fence at the very end may be missing if it has no line and no room."""
    parts = split(text, limit, size=size).parts
    assert all(part.strip() and size(part) <= limit for part in parts)
    words = iter("".join(parts))
    missing = [char for char in text if char.isalnum() and char not in words]
    last = text.rstrip().rpartition("\n")[2]
    opened = [char for char in last if char.isalnum()] if re.match(r"[\s>]*(?:[`~]{3}|.*\s[`~]{3})", last) else []
    assert missing in ([], opened)


@given(st.one_of(SOUP, DOCUMENT), LIMIT, SIZE, st.data())
@settings(max_examples=300, deadline=None)
def test_finished_parts_do_not_change_while_the_text_grows(
    text: str, limit: int, size: TextSize, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    before: list[str] = []
    for cut in [*cuts, len(text)]:
        parts = split(text[:cut], limit, size=size).parts
        assert parts[: max(0, len(before) - 1)] == before[:-1]
        assert len(parts) >= len(before)
        before = parts


@given(DOCUMENT, LIMIT, st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_max_parts_returns_the_rest_and_adds_the_notice(text: str, limit: int, cap: int) -> None:
    everything, (parts, rest) = split(text, limit).parts, split(text, limit, cap)
    assert len(parts) <= cap
    assert all(len(part) <= limit for part in parts)
    assert bool(rest) == (len(everything) > cap)
    if rest:
        assert parts[-1].endswith(NOTICE) or parts[-1].endswith("*(cut)*")
        assert without_repeats([*parts[:-1], parts[-1].rpartition("\n\n")[0], rest], text) == without_repeats(
            [text], text
        )


def test_a_short_text_is_unchanged() -> None:
    assert split("Hello **there**.", 2000) == (["Hello **there**."], "")
    assert split("  \n", 2000) == ([], "")


def test_blank_lines_before_a_long_line_are_no_part_of_their_own() -> None:
    parts = split("\n \n\n\t" + "x" * 70, 64).parts
    assert [part.strip() for part in parts] == ["x" * 63, "x" * 7]


def test_too_small_a_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 64"):
        split("x", 10)


def test_cuts_between_blocks_before_lines_before_sentences() -> None:
    paragraphs = "First paragraph with some words.\n\nSecond one is here. It has two sentences."
    assert split(paragraphs, 70).parts == paragraphs.split("\n\n")
    assert split("One sentence is here. Another sentence is there. " * 3, 64).parts[0].endswith("there.")
    assert split("word " * 40, 64).parts[0] == ("word " * 13).strip()


def test_a_heading_stays_with_its_text() -> None:
    text = "A paragraph that takes up some room in the part.\n\n## Heading\n\nText below the heading goes on."
    assert split(text, 70).parts[1].startswith("## Heading")


def test_a_fence_is_reopened_with_its_language_and_indent() -> None:
    text = "1. Run\n   ```bash\n" + "\n".join(f"   echo number {n}" for n in range(8)) + "\n   ```\n2. Done"
    parts = split(text, 80).parts
    assert len(parts) > 1
    assert parts[0].endswith("\n   ```")
    assert parts[1].startswith("   ```bash\n   echo number")
    assert parts[-1].endswith("2. Done")


def test_a_longer_fence_contains_shorter_ones() -> None:
    inner = "\n".join(["```py", "x = 1", "```"] * 8)
    parts = split(f"````md\n{inner}\n````", 64).parts
    assert all(part.startswith("````md\n") and part.endswith("\n````") for part in parts)


def test_a_table_repeats_its_header() -> None:
    rows = "\n".join(f"| row {n} | value {n} |" for n in range(12))
    parts = split(f"| Name | Value |\n|---|--:|\n{rows}\n\nAfter it.", 100).parts
    tables = [part for part in parts if "row" in part]
    assert all(part.startswith("| Name | Value |\n|---|--:|\n| row") for part in tables)
    assert "After it." in parts[-1]
    assert not split(f"| Name | Value |\n|---|--:|\n{rows}\n\n" + "After it. " * 30, 100).parts[-1].startswith("|")


def test_deeply_indented_items_do_not_become_code() -> None:
    text = "- top\n" + "\n".join(f"    - nested item number {n}" for n in range(10))
    for part in split(text, 100).parts:
        assert blocks(part, "code_block") == []


def test_list_numbers_continue() -> None:
    parts = split("\n".join(f"{n}. item number {n}" for n in range(1, 20)), 64).parts
    first = [re.match(r"(\d+)\. item number (\d+)", part) for part in parts]
    assert all(match and match.group(1) == match.group(2) for match in first)


@given(st.text(alphabet="a🚀& ", max_size=60), st.integers(2, 40), SIZE)
def test_a_truncated_text_fits_and_loses_nothing_that_fits(text: str, limit: int, size: TextSize) -> None:
    shown = truncated(text, limit, size)
    assert size(shown) <= limit
    assert (shown == text) == (size(text) <= limit)
    assert text.startswith(shown.removesuffix("…"))


def test_links_code_and_composed_characters_are_not_split() -> None:
    link = "[a label of words](https://example.org/a/long/path)"
    parts = split(f"Some words come before it {link} and after.", 64).parts
    assert any(link in part for part in parts)
    family = "👨‍👩‍👧‍👦"
    assert all(letters(part).count(family) * len(family) == len(letters(part)) for part in split(family * 40, 64).parts)
    flag = "🇩🇪"
    assert all(len(part) % 2 == 0 for part in split(flag * 80, 65).parts)


def test_thirty_thousand_characters() -> None:
    text = "\n\n".join(f"Paragraph {n}. " + "It says something of interest. " * 20 for n in range(45))
    assert len(text) > 28_000
    parts = split(text, 2000).parts
    assert letters("".join(parts)) == letters(text)
    assert len(parts) <= 20


# --- half-streamed text


@pytest.mark.parametrize(
    ("half", "shown"),
    [
        ("**bold", "**bold**"),
        ("**bold*", "**bold**"),
        ("an *open **nest", "an *open **nest***"),
        ("text **", "text"),
        ("snake_case and 2*3", "snake_case and 2*3"),
        ("run `co", "run `co`"),
        ("run `", "run"),
        ("see [lab", "see"),
        ("see [label]", "see"),
        ("see [label](https://exa", "see"),
        ("see [label](https://a.example) ok", "see [label](https://a.example) ok"),
        ("an image ![al", "an image"),
        ("fact [1", "fact"),
        ("fact [1]", "fact [1]"),
        ("fact 【1", "fact"),
        ("go to https://exa", "go to"),
        ("hello <@U12", "hello"),
        ("1 < 2", "1 < 2"),
        ("text\n```py", "text"),
        ("text\n```py\n", "text"),
        ("```py\nx = 1", "```py\nx = 1\n```"),
        ("```py\nx = 1\n``", "```py\nx = 1\n```"),
        ("```py\nx = 1\n```", "```py\nx = 1\n```"),
        ("````\n```\n", "````\n```\n````"),
        ("| a | b", ""),
        ("| a | b |\n", ""),
        ("| a | b |\n|--", ""),
        ("| a | b |\n|--|--|\n", "| a | b |\n|--|--|\n"),
        ("| a | b |\n|--|--|\n| 1 | 2 |\n| 3", "| a | b |\n|--|--|\n| 1 | 2 |"),
        ("text\n-", "text"),
        ("text\n\n2.", "text"),
        ("", ""),
    ],
)
def test_incomplete_constructs_are_closed_or_held_back(half: str, shown: str) -> None:
    assert displayable(half) == shown


@given(DOCUMENT, st.data())
@settings(max_examples=200, deadline=None)
def test_the_displayable_text_is_a_prefix_and_closing_marks(text: str, data: st.DataObject) -> None:
    half = text[: data.draw(st.integers(0, len(text)))]
    shown = displayable(half)
    same = next((n for n, (a, b) in enumerate(zip(shown, half, strict=False)) if a != b), min(len(shown), len(half)))
    assert set(shown[same:]) <= set("\n `~*_")
    assert len(half) - same < 400
    assert letters("".join(blocks(shown + "\n\nsentinel", "fence"))).count("sentinel") == 0


@given(DOCUMENT)
@settings(max_examples=50, deadline=None)
def test_a_finished_paragraph_is_shown_whole(text: str) -> None:
    assert letters(displayable(text + "\n\n")) == letters(text)


def test_code_is_found() -> None:
    text = "a `b` c\n```\nd\n```\ne"
    assert [text[start:end] for start, end in code_ranges(text)] == ["`b`", "```", "d", "```"]
