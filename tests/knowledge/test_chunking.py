"""Chunks and sentences: exact places in the text, whatever the text is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from knowledge.chunking import chunk, header
from knowledge.parsing import markdown, plain
from knowledge.parsing.builder import Builder, Parsed
from knowledge.sentences import sentence_spans
from knowledge.types import Document

TEXTS = st.lists(
    st.sampled_from(
        [
            "# One",
            "## Two",
            "A sentence. Another one!",
            "- item\n- more",
            "```\ncode()\n```",
            "| a | b |\n|---|---|\n| 1 | 2 |",
            *(
                "Ü 漢字。次の文。",
                "x" * 300,
                "   ",
                "> quoted",
                "e.g. this, i.e. that. Mr. X came.",
                "1. first\n2. second",
            ),
        ]
    )
    | st.text(max_size=80),
    max_size=12,
).map("\n\n".join)


def count(texts: Sequence[str]) -> list[int]:
    return [len(re.findall(r"\w{1,4}|[^\w\s]", text)) for text in texts]


def document(parsed: Parsed, title: str = "Title") -> Document:
    return Document("uri", title, parsed.text, parsed.blocks)


@given(TEXTS)
def test_markdown_blocks_lie_in_order(text: str) -> None:
    parsed = markdown.parse(plain.decode(text.encode(errors="replace")))
    at = 0
    for block in parsed.blocks:
        assert at <= block.start < block.end <= len(parsed.text)
        at = block.end


@given(TEXTS, st.integers(8, 80))
def test_chunks_are_exact_pieces_in_order(text: str, tokens: int) -> None:
    parsed = markdown.parse(plain.decode(text.encode(errors="replace")))
    whole = document(parsed)
    at = 0
    for position, piece in enumerate(chunk(whole, count=count, tokens=tokens)):
        assert piece.position == position
        assert piece.text == whole.text[piece.start : piece.end] != ""
        assert piece.start >= at
        at = piece.end


@given(TEXTS, st.integers(16, 80))
def test_no_word_outside_headings_is_lost(text: str, tokens: int) -> None:
    whole = document(plain.parse(plain.decode(text.encode(errors="replace"))))
    pieces = "".join(piece.text for piece in chunk(whole, count=count, tokens=tokens))
    assert re.sub(r"\s", "", pieces) == re.sub(r"\s", "", whole.text)


@given(st.text())
def test_sentences_cover_everything_but_white_space(text: str) -> None:
    spans = sentence_spans(text)
    assert re.sub(r"\s", "", "".join(text[a:b] for a, b in spans)) == re.sub(r"\s", "", text)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


def test_sentences_end_where_people_end_them() -> None:
    text = "Dr. Smith paid 3.5 dollars, e.g. for tea. Was it good? Yes!"
    assert [text[a:b] for a, b in sentence_spans(text)] == [
        "Dr. Smith paid 3.5 dollars, e.g. for tea.",
        "Was it good?",
        "Yes!",
    ]


def test_chunks_fit_with_their_header() -> None:
    text = "# Guide\n\n## Install\n\n" + " ".join(f"Step {n} does a thing." for n in range(60))
    whole = document(markdown.parse(text), "Guide")
    pieces = chunk(whole, count=count, tokens=40)
    assert len(pieces) > 5
    for piece in pieces:
        assert count([header("Guide", piece.heading) + "\n" + piece.text])[0] <= 40
        assert piece.heading == ("Guide", "Install")


def test_small_sections_are_joined_and_large_ones_stay_apart() -> None:
    small = "# T\n\n## A\n\nOne.\n\n## B\n\nTwo."
    assert [piece.heading for piece in chunk(document(markdown.parse(small)), count=count, tokens=80)] == [("T",)]
    long = " ".join(["Word."] * 30)
    apart = f"# T\n\n## A\n\n{long}\n\n## B\n\n{long}"
    assert [piece.heading for piece in chunk(document(markdown.parse(apart)), count=count, tokens=100)] == [
        ("T", "A"),
        ("T", "B"),
    ]


def test_a_table_stays_whole_where_it_fits_and_is_cut_at_rows_where_not() -> None:
    builder = Builder()
    builder.table([["name", "value"], *([f"n{n}", str(n)] for n in range(20))])
    whole = document(builder.build())
    assert len(chunk(whole, count=count, tokens=500)) == 1
    pieces = chunk(whole, count=count, tokens=60)
    assert len(pieces) > 1
    assert all(line.startswith("|") and line.endswith("|") for piece in pieces for line in piece.text.split("\n"))


def test_a_header_says_nothing_twice() -> None:
    assert header("Guide", ("guide", "Install", "Install", "Linux")) == "Guide > Install > Linux"
