"""Reply parts and command replies as valid Slack blocks without mentions."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands.base import Reply, Table
from bot.engine.display.split import rendered
from bot.engine.display.urls import urls_in
from bot.platforms.slack import modals, render, text_limits
from bot.platforms.slack.surface import LIMITS
from bot.types.display import Action, Citation, Part
from tests.doubles import slack_blocks
from tests.doubles.slack_world import mentions_in

ACTIONS: tuple[Action, ...] = ("sources", "why", "up", "down", "again", "strong")


def part(text: str, *sources: Citation, notes: tuple[str, ...] = ()) -> Part:
    return Part(text, "n-0", "turn-1", True, sources, notes, ACTIONS)


HOSTILE = st.text(alphabet=st.sampled_from("<>&!@#|*_~`^ abU0\n…😀subteamchannel"), max_size=400)
CITATIONS = st.builds(
    Citation,
    n=st.integers(1, 99),
    source=st.one_of(HOSTILE, HOSTILE.map(lambda text: "https://a.example/" + text)),
    title=HOSTILE,
    quote=HOSTILE,
    heading=st.lists(HOSTILE, max_size=3).map(tuple),
    page=st.one_of(st.none(), st.integers(1, 999)),
)


@given(HOSTILE, st.lists(CITATIONS, max_size=15), st.lists(HOSTILE, max_size=3))
def test_any_model_output_is_a_valid_message_without_mentions(
    text: str, cited: list[Citation], notes: list[str]
) -> None:
    shown = render.message(part(text, *cited, notes=tuple(notes)))
    assert slack_blocks.faults(shown["blocks"]) == []
    assert shown["text"].strip()
    assert mentions_in("\n".join([shown["text"], *slack_blocks.texts(shown["blocks"])])) == []


def test_a_part_of_the_maximum_length_fits() -> None:
    text = "<!channel> " * (LIMITS.message_chars // 11)
    shown = render.message(part(text))
    assert slack_blocks.markdown_chars(shown["blocks"]) <= 12_000
    assert len(shown["text"]) <= 4000


@pytest.mark.parametrize("piece", ["R&D <b> ", "🚀", "Ölgröße ", "a"])
def test_a_full_message_fits_however_slack_counts_its_characters(piece: str) -> None:
    (text, *_) = rendered(piece * LIMITS.message_chars, LIMITS, frozenset()).parts
    heading, title, quote = piece * 300, piece * 600, piece * 900
    source = f"https://a.example/{'x' * 1500}"
    cited = [Citation(n, source, title, quote, heading=(heading, piece * 400)) for n in range(1, 13)]
    shown = render.message(part(text, *cited, notes=(piece * 2_000,)))
    assert slack_blocks.faults(shown["blocks"]) == []
    assert slack_blocks.markdown_chars(shown["blocks"]) <= 12_000
    assert slack_blocks.message_units(shown["blocks"]) <= 13_200
    assert len(shown["text"]) <= 4000
    few = render.message(part("Short.", *cited[:3]))
    assert slack_blocks.faults(few["blocks"]) == []
    assert len(few["blocks"]) == 5, "sources are shown where there is room"


@pytest.mark.parametrize("piece", ["R&D <b> ", "🚀", "a"])
def test_a_command_reply_fits_however_slack_counts_its_characters(piece: str) -> None:
    answer = Reply(piece * 13_000, Table(("a", "b"), [(piece * 400, piece * 30) for _ in range(50)]))
    for reply in (answer, replace(answer, text="Short."), replace(answer, table=None)):
        shown = render.reply(reply)
        assert slack_blocks.faults(shown["blocks"]) == []
        assert slack_blocks.markdown_chars(shown["blocks"]) <= 12_000
        assert slack_blocks.message_units(shown["blocks"]) <= 13_200
        assert slack_blocks.units(render.plain_reply(reply)["text"]) <= 3_000
        assert [file.name for file in render.files(reply)] != []


def test_a_link_that_is_too_long_opens_the_top_of_the_page_or_is_left_out() -> None:
    heading = "Рабочее время " * 30
    for length, start in ((1_000, "<https://a.example/"), (4_000, "Title")):
        cited = Citation(1, f"https://a.example/{'x' * length}", "Title", "words " * 50, heading=("Title", heading))
        (block,) = render.sources([cited])
        (element,) = block["elements"]
        assert element["text"].removeprefix("*[1]* ").startswith(start)
        assert ":~:" not in element["text"]
        assert slack_blocks.faults([block]) == []


@pytest.mark.parametrize("piece", ["Größe & Maß <", "Рабочее", "🚀", '"quoted"\n', "plain "])
def test_the_modal_about_a_message_holds_as_much_of_it_as_fits(piece: str) -> None:
    said = piece * 3_000
    view = modals.about_view("about", {"channel": "C1", "url": "https://hooks.example/1", "said": said})
    assert slack_blocks.view_faults(view) == []
    about = json.loads(view["private_metadata"])
    assert (about["channel"], about["url"]) == ("C1", "https://hooks.example/1")
    assert said.startswith(about["said"].removesuffix("…").rstrip())
    assert slack_blocks.escaped_units(view["private_metadata"]) > 2_900


def test_a_plain_reply_shows_cells_without_mentions_and_links() -> None:
    rows = [("*bold* <!channel>", "https://evil.example/x")]
    text = render.plain_reply(Reply("Documents", Table(("title", "source"), rows)))["text"]
    assert "bold" in text
    assert "https://evil.example" not in text
    assert mentions_in(text) == []


def test_markdown_is_sent_unchanged() -> None:
    text = "# Title\n\n> quoted\n\n`a < b` and <https://a.example> &amp; **bold**"
    shown = render.message(replace(part(text), links=urls_in(text)))
    assert shown["blocks"][0] == {"type": "markdown", "text": text}


def test_a_source_shows_title_heading_page_and_quote() -> None:
    cited = Citation(2, "handbook/leave.md", "Leave & more", "30 *days*", heading=("A", "B", "C"), page=3)
    (block,) = render.sources([cited])
    text = block["elements"][0]["text"].replace("\u2060", "")
    assert text == "*[2]* Leave &amp; more › B › C › page 3\n“30 *days*”"


def test_a_link_cannot_be_broken_out_of() -> None:
    cited = Citation(1, "https://a.example/x|y>z", "a|b>c", "")
    text = render.sources([cited])[0]["elements"][0]["text"]
    assert text == "*[1]* <https://a.example/x%7Cy%3Ez|a¦b&gt;c>"


def test_a_long_list_of_sources_is_truncated() -> None:
    blocks = render.sources([Citation(n, "s", f"t{n}", "q") for n in range(1, 14)])
    assert len(blocks) == 11
    assert blocks[-1]["elements"][0]["text"] == "and 3 more sources"


def test_a_table_keeps_within_slacks_limits() -> None:
    columns = tuple(f"c{index}" for index in range(25))
    rows = [tuple(range(25)) for _ in range(300)]
    shown = render.reply(Reply("Costs", Table(columns, rows)))
    assert slack_blocks.faults(shown["blocks"]) == []
    table = shown["blocks"][1]
    assert len(table["rows"][0]) == 20
    assert shown["blocks"][2]["elements"][0]["text"].startswith(f"{300 - len(table['rows']) + 1} more rows")


def test_a_table_of_long_cells_is_truncated_by_characters() -> None:
    shown = render.reply(Reply("", Table(("a",), [("x" * 3000,), ("y" * 6000,), ("z" * 3000,)])))
    assert slack_blocks.faults(shown["blocks"]) == []
    assert len(shown["blocks"][0]["rows"]) == 3


def test_cells_show_numbers_and_gaps() -> None:
    shown = render.table(("who", "tokens"), [("bob", 12_345), ("ada", None)])
    assert [[cell["text"] for cell in row] for row in shown["rows"]] == [
        ["who", "tokens"],
        ["bob", "12,345"],
        ["ada", "–"],
    ]
    assert [column["align"] for column in shown["column_settings"]] == ["left", "right"]


def test_the_reason_modal_is_valid() -> None:
    assert slack_blocks.view_faults(modals.reason_view("turn-1", "C1", "1.0")) == []


def test_a_text_is_never_cut_inside_an_address() -> None:
    """Slack would link what is left of it, which may name another host."""
    address = "https://ok.example/page"
    for limit in range(6, 40):
        cut = text_limits.mrkdwn(f"See here {address} and there", limit)
        assert len(cut) <= limit
        assert "://" not in cut or address in cut.removesuffix("…").split(" "), cut
    assert text_limits.mrkdwn(address, 10) == "…"
    assert text_limits.mrkdwn(f"See {address}", 100) == f"See {address}"


def test_a_notification_shows_no_markdown() -> None:
    shown = render.fallback("## Hotels\n\n**220 EUR** a [night](https://ok.example), `always`", frozenset())
    assert "Hotels" in shown
    assert "220 EUR" in shown
    assert not set("*#`[") & set(shown)
