"""Chunks and sentences have exact offsets for any text and every chunking method."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.chunking import METHODS, Chunking, Method, chunk, header, sentences
from knowledge.chunking.semantic import distances
from knowledge.parsing import markdown, plain_text
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.text.sentence_splitter import sentence_spans
from knowledge.types.documents import Chunk, Document

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


def chunks_of(parsed_document: Document, method: Method, tokens: int, overlap: int = 0) -> list[Chunk]:
    """Chunk the document. For ``semantic``, the vector of a sentence depends on its first letter."""
    first = [text[0] for text in sentences(parsed_document, count=count, tokens=tokens)]
    vectors = np.eye(128, dtype=np.float32)[[ord(letter) % 128 for letter in first]].reshape(-1, 128)
    return chunk(parsed_document, count=count, tokens=tokens, method=method, overlap=overlap, vectors=vectors)


def document(parsed: ParsedDocument, title: str = "Title") -> Document:
    return Document("uri", title, parsed.text, parsed.blocks)


@given(TEXTS)
def test_markdown_blocks_are_in_order(text: str) -> None:
    parsed = markdown.parse(plain_text.decode(text.encode(errors="replace")))
    at = 0
    for block in parsed.blocks:
        assert at <= block.start < block.end <= len(parsed.text)
        at = block.end


@given(TEXTS, st.integers(8, 80), st.sampled_from(METHODS), st.integers(0, 12))
def test_chunks_match_their_offsets_and_are_in_order(text: str, tokens: int, method: Method, overlap: int) -> None:
    parsed_document = document(markdown.parse(plain_text.decode(text.encode(errors="replace"))))
    begun = ended = -1
    for position, piece in enumerate(chunks_of(parsed_document, method, tokens, overlap)):
        assert piece.position == position
        assert piece.text == parsed_document.text[piece.start : piece.end] != ""
        assert begun < piece.start
        assert ended < piece.end
        if method != "fixed" or not overlap:
            assert piece.start >= ended
        elif piece.start < ended:
            assert count([parsed_document.text[piece.start : ended]])[0] <= overlap
        begun, ended = piece.start, piece.end


@given(TEXTS, st.integers(8, 80), st.sampled_from(METHODS), st.integers(0, 12))
def test_every_character_is_in_a_chunk_or_in_a_heading_above_one(
    text: str, tokens: int, method: Method, overlap: int
) -> None:
    parsed_document = document(markdown.parse(plain_text.decode(text.encode(errors="replace"))))
    pieces = chunks_of(parsed_document, method, tokens, overlap)
    covered = {place for piece in pieces for place in range(piece.start, piece.end)}
    for block in parsed_document.blocks:
        places = {place for place in range(block.start, block.end) if not parsed_document.text[place].isspace()}
        if block.kind == "heading" and not places <= covered:
            assert any(len(piece.heading) > len(block.heading) for piece in pieces if piece.start >= block.end) or any(
                piece.start <= block.start and piece.end >= block.end for piece in pieces
            )
        else:
            assert places <= covered


@given(TEXTS, st.integers(8, 80), st.sampled_from(METHODS), st.integers(0, 12))
def test_no_chunk_is_longer_than_its_limit(text: str, tokens: int, method: Method, overlap: int) -> None:
    parsed_document = document(markdown.parse(plain_text.decode(text.encode(errors="replace"))), "A title")
    for piece in chunks_of(parsed_document, method, tokens, overlap):
        front = min(count([header(parsed_document.title, piece.heading)])[0], tokens // 4)
        assert front + count([piece.text])[0] <= tokens


@given(TEXTS, st.sampled_from(METHODS))
def test_tables_and_code_that_fit_are_not_split(text: str, method: Method) -> None:
    parsed_document = document(markdown.parse(plain_text.decode(text.encode(errors="replace"))))
    pieces = chunks_of(parsed_document, method, 60)
    for block in parsed_document.blocks:
        if block.kind in ("table", "code") and count([parsed_document.text[block.start : block.end]])[0] <= 45:
            assert any(piece.start <= block.start and block.end <= piece.end for piece in pieces)


@given(TEXTS, st.integers(16, 80), st.sampled_from(METHODS))
def test_no_text_is_lost(text: str, tokens: int, method: Method) -> None:
    parsed_document = document(plain_text.parse(plain_text.decode(text.encode(errors="replace"))))
    pieces = "".join(piece.text for piece in chunks_of(parsed_document, method, tokens))
    assert re.sub(r"\s", "", pieces) == re.sub(r"\s", "", parsed_document.text)


@given(st.text())
def test_sentences_cover_everything_but_white_space(text: str) -> None:
    spans = sentence_spans(text)
    assert re.sub(r"\s", "", "".join(text[a:b] for a, b in spans)) == re.sub(r"\s", "", text)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


def test_abbreviations_and_decimals_do_not_end_sentences() -> None:
    text = "Dr. Smith paid 3.5 dollars, e.g. for tea. Was it good? Yes!"
    assert [text[a:b] for a, b in sentence_spans(text)] == [
        "Dr. Smith paid 3.5 dollars, e.g. for tea.",
        "Was it good?",
        "Yes!",
    ]


def test_sentences_of_lower_case_text_end_at_periods() -> None:
    small = "we shipped it, e.g. to rome. nobody complained. was it late? it was 3.5 days late."
    assert [small[a:b] for a, b in sentence_spans(small)] == [
        "we shipped it, e.g. to rome.",
        "nobody complained.",
        "was it late?",
        "it was 3.5 days late.",
    ]
    capital = "We shipped it by appt. and nobody complained."
    assert sentence_spans(capital) == [(0, len(capital))]


def test_chunk_and_header_fit_the_token_limit() -> None:
    text = "# Guide\n\n## Install\n\n" + " ".join(f"Step {n} does a thing." for n in range(60))
    parsed_document = document(markdown.parse(text), "Guide")
    pieces = chunk(parsed_document, count=count, tokens=40)
    assert len(pieces) > 5
    for piece in pieces:
        assert count([header("Guide", piece.heading) + "\n" + piece.text])[0] <= 40
        assert piece.heading == ("Guide", "Install")


def test_small_sections_are_joined_and_large_ones_are_not() -> None:
    small = "# T\n\n## A\n\nOne.\n\n## B\n\nTwo."
    assert [piece.heading for piece in chunk(document(markdown.parse(small)), count=count, tokens=80)] == [("T",)]
    long = " ".join(["Word."] * 30)
    apart = f"# T\n\n## A\n\n{long}\n\n## B\n\n{long}"
    assert [piece.heading for piece in chunk(document(markdown.parse(apart)), count=count, tokens=100)] == [
        ("T", "A"),
        ("T", "B"),
    ]


def test_table_that_does_not_fit_is_split_at_rows() -> None:
    builder = Builder()
    builder.table([["name", "value"], *([f"n{n}", str(n)] for n in range(20))])
    parsed_document = document(builder.build())
    assert len(chunk(parsed_document, count=count, tokens=500)) == 1
    pieces = chunk(parsed_document, count=count, tokens=60)
    assert len(pieces) > 1
    assert all(line.startswith("|") and line.endswith("|") for piece in pieces for line in piece.text.split("\n"))


def test_header_omits_repeated_parts() -> None:
    assert header("Guide", ("guide", "Install", "Install", "Linux")) == "Guide > Install > Linux"


def test_fixed_chunks_are_full_and_overlap() -> None:
    parsed_document = document(plain_text.parse(" ".join(f"w{n:03}" for n in range(100))), "")
    pieces = chunks_of(parsed_document, "fixed", 20, 5)
    assert all(count([piece.text]) == [20] for piece in pieces[:-1])
    assert [piece.text.split()[0] for piece in pieces[:3]] == ["w000", "w015", "w030"]
    assert pieces[0].text.split()[-5:] == pieces[1].text.split()[:5]


@pytest.mark.parametrize("tokens", range(26, 40))
def test_overlap_counts_a_heading_that_is_repeated(tokens: int) -> None:
    text = "\n\n".join(["# One", "a " * 12, "# A heading of many words in it", "b " * 6, "# Three", "c " * 12])
    parsed_document = document(markdown.parse(text), "")
    pieces = chunks_of(parsed_document, "fixed", tokens, 6)
    for one, other in pairwise(pieces):
        assert count([parsed_document.text[other.start : max(one.end, other.start)]])[0] <= 6


def test_overlap_does_not_repeat_a_table() -> None:
    text = "one two three\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n" + " ".join(["word"] * 40)
    parsed_document = document(markdown.parse(text), "")
    pieces = chunks_of(parsed_document, "fixed", 24, 20)
    assert len([piece for piece in pieces if "| 1 | 2 |" in piece.text]) == 1


def test_sentence_window_has_three_sentences_on_each_side() -> None:
    text = "# T\n\n" + " ".join(f"Sentence {n}." for n in range(9))
    parsed_document = document(markdown.parse(text), "T")
    pieces = chunks_of(parsed_document, "sentence-window", 60)
    assert [piece.text for piece in pieces] == [f"Sentence {n}." for n in range(9)]
    read = [parsed_document.text[piece.window[0] : piece.window[1]] for piece in pieces if piece.window]
    assert read[4] == " ".join(f"Sentence {n}." for n in range(1, 8))
    assert read[0] == " ".join(f"Sentence {n}." for n in range(4))
    assert read[8] == " ".join(f"Sentence {n}." for n in range(5, 9))
    assert all(piece.window is None for piece in chunks_of(parsed_document, "packed", 60))


def test_semantic_chunks_end_where_the_subject_changes() -> None:
    subjects = ["Apples are red."] * 9 + ["Bread is baked."] * 9 + ["Clouds are grey."] * 9
    parsed_document = document(plain_text.parse(" ".join(subjects)), "")
    pieces = chunks_of(parsed_document, "semantic", 60)
    assert [set(re.findall(r"Apples|Bread|Clouds", piece.text)) for piece in pieces] == [
        {"Apples"},
        {"Bread"},
        {"Clouds"},
    ]
    assert any({"Apples", "Bread"} <= set(piece.text.split()) for piece in chunks_of(parsed_document, "packed", 60))


def test_distance_compares_both_sides_of_a_boundary() -> None:
    one, other = np.eye(2, dtype=np.float32)
    found = distances(np.stack([one, one, one, other, other, other]))
    assert found[0] == 0
    assert found.argmax() == 3
    assert found[3] == pytest.approx(1)
    assert found[1] == pytest.approx(1 - 2 / np.sqrt(5))


def test_heading_without_content_below_it_is_a_chunk() -> None:
    parsed_document = document(markdown.parse("# T\n\nText.\n\n## Nothing here\n\n## More\n\nOther."), "T")
    pieces = chunks_of(parsed_document, "sentence-window", 60)
    assert [piece.text for piece in pieces] == ["Text.", "## Nothing here", "Other."]


def test_headings_between_joined_sections_count_toward_the_limit() -> None:
    text = "# T\n\n" + "\n\n".join(f"## A long heading of section {n}\n\nOne." for n in range(12))
    parsed_document = document(markdown.parse(text), "T")
    assert all(count([piece.text])[0] <= 40 for piece in chunks_of(parsed_document, "packed", 40))


def test_recipe_depends_on_every_setting_that_moves_chunk_boundaries() -> None:
    recipes = {
        Chunking(method, tokens, overlap).recipe(model)
        for method in METHODS
        for tokens in (128, 256)
        for overlap in (0, 32)
        for model in ("a", "b")
    }
    assert len(recipes) == 2 * (1 + 1 + 2 + 2)
