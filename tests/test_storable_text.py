"""Text with NUL characters and halves of surrogate pairs, whole and in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.text.storable_text import StorableStream, storable

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=40)


@given(ANY_TEXT)
def test_storable_text_keeps_its_length_and_everything_that_can_be_stored(text: str) -> None:
    clean = storable(text)
    assert len(clean) == len(text)
    assert "\0" not in clean
    clean.encode()
    assert all(was == now or now == "\ufffd" for was, now in zip(text, clean, strict=True))


@given(st.lists(ANY_TEXT, max_size=6))
def test_pieces_are_cleaned_like_the_whole(pieces: list[str]) -> None:
    stream = StorableStream()
    text = "".join(map(stream.feed, pieces)) + stream.end()
    joined = "".join(pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert text == storable(joined)


@pytest.mark.parametrize(
    ("pieces", "clean"),
    [
        (["a\ud83d", "\ude00b"], "a😀b"),
        (["a\ud83d", "b"], "a\ufffdb"),
        (["a\ud83d"], "a\ufffd"),
        (["\ude00a"], "\ufffda"),
        (["a\0", "b"], "a\ufffdb"),
    ],
)
def test_half_of_a_pair_waits_for_the_other_half(pieces: list[str], clean: str) -> None:
    stream = StorableStream()
    assert "".join(map(stream.feed, pieces)) + stream.end() == clean
