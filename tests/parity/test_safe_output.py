"""Shows hostile text on Slack, Discord and the web page: no link off the allow-list, no mention, no hidden character.

The readers of what is shown are in ``tests.doubles.rendered_links``; they share no code with the bot. The examples are
the same in each run; ``benchmarks.output_fuzz`` looks for new ones.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.commands.base import Reply
from bot.engine.display.output_filter import sanitize
from bot.engine.display.urls import urls_in
from bot.platforms.discord import link_guard
from bot.platforms.discord import render as discord
from bot.platforms.slack import render as slack
from bot.platforms.web import render as web
from bot.types.display import Citation, Part
from tests.doubles import output_checks, rendered_links
from tests.doubles.hostile_markdown import ALLOWED, EVIL, FORMS, MARKS, MENTIONS, PIECES
from tests.doubles.output_checks import LINKS

SOUP = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_a_link_is_live_unless_its_address_is_allowed(form: str) -> None:
    for address in (*EVIL, *ALLOWED):
        assert output_checks.faults(form.format(address, address)) == []


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_live_at_any_split_of_the_stream(form: str) -> None:
    text = f"Word {form} end.".format(EVIL[0], EVIL[0])
    assert list(output_checks.stream_faults(text, range(len(text) + 1))) == []


@given(SOUP)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_any_text_is_safe_on_every_platform_and_sanitized_once_for_all(text: str) -> None:
    assert output_checks.faults(text) == []


@given(SOUP, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_draft_is_safe_on_every_platform(text: str, chance: object) -> None:
    end = chance.randint(0, len(text))  # type: ignore[attr-defined]
    assert list(output_checks.stream_faults(text, range(end, end + 1))) == []


@given(st.lists(st.sampled_from([*MENTIONS, *MARKS]), max_size=12).map("".join))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_nobody_is_mentioned(text: str) -> None:
    assert output_checks.faults(text) == []


CONTINUED = "|", ">", '"', "\\", "`", "<!", "<@", "|<!"
"""Characters at which the filter ends an address, and at which a client may go on."""
AMBIGUOUS_CODE = (
    "~~~{}",
    "```{}",
    "`````{}",
    "```\n```{}",
    "```\ne```{}",
    "``` {}\n```",
    "- ```\n  ````a\n{}",
    "`{}",
    "_{}_",
)


@pytest.mark.parametrize("code", AMBIGUOUS_CODE)
def test_an_allowed_address_in_ambiguous_code_is_not_linked_with_what_follows_it(code: str) -> None:
    for address in ALLOWED:
        for mark in CONTINUED:
            for rest in ("", "x", "?q=SECRET", "x`", "!", "-", "#x"):
                assert output_checks.faults(code.format(f"{address}{mark}{rest}")) == []


@pytest.mark.parametrize(
    "text",
    [
        "\0    [::]/",
        "#### ok.com/x ps://",
        "``2``#### ok.com/x ps://",
        "#### ok.com/x ``l``",
        "`http://ok.example/book_(2)|http/ok.example/book",
        "```\n```\n`http://ok.example/path?a=1&b=2<ok.example/page",
        "_data:x_http://ok.example/page",
        "http://ok.example/page![_javascript:)_",
        "T| |\n-|-\nx\n)||[::]/",
        "il.com._ht::1]/x",
        "``````](2)",
        "<br>\xa0[m]:",
        "*\xa0k.om/](",
        ":\xa0<br>",
        "l.com.1",
        "l.com.x",
        "l.com..x",
        "see evil.com.abc now",
        "```````[](http://ok.example/book_(2)",
        "```\n````[](http://ok.example/book_(2)",
        "#\n\\",
        "[[]()\\",
        "a line\\\nand another\\",
        "2| |\n-|-\n<\n=",
        "\\\rt",
        "```\n ```|[](http:)",
        "```ok.com/x\n```word [x](https://ok.example/page<https://ok.example/book_(2)>-| ``",
        "```\n```<http://ok.example/page ``p`>",
        "``````<http://ok.example/book<>",
    ],
)
def test_a_text_that_was_rendered_does_not_change_when_it_is_rendered_again(text: str) -> None:
    assert output_checks.faults(text) == []


@pytest.mark.parametrize("address", ["https:/evil.example", "http:evil.example", "https:ok"])
def test_an_address_in_angle_brackets_needs_no_slashes_to_be_disabled(address: str) -> None:
    for form in ("<{}>", "[]({})", "```\n ```[]({})", "``````<{}>", "~~~<{}>\n~~~", "`<{}>"):
        assert output_checks.faults(form.format(address)) == []


SHORT_SOUP = st.lists(
    st.sampled_from([*ALLOWED, *(form.format(one, one) for form in FORMS for one in ALLOWED), *MARKS]), max_size=6
).map("".join)


@given(SHORT_SOUP)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_allowed_addresses_between_marks_are_safe(text: str) -> None:
    assert output_checks.faults(text) == []


FENCE_IN_A_TABLE = "```[x](https://evil.example/?q=SECRET)|b\n-|-\n"
BEFORE_CODE = "[click\n```\nx](https://evil.example)\n```"


def test_the_filter_and_the_pages_parser_agree_about_a_fence_that_is_a_table_header() -> None:
    shown = sanitize(FENCE_IN_A_TABLE, LINKS)
    assert rendered_links.in_markdown(shown) == []
    assert rendered_links.on_web("".join(web.blocks(FENCE_IN_A_TABLE, links=LINKS))) == []


def test_the_page_checks_links_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "sanitize", lambda text, links: text)
    page = "".join(web.blocks(f"{FENCE_IN_A_TABLE}\n[y](https://ok.example/page)", links=LINKS))
    assert rendered_links.on_web(page) == ["https://ok.example/page"]
    assert "<code>https://evil.example/?q=SECRET</code>" in page


def test_discord_checks_links_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discord, "fitting", lambda text, *rest: (text, True))
    for text in ("7https://1.2.3.4/?q=SECRET", "[x](https://evil.example)", BEFORE_CODE, "<https://evil.example>"):
        assert rendered_links.on_discord(discord.markdown(text, LINKS)) == []
    assert rendered_links.on_discord(discord.markdown("[x](https://ok.example/page)", LINKS)) == [ALLOWED[0]]


def test_discord_does_not_link_the_end_of_a_word() -> None:
    assert sanitize("7https://1.2.3.4/?q=SECRET", LINKS) == "`7https://1.2.3.4/?q=SECRET`"


def test_a_link_that_begins_before_code_does_not_end_in_it() -> None:
    assert rendered_links.on_discord(BEFORE_CODE) == ["https://evil.example"]
    assert rendered_links.on_discord(link_guard.without_other_links(BEFORE_CODE, LINKS)) == []
    assert rendered_links.on_discord(sanitize(BEFORE_CODE, LINKS)) == []


@pytest.mark.parametrize(
    "name", ["foo](https://evil.example/x) bar", "a [b](https://evil.example)", "https://evil.example"]
)
def test_a_title_or_a_note_cannot_bring_a_link(name: str) -> None:
    source = Citation(1, "https://ok.example/page", name, name, heading=("h", name))
    part = Part("x", "n", "t", final=True, sources=(source,), notes=(name,))
    shown = discord.part(part)
    assert shown.embed is not None
    found = rendered_links.on_discord(shown.embed.description or "")
    assert rendered_links.other_links(found, frozenset()) == found
    assert all(link.startswith("https://ok.example/page") for link in found)
    assert rendered_links.on_discord(discord.part(Part("x", "n", "t", notes=(name,))).content) == []
    assert discord.plain(f"<@1> {name}").startswith("＠1")


SHOWN: dict[str, tuple[Callable[[Reply], str], Callable[[str], list[str]]]] = {
    "discord": (lambda reply: discord.reply(reply).content, rendered_links.on_discord),
    "slack": (lambda reply: slack.reply(reply)["blocks"][0]["text"], rendered_links.on_slack),
    "slack without blocks": (lambda reply: slack.plain_reply(reply)["text"], rendered_links.on_mrkdwn),
    "web": (lambda reply: "".join(web.blocks(reply.text, links=reply.links)), rendered_links.on_web),
}


@pytest.mark.parametrize("platform", SHOWN)
def test_a_reply_quotes_a_document_without_its_links(platform: str) -> None:
    show, links_of = SHOWN[platform]
    text = "**Summary so far**\nSee [this](https://evil.example) <@U1> @everyone [page](https://ok.example/page)\u202e"
    for links in (frozenset[str](), urls_in("https://ok.example/page")):
        written = show(Reply(text, links=links))
        assert set(links_of(written)) == ({"https://ok.example/page"} if links else set())
        assert rendered_links.notified(written) == rendered_links.hidden(written) == []


def test_an_allowed_link_with_another_url_in_its_query_is_kept() -> None:
    url = "https://ok.example/badge?url=https://other.example/v2.json"
    for text in (f"See {url}.", f"[x]({url})", f"<{url}>"):
        assert rendered_links.on_discord(discord.markdown(text, urls_in(url))) == [url]


@pytest.mark.parametrize("address", ALLOWED)
@pytest.mark.parametrize(
    "form", ["{}", "see {}.", "**{}**", "({})", "<{}>", "[x]({})", "[x](<{}>)", "- {}", "| {} | b |"]
)
def test_allowed_links_are_kept(address: str, form: str) -> None:
    text = form.format(address)
    shown = sanitize(text, LINKS)
    assert "`" not in shown
    assert address in shown
    part = Part(text, "n", "t", final=True, links=LINKS)
    assert f"`{address}`" not in discord.part(part).content
    assert address in slack.message(part)["blocks"][0]["text"]
    if form.startswith("[x]") and address.startswith("https"):
        assert rendered_links.on_web("".join(web.blocks(text, links=LINKS))) == [address]
        assert rendered_links.on_discord(discord.part(part).content) == [address]
