"""The output filter: a model's text has no links, images or mentions that are not allowed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.engine.display.line_filter import LineFilter
from bot.engine.display.output_filter import sanitize
from bot.engine.display.urls import urls_in
from tests.doubles import output_checks

ALLOWED = urls_in(
    "See https://ok.example/page and [the handbook](https://ok.example/book_(2)), or write to ann@ok.example.",
    "Bare: ok.example/path?a=1&b=2",
)
PIECES = [
    *"[]()<>!`\\|\n\"' x",
    "```",
    "~~~",
    "](",
    "![",
    "]:",
    "](http://evil.example)",
    "[x](http://evil.example/a)",
    "http://evil.example/a",
    "www.evil.com",
    "evil.com/x",
    "https://ok.example/page",
    "[ok](https://ok.example/page)",
    "javascript:alert(1)",
    "<b>",
    "<!channel>",
    "<@U1>",
    "@everyone",
    "\u200b",
    "\u202e",
    "- ",
    "> ",
    "    ",
    "\n\n",
    "[a]: ",
    "[a]",
    "&#58;",
]
SOUP = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
DISCORD_CODE = re.compile(
    r"\\[^0-9A-Za-z\s]|```(?:[a-z0-9_+\-.#]+?\n)?\n*[^\n][\s\S]*?\n*```|(`+)([\s\S]*?[^`])\1(?!`)", re.ASCII
)


def links(text: str) -> list[str]:
    """Return the addresses that a CommonMark parser would turn into links or load, bare ones too."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    found: list[str] = []

    def walk(tokens: list[Token]) -> None:
        for token in tokens:
            target = token.attrs.get("href") or token.attrs.get("src")
            if target is not None:
                found.append(str(target))
            if token.type == "text":
                bare = re.findall(r"(?:https?://|www\.)\S+", token.content)
                found.extend(address.rstrip(".,:;!?)]*_\"'") for address in bare)
            walk(token.children or [])

    walk(reader.parse(text))
    return found


def outside_discord_code(text: str) -> str:
    return DISCORD_CODE.sub(lambda found: " " if found.group()[0] != "\\" else found.group(), text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[page](https://ok.example/page)", "[page](https://ok.example/page)"),
        ("[page](https://OK.example/page)", "[page](https://OK.example/page)"),
        ("[book](https://ok.example/book_(2))", "[book](<https://ok.example/book_(2)>)"),
        ("at https://ok.example/page.", "at https://ok.example/page."),
        ("<https://ok.example/page>", "<https://ok.example/page>"),
        ("[`code`](https://ok.example/page)", "[`code`](https://ok.example/page)"),
        ("ask ann@ok.example", "ask ann@ok.example"),
        ("[ann](mailto:ann@ok.example)", "[ann](mailto:ann@ok.example)"),
        ("[a][b]\n\n[b]: https://ok.example/page", "[a][b]\n\n[b]: https://ok.example/page"),
        ("ok.example/path?a=1&amp;b=2", "ok.example/path?a=1&amp;b=2"),
    ],
)
def test_allowed_addresses_may_be_links(text: str, shown: str) -> None:
    assert sanitize(text, ALLOWED) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[label](https://evil.example/?q=secret)", "label (`https://evil.example/?q=secret`)"),
        ('[label](https://evil.example "title")', "label (`https://evil.example`)"),
        ("[label](<https://evil.example>)", "label (`https://evil.example`)"),
        ("[https://ok.example/page](https://evil.example)", "https://ok.example/page (`https://evil.example`)"),
        ("[x](javascript:alert(1))", "x (`javascript:alert(1)`)"),
        ("[x](//evil.example/p)", "x (`//evil.example/p`)"),
        ("see https://evil.example/a, now", "see `https://evil.example/a`, now"),
        ("see www.evil.example now", "see `www.evil.example` now"),
        ("see evil.com now, not notes.md", "see `evil.com` now, not notes.md"),
        ("see evil.zip/run", "see `evil.zip/run`"),
        ("<https://evil.example>", "`https://evil.example`"),
        ("<https://evil.example|click>", "click (`https://evil.example`)"),
        ("[a][b]\n\n[b]: https://evil.example", "[a][b]\n\n\\[b]: `https://evil.example`"),
        ("https://ok.example/page/more", "`https://ok.example/page/more`"),
        ("https://ok.example@evil.example/", "`https://ok.example@evil.example/`"),
        ("https://ok.example%2Fpage", "`https://ok.example%2Fpage`"),
        ("https://xn--80ak6aa92e.com", "`https://xn--80ak6aa92e.com`"),
        ("https&colon;//evil.example", "`https&colon;//evil.example`"),
        ("\\https://evil.example", "\\ `https://evil.example`"),
        ("bob@evil.example", "`bob@evil.example`"),
    ],
)
def test_other_addresses_become_text(text: str, shown: str) -> None:
    assert sanitize(text, ALLOWED) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![a chart](https://evil.example/i.png)", "a chart"),
        ("![a chart](https://ok.example/page)", "a chart"),
        ("![a chart][ref]", "a chart"),
        ("great![1]", "great! [1]"),
    ],
)
def test_images_become_their_alternative_text(text: str, shown: str) -> None:
    assert sanitize(text, ALLOWED) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script>", "`<script>`alert(1)`</script>`"),
        ("one<br>two<br/>three", "one two three"),
        ("a < b and c > d", "a < b and c > d"),
        ("an open <img src=x", "an open ＜img src=x"),
        ("<b><i>", "`<b>` `<i>`"),
    ],
)
def test_html_is_shown_as_text(text: str, shown: str) -> None:
    assert sanitize(text, ALLOWED) == shown


@pytest.mark.parametrize(
    "mention",
    [
        "<!channel>",
        "<!here>",
        "<!everyone>",
        "<@U123ABC>",
        "<@!42>",
        "<@&42>",
        "<!subteam^S1|ops>",
        "@everyone",
        "@here",
        "<#C123>",
        "<@U1|ann>",
        "<!date^1^{date}^https://evil.example|x>",
    ],
)
@pytest.mark.parametrize(
    "frame", ["{}", "hi {}!", "`{}`", "```\n{}\n```", "**{}**", "| {} |", "[{}](https://evil.example)"]
)
def test_mentions_never_notify_not_even_in_code(mention: str, frame: str) -> None:
    shown = sanitize(frame.format(mention), ALLOWED)
    assert not re.search(r"<[@!#]|@(?:everyone|here|channel)", shown)


def test_invisible_characters_are_removed_and_composed_ones_stay() -> None:
    assert sanitize("pay\u200bpal \u202egnp.exe\u2066 x\U000e0041\u00ad", ALLOWED) == "paypal gnp.exe x"
    assert sanitize("👨\u200d👩\u200d👧 می\u200cخواهم ✔\ufe0f", ALLOWED) == "👨\u200d👩\u200d👧 می\u200cخواهم ✔\ufe0f"
    assert sanitize("@every\u200bone", ALLOWED) == "＠everyone"


@pytest.mark.parametrize(
    "code",
    [
        "`curl https://evil.example`",
        "```sh\ncurl https://evil.example <b> [x](y)\n```",
        "1. Run\n\n   ```sh\n   curl https://evil.example\n   ```",
        "````md\n```\nnested\n```\n````",
        "~~~\ntilde\n~~~",
        "``a ` b``",
    ],
)
def test_code_is_unchanged(code: str) -> None:
    assert sanitize(code, ALLOWED) == code


@pytest.mark.parametrize(
    "text",
    [
        "```\n```\ntext\n```\n[x](http://evil.example)\n```",
        "~~~\n[x](http://evil.example)\n~~~",
        "````\n```\n[x](http://evil.example)\n````",
        "- ```\ntext [x](http://evil.example)\n```",
        "```\n[x](http://evil.example)",
        "``` a ``` [x](http://evil.example) ```b```",
        "````a```` `[x](http://evil.example)`",
        "a ` b\n`[x](http://evil.example)`",
        "| `a | [x](http://evil.example)` |\n|---|---|",
        "[a\nb](http://evil.example)",
        "[a](\nhttp://evil.example)",
        "[a]:\nhttp://evil.example\n\n[a]",
        "[a\nb]: http://evil.example\n\n[a b]",
        '`<a title="`">[x](http://evil.example)',
        "[![x](http://evil.example/i)](http://evil.example)",
        "![a\nb](http://evil.example/i)",
        "[x](http://evil.example",
        "https://ok.example/page\\.evil.example",
        "`|](http://evil.example)\\`",
        "www![.evil.com](x)",
        "<!channel>www.evil.comwww.evil.comhttp://evil.example/a",
        "a" * 600 + "://www.evil.com",
    ],
)
def test_ambiguous_markdown_is_made_safe(text: str) -> None:
    shown = sanitize(text, ALLOWED)
    assert not [link for link in links(shown) if not link.startswith("https://ok.example/page") or "evil" in link]
    assert not re.search(r"\]\(\s*<?http://evil|(?<!`)http://evil", outside_discord_code(shown))


@pytest.mark.parametrize(
    "text",
    [
        "`` `!``http://evil.example/x",
        "``x`y``http://evil.example/x",
        "```y` ```http://evil.example/x",
        "``x`y`` and [x](http://evil.example/x)",
        "See .www.evil.com, or (.evil.com).",
        "...evil.com/x",
        ".1.2.3.4/x",
        "evil.com.日本 evil.com.日本/x",
        "[x](<[2001:db8::1]/evil>)````\n```\n[2001:db8::1]/evil\n````",
    ],
)
def test_an_address_after_paired_backticks_or_a_dot_becomes_code(text: str) -> None:
    assert list(output_checks.faults(text)) == []
    assert "evil" not in str(links(sanitize(text, ALLOWED)))


def test_code_with_a_backtick_stays_where_nothing_could_be_linked() -> None:
    text = "Write ``a`b`` as in https://ok.example/page, and see notes.md or v.1.2.3."
    assert sanitize(text, ALLOWED) == text


@given(st.one_of(SOUP, st.text(max_size=200)))
@settings(max_examples=500, deadline=None)
def test_sanitizing_is_idempotent(text: str) -> None:
    once = sanitize(text, ALLOWED)
    assert sanitize(once, ALLOWED) == once


@given(SOUP)
@settings(max_examples=500, deadline=None)
def test_no_parser_finds_a_link_that_is_not_allowed(text: str) -> None:
    shown = sanitize(text, ALLOWED)
    assert all(sanitize(link, ALLOWED) == link and "evil" not in link for link in links(shown) if "://" in link)
    assert not any(link.startswith("javascript") for link in links(shown))
    assert not re.search(r"\]\(\s*<?(?:http://evil|www\.evil|evil\.com|javascript)", outside_discord_code(shown))
    assert not re.search(r"<!channel|<@U|@everyone|\u200b|\u202e", shown)


def test_addresses_are_collected() -> None:
    found = urls_in(
        "[a](https://one.example/x),[b](https://two.example/y). <https://three.example> four.com/z bo@five.org"
    )
    assert {"one.example/x", "two.example/y", "three.example", "four.com/z", "bo@five.org"} <= found
    assert sanitize("https://two.example/y", found) == "https://two.example/y"


def test_a_finished_line_is_sanitized_once_for_all_edits(monkeypatch: pytest.MonkeyPatch) -> None:
    gated: list[str] = []
    line = LineFilter.sanitize

    def counted(self: LineFilter, text: str) -> str:
        gated.append(text)
        return line(self, text)

    monkeypatch.setattr(LineFilter, "sanitize", counted)
    lines = [f"Line {n} of a draft that nobody has shown before." for n in range(20)]
    for shown in range(1, 21):
        sanitize("\n".join(lines[:shown]), frozenset())
    assert gated == lines
