"""Markdown of answers in Discord's dialect: support.discord.com/hc/en-us/articles/210298617 (Markdown Text 101)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.engine.display.urls import urls_in
from bot.platforms.discord import render
from tests.doubles.discord_rules import check_message, dialect_faults, units

CASES = {
    "a link with its own address": ("see [https://x.example/a](https://x.example/a).", "see <https://x.example/a>."),
    "a link with another address": (
        "[https://y.example/b](https://x.example/a)",
        "<https://y.example/b> (<https://x.example/a>)",
    ),
    "bars": ("a || b ||| c", r"a \|| b \|\|| c"),
    "bars within words": ("a||b||c", "a| |b| |c"),
    "one pair of bars": ("a || b", "a || b"),
    "bars in code": ("`a || b` or `c || d`", "`a || b` or `c || d`"),
    "escaped bars": (r"a \|\| b || c || d", r"a \|\| b \|| c \|| d"),
    "a deep heading with bold words": ("#### **Deep** one", "**Deep one**"),
    "headings by underlining": ("Title\n=====\n\nPart\n----\ntext", "# Title\n\n## Part\ntext"),
    "small print by accident": ("-# 7 of the list", r"\-# 7 of the list"),
    "a quotation without a space": (">said\n> > again\n>>> and again", "> said\n> again\n> and again"),
    "a quotation is not in code": ("```\n>>> print(1)\n```", "```\n>>> print(1)\n```"),
    "code in a quotation": ("> > ```\n> > >>> print(1)\n> > ```", "> ```\n> >>> print(1)\n> ```"),
    "a list that code interrupts": (
        "1. one:\n   ```\n   code\n   ```\n1. two\n\n   more\n1. three",
        "1. one:\n   ```\n   code\n   ```\n2. two\n\n   more\n3. three",
    ),
    "two lists": ("5. five\n6. six\n\ntext\n\n1. one", "5. five\n6. six\n\ntext\n\n1. one"),
    "a list in a quotation": ("> 1. one\n> 1. two", "> 1. one\n> 2. two"),
    "items with a plus": ("+ a\n  + b", "- a\n  - b"),
    "a rule": ("a\n\n---\n\nb\n\n* * *", "a\n\n───\n\nb\n\n───"),
    "tasks": ("- [ ] write\n- [x] read", "- ☐ write\n- ☑ read"),
    "bold by underscores": ("__bold__, snake__case__x and `__init__`", "**bold**, snake__case__x and `__init__`"),
    "underscores in an address": ("https://x.example/__a__/b", "<https://x.example/__a__/b>"),
    "a hard break": ("a\\\nb", "a\nb"),
    "marks in a table": (
        "| who | what |\n|---|---|\n| **Ada** | [page](https://x.example/a) |\n| `B_b` | ~~x~~ _y_ 2*3*4 a_b_c |",
        "```\nwho  what\n---  --------------------------\nAda  page (https://x.example/a)\nB_b  x y 2*3*4 a_b_c\n```",
    ),
    "entities": ("R&amp;D: 1 &lt; 2 &#62; 0 &copy;&nbsp;&hellip; &unknown;", r"R&D: 1 \< 2 \> 0 © … &unknown;"),
    "entities of marks": ("&#42;not bold&#42; &lt;@123&gt; &#x1F600;", r"\*not bold\* ＜@123\> 😀"),
    "entities in code": ("`&lt;b&gt;` and\n```\n&amp;\n```", "`&lt;b&gt;` and\n```\n&amp;\n```"),
    "an entity of an entity": ("&amp;lt;", "&lt;"),
    "an entity in an address": ("https://x.example/?a=1&amp;b=2", "<https://x.example/?a=1&amp;b=2>"),
    "an entity in a cell": (
        "| a | b |\n|---|---|\n| 1 &lt; 2 | R&amp;D |",
        "```\na      b\n-----  ---\n1 < 2  R&D\n```",
    ),
    "a backtick as an entity in a cell": (
        "| a |\n|---|\n| &#96;&#96;&#96; [b](https://evil.example) |",
        "```\na\n----------------------------------------\n&#96;&#96;&#96; b (https://evil.example)\n```",
    ),
    "an empty cell": ("| a | b | c |\n|---|---|---|\n| 1 || 3 |", "```\na  b  c\n-  -  -\n1     3\n```"),
}


@pytest.mark.parametrize(("written", "shown"), CASES.values(), ids=CASES)
def test_markdown_becomes_discords(written: str, shown: str) -> None:
    assert render.markdown(written, urls_in(written)) == shown


MARKS = st.sampled_from(
    [
        *("||", "| a | b |\n", "|---|---|\n", "\n>", ">>> ", "\n1. ", "\n#### ", "**", "__", "`", "```\n", "word "),
        *("\n", "- [", "\\", "---\n", "===\n", "+ ", "-# ", "&lt;", "&#42;", "&#10;", "&amp;", "&nbsp;"),
        *("[x](https://x.example/a)", "[https://x.example/a](https://x.example/a)"),
    ]
)


@given(st.lists(MARKS, max_size=60))
@settings(max_examples=300, deadline=None)
def test_no_text_leaves_the_dialect_or_the_limit(pieces: list[str]) -> None:
    text = "".join(pieces)
    shown = render.markdown(text, urls_in(text))
    assert dialect_faults(shown) == []
    assert units(shown) <= 2000
    if shown:
        check_message({"content": shown}, files=0)


@pytest.mark.parametrize(
    "text", ["a || b " * 285, "> x\n>y\n" * 280, "[https://x.example/a](https://x.example/a) " * 45]
)
def test_a_text_at_the_limit_stays_within_it_and_in_the_dialect(text: str) -> None:
    shown = render.markdown(text[:2000], urls_in(text))
    assert units(shown) <= 2000
    assert dialect_faults(shown) == []
