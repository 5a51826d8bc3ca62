"""Reply parts and command replies as valid Slack blocks without mentions."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bot.commands.base import Reply, Table
from bot.engine.display.output_filter import urls_in
from bot.platforms.slack import modals, render
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
    rendered = render.message(part(text, *cited, notes=tuple(notes)))
    assert slack_blocks.faults(rendered["blocks"]) == []
    assert rendered["text"].strip()
    assert mentions_in("\n".join([rendered["text"], *slack_blocks.texts(rendered["blocks"])])) == []


def test_a_part_of_the_maximum_length_fits() -> None:
    text = "<!channel> " * (LIMITS.message_chars // 11)
    rendered = render.message(part(text))
    assert slack_blocks.markdown_chars(rendered["blocks"]) <= 12_000
    assert len(rendered["text"]) <= 4000


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
    rendered = render.reply(Reply("Costs", Table(columns, rows)))
    assert slack_blocks.faults(rendered["blocks"]) == []
    table = rendered["blocks"][1]
    assert len(table["rows"][0]) == 20
    assert rendered["blocks"][2]["elements"][0]["text"].startswith(f"{300 - len(table['rows']) + 1} more rows")


def test_a_table_of_long_cells_is_truncated_by_characters() -> None:
    rendered = render.reply(Reply("", Table(("a",), [("x" * 3000,), ("y" * 6000,), ("z" * 3000,)])))
    assert slack_blocks.faults(rendered["blocks"]) == []
    assert len(rendered["blocks"][0]["rows"]) == 3


def test_cells_show_numbers_and_gaps() -> None:
    rendered = render.table(("who", "tokens"), [("bob", 12_345), ("ada", None)])
    assert [[cell["text"] for cell in row] for row in rendered["rows"]] == [
        ["who", "tokens"],
        ["bob", "12,345"],
        ["ada", "–"],
    ]
    assert [column["align"] for column in rendered["column_settings"]] == ["left", "right"]


def test_the_reason_modal_is_valid() -> None:
    assert slack_blocks.view_faults(modals.reason_view("turn-1", "C1", "1.0")) == []
