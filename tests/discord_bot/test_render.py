"""Renders parts and replies: Discord's limits hold for any text, and links never show previews."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.commands.base import File, Reply, Table
from bot.engine.display.split import rendered
from bot.engine.display.urls import urls_in
from bot.platforms.discord import autocomplete, code_block_tables, render, text_limits
from bot.platforms.discord.render import NONCE_CHARS, short_nonce
from bot.platforms.discord.surface import LIMITS
from bot.types.display import Action, Citation, Part
from tests.doubles.discord_rules import check_choices, check_message, policy_violations, units
from tests.engine.test_markdown import DOCUMENT, SOUP

ALL: tuple[Action, ...] = ("stop", "sources", "why", "up", "down", "again", "strong")
PIECES = st.sampled_from(
    [
        "word ",
        "https://a.example/b ",
        "[x](https://c.example/d) ",
        "`https://e.example` ",
        "\n",
        "| a | b |\n",
        "|---|\n",
        "🚀 ",
        "👩‍🔬",
    ]
)


def part(text: str, **others: object) -> Part:
    return Part(text=text, nonce="n", turn_id="t" * 36, **others)  # type: ignore[arg-type]


def payload(shown: render.Shown) -> dict[str, object]:
    embeds = [shown.embed.to_dict()] if shown.embed else []
    return {"content": shown.content, "embeds": embeds, "allowed_mentions": {"parse": []}}


@given(st.lists(PIECES, max_size=150))
def test_any_text_within_the_limit_fits_discord_and_shows_no_link_preview(pieces: list[str]) -> None:
    text = text_limits.cut("".join(pieces), LIMITS.message_chars)
    body = payload(render.part(part(text, notes=("a note " * 30,))))
    check_message(body, files=0)
    assert policy_violations(body) == []


@pytest.mark.parametrize("piece", ["🚀", "a*", "Größe "])
def test_every_kind_of_text_keeps_within_discords_limits(piece: str) -> None:
    cited = [Citation(n, "https://a.example/x", piece * 99, piece * 300, heading=(piece * 99,)) for n in range(1, 30)]
    (text, *_) = rendered(piece * 2_000, LIMITS, frozenset())[0]
    shown = render.part(part(text, sources=tuple(cited), notes=(piece * 3_000,), final=True))
    check_message(payload(shown), files=0)
    check_message(payload(render.without_embed(shown)), files=0)
    check_message(payload(render.part(part("Short.", notes=(piece * 3_000,)))), files=0)
    table = Table(("a", "b"), [(piece * 30, piece * 30) for _ in range(40)])
    for reply in (Reply(piece * 3_000, table), Reply("Short.", table)):
        answer = render.reply(reply)
        check_message(payload(answer), files=len(answer.files))
    assert units(render.thread_name(piece * 200)) <= 100
    check_choices(
        [{"name": name, "value": value} for name, value in autocomplete.within_limits([(piece * 99, "value")])]
    )


ALLOWED = frozenset({"https://a.example/b", "https://c.example/d"})


def messages(text: str) -> list[str]:
    """Return an answer split into messages, before they are rendered for Discord."""
    return rendered(text, replace(LIMITS, max_parts=200), ALLOWED).parts


@given(st.one_of(DOCUMENT, SOUP, st.tuples(DOCUMENT, st.lists(PIECES).map("".join)).map("".join)))
@settings(max_examples=150, deadline=None)
def test_no_word_of_an_answer_is_lost(text: str) -> None:
    for one in messages(text):
        body = payload(render.part(part(one)))
        check_message(body, files=0)
        assert policy_violations(body) == []
        # Items of a list may get another number: Discord counts them anew after a code block.
        without_numbers = re.sub(r"(?m)^[\s>]*\d{1,9}(?=[.)])", "", one)
        missing = Counter(filter(str.isalnum, without_numbers)) - Counter(filter(str.isalnum, str(body["content"])))
        assert not missing, "in a table the words of a row may change their order"


@given(DOCUMENT)
@settings(max_examples=100, deadline=None)
def test_every_code_fence_becomes_three_backticks(text: str) -> None:
    for one in messages(text):
        content = render.part(part(one)).content
        assert "~~~" not in content
        assert content.count("```") % 2 == 0


def test_a_fence_around_three_backticks_is_kept() -> None:
    written = "````md\n```\nx\n```\n````"
    assert render.markdown(written) == written
    assert render.markdown("> ~~~~sh\n> ls\n> ~~~~\nthen") == "> ```sh\n> ls\n> ```\nthen"


def test_a_line_with_a_pipe_before_a_list_is_not_a_table() -> None:
    written = "Write a | b, or:\n- one\n- two"
    assert render.markdown(written) == written


def test_long_cells_wrap_and_extra_cells_are_kept() -> None:
    long = "the whole team may take up to thirty days of paid leave a year"
    shown = render.markdown(f"| Who | What |\n|---|---|\n| all | {long} |\n| Ada | more | much more |")
    assert shown.split("\n")[3:-1] == [
        "all  the whole team may take up to thirty",
        "     days of paid leave a year",
        "Ada  more | much more",
    ]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("see https://a.example/x.", "see <https://a.example/x>."),
        ("see [the page](https://a.example/x)", "see [the page](<https://a.example/x>)"),
        ("see <https://a.example/x>", "see <https://a.example/x>"),
        ("(https://en.example/wiki/A_(b))", "(<https://en.example/wiki/A_(b)>)"),
        ("`curl https://a.example`", "`curl https://a.example`"),
        ("```\nhttps://a.example\n```", "```\nhttps://a.example\n```"),
    ],
)
def test_links_are_bracketed_outside_code(written: str, shown: str) -> None:
    assert render.suppress_link_previews(written) == shown


def test_a_link_without_space_for_brackets_becomes_plain_text() -> None:
    assert render.suppress_link_previews("https://a.example", limit=len("https://a.example")) == "a.example"


def test_deep_headings_become_bold_and_shallow_ones_stay() -> None:
    assert render.markdown("## Leave\n#### Paid ##\ntext") == "## Leave\n**Paid**\ntext"


def test_a_deep_heading_with_code_becomes_bold_as_a_whole() -> None:
    assert render.markdown("#### Set `A` to 1 ##\ntext") == "**Set `A` to 1**\ntext"
    assert render.markdown("```\n#### no heading\n```") == "```\n#### no heading\n```"


@pytest.mark.parametrize(
    "quoted", ["»{}«", "«{}»", "„{}“", "“{}”", "‘{}’", "‹{}›", "「{}」", "{}。", "{}…", "({})", "[{}]"]
)
def test_a_mark_after_a_link_is_not_part_of_it(quoted: str) -> None:
    written = quoted.format("https://a.example/x")
    assert render.markdown(written, urls_in(written)) == quoted.format("<https://a.example/x>")


def test_a_pipe_table_becomes_an_aligned_code_block() -> None:
    shown = render.markdown("Plans:\n\n| Plan | Price |\n|:--|--:|\n| Small | 10 |\n| Large one | 200 |\n\nDone.")
    assert shown == ("Plans:\n\n```\nPlan       Price\n---------  -----\nSmall      10\nLarge one  200\n```\n\nDone.")


def test_a_table_in_a_code_fence_stays_as_it_is() -> None:
    text = "```\n| a | b |\n|---|---|\n```"
    assert render.markdown(text) == text


def test_numbers_are_right_aligned_and_wide_characters_count_double() -> None:
    shown = code_block_tables.block(("who", "tokens"), [("日本", 1200), ("Ada", 7)])
    assert shown.split("\n")[1:-1] == ["who   tokens", "----  ------", "日本   1,200", "Ada        7"]


def test_sources_are_shown_in_an_embed_with_escaped_quotes() -> None:
    citation = Citation(1, "https://h.example/leave", "Leave", "30 *days* a year", heading=("Leave", "Paid"), page=3)
    shown = render.part(part("Thirty days [1].", sources=(citation,), notes=("cheap model", "from cache")))
    assert shown.embed is not None
    assert shown.embed.description == (
        "**[1]** [Leave](<https://h.example/leave#page=3>) · Paid, p. 3\n> 30 \\*days\\* a year"
    )
    assert shown.embed.footer.text == "cheap model · from cache"


def test_sources_without_a_url_are_shown_by_title_only() -> None:
    embed = render.sources((Citation(2, "handbook/leave.md", "Leave", ""),))
    assert embed.description == "**[2]** Leave"


def test_more_sources_than_fit_are_counted() -> None:
    many = tuple(Citation(n, "file.md", "T" * 300, "q" * 900) for n in range(1, 31))
    embed = render.sources(many)
    check_message({"embeds": [embed.to_dict()]}, files=0)
    kept = re.findall(r"\*\*\[(\d+)\]\*\*", embed.description or "")
    assert kept == [str(n) for n in range(1, len(kept) + 1)]
    assert (embed.description or "").endswith(f"... and {30 - len(kept)} more")


def test_notes_without_sources_are_small_print() -> None:
    assert render.part(part("Answer", notes=("quoted, not written",))).content == "Answer\n-# quoted, not written"


def test_button_ids_hold_the_turn() -> None:
    buttons = render.part(part("x", actions=ALL)).buttons
    assert [render.parse_custom_id(button.custom_id) for button in buttons] == [(action, "t" * 36) for action in ALL]
    assert render.parse_custom_id("somebody:else") is None
    assert all(len(button.custom_id) <= 100 for button in buttons)


async def test_six_buttons_fit_into_rows() -> None:
    view = render.view(render.part(part("x", actions=ALL)).buttons)
    assert view is not None
    check_message({"content": "x", "components": view.to_components()}, files=0)


def test_a_reply_with_table_and_file() -> None:
    reply = Reply("Costs", table=Table(("who", "usd"), [("Ada", 1.5)]), file=File("c.png", b"png", "image/png"))
    shown = render.reply(reply)
    assert shown.content.startswith("Costs\n```\nwho  usd")
    assert [file.name for file in shown.files] == ["c.png"]


def test_a_table_that_does_not_fit_is_attached_in_full() -> None:
    rows = [(f"person {number}", number) for number in range(500)]
    shown = render.reply(Reply("Costs", table=Table(("who", "tokens"), rows)))
    assert len(shown.content) <= 2000
    (file,) = shown.files
    assert file.name == "table.csv"
    assert file.data.decode().splitlines()[-1] == '"person 499",499'
    shown_rows = shown.content.count("\nperson ")
    assert shown.content.endswith(f"{500 - shown_rows} of 500 rows are left out here. table.csv has all of them.")


@pytest.mark.parametrize("words", [378, 399])
@pytest.mark.parametrize("name", ["costs.csv", "table.csv"])
def test_a_table_without_room_for_a_row_says_how_many_are_left_out(name: str, words: int) -> None:
    file = File(name, b"x", "text/csv")
    shown = render.reply(Reply("word " * words, table=Table(("who",), [("x" * 39,)] * 3), file=file))
    assert len(shown.content) <= 2000
    assert shown.content.endswith(f"3 of 3 rows are left out here. {name} has all of them.")
    assert [one.name for one in shown.files] == [name, *(["reply.md"] if words == 399 else [])]


def test_a_text_that_does_not_fit_is_attached_in_full_and_its_fence_is_closed() -> None:
    text = "intro\n```python\n" + "print('hello')\n" * 300 + "```"
    shown = render.reply(Reply(text))
    assert len(shown.content) <= 2000
    assert shown.content.count("```") % 2 == 0
    assert shown.files[0].data.decode() == text


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("how many days?", "how many days?"),
        ("**how** many\n\ndays `off`?", "how many days off?"),
        ("***", "Question"),
        ("word " * 40, "word " * 14 + "word…"),
    ],
)
def test_thread_names(question: str, name: str) -> None:
    assert render.thread_name(question) == name
    assert 1 <= len(render.thread_name(question)) <= 100


def test_nonces_fit() -> None:
    assert short_nonce("short") == "short"
    long = short_nonce("a" * 40)
    assert len(long) <= NONCE_CHARS
    assert long == short_nonce("a" * 40) != short_nonce("b" * 40)
