"""Counts tokens in calls of limited size, because a tokenizer needs much more memory than the text that it reads.

Does no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

CountTokens = Callable[[Sequence[str]], list[int]]
"""Returns the number of tokens of each text."""

CALL_CHARS = 64_000
"""Most characters that one call of the tokenizer reads."""
PIECE_CHARS = 16_000
"""A longer text is counted in pieces of about this length."""
MAX_TOKEN_CHARS = 200
"""A text counts as at least one token for each of these characters. Tokenizers count a word of any length that they do
not know as one token, so that a chunk could have any length."""


def limited(count: CountTokens) -> CountTokens:
    """Return a function that counts like ``count``, but passes it few characters at a time."""

    def counted(texts: Sequence[str]) -> list[int]:
        totals = [-(-len(text) // MAX_TOKEN_CHARS) for text in texts]
        found = [0] * len(texts)
        for call in _calls(texts):
            for (index, _), tokens in zip(call, count([piece for _, piece in call]), strict=True):
                found[index] += tokens
        return [max(pair) for pair in zip(totals, found, strict=True)]

    return counted


def _calls(texts: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """Yield the pieces of the texts for each call, with the index of the text that each belongs to."""
    call: list[tuple[int, str]] = []
    characters = 0
    for index, text in enumerate(texts):
        for piece in _pieces(text):
            if call and characters + len(piece) > CALL_CHARS:
                yield call
                call, characters = [], 0
            call.append((index, piece))
            characters += len(piece)
    if call:
        yield call


def _pieces(text: str) -> Iterator[str]:
    """Yield the text in pieces that end at a space if one is near."""
    start = 0
    while len(text) - start > PIECE_CHARS:
        space = text.rfind(" ", start + PIECE_CHARS // 2, start + PIECE_CHARS)
        stop = start + PIECE_CHARS if space < 0 else space
        yield text[start:stop]
        start = stop
    yield text[start:] if start else text
