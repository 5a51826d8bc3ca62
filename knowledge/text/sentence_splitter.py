"""Splits text into sentences. Does no I/O. Offsets are in characters of the given text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from knowledge.text import abbreviations

LEAST_CHARS, MOST_CHARS = 40, 400
"""The shortest and the longest text that ``sentence_windows`` returns."""
MIN_CAPITALS_SHARE = 0.003
"""In a text with a smaller share of capital letters, a sentence may begin with a lower-case letter."""

CAPITALS_SAMPLE_CHARS = 100_000
"""The beginning of a text that decides about its capital letters."""
SEARCH_CHARS, CONTEXT_CHARS = 100_000, 1000
"""Characters that one search for the end of a sentence reads, and those after them that a pattern may look at.

A search keeps the other threads waiting until it ends.
"""

_LINE = re.compile(r"\S[^\n]*")
_NOT_SPACE = re.compile(r"\S")
_CLOSING = r"[\"'”’“‘)\]»«]*"
_JAPANESE_OR_CHINESE = r"[\u3040-\u30ff\u3400-\u9fff]"
END_MARKS = "。！？｡।॥؟۔።။។"
"""Marks that end a sentence in scripts that have no full stop."""
_END = re.compile(
    # Armenian ends a sentence with a colon, and Greek a question with a semicolon.
    rf"(?:[.!?…]|(?<=[\u0561-\u0587]):|(?<=[\u0370-\u03ff\u1f00-\u1fff])[;\u037e]){_CLOSING}(?=\s)"
    rf"|[。！？｡](?:[」』）”])?|[।॥؟۔።။។]{_CLOSING}"
    rf"|(?<={_JAPANESE_OR_CHINESE})[!?]+[」』）”]?(?={_JAPANESE_OR_CHINESE})"
    r"|\n[ \t]*\n|\n(?=[ \t]*(?:[-*+•]|\d+[.)])[ \t])"
)
_SPACED_DOT = re.compile(rf"\.{_CLOSING}(?:\s|$)")
_UNSPACED_ENDS = f"」』）”{END_MARKS}"


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Return the sentences of ``text[start:end]`` in order, as half-open spans without surrounding white space.

    Together they cover every character that is not white space.
    """
    return list(iterate_sentence_spans(text, start, len(text) if end is None else end))


def iterate_sentence_spans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the sentences of ``text[start:end]`` as ``sentence_spans`` returns them."""
    begin, uses_capitals = start, _uses_capitals(text[start : min(end, start + CAPITALS_SAMPLE_CHARS)])
    for match in _ends(text, start, end):
        if _is_inside_sentence(text, begin, match.end(), end, uses_capitals):
            continue
        yield from _stripped(text, begin, match.end())
        begin = match.end()
    yield from _stripped(text, begin, end)


def _ends(text: str, start: int, end: int) -> Iterator[re.Match[str]]:
    """Yield the ends of sentences, found in one part of the text after the other."""
    while start < end:
        stop = start + SEARCH_CHARS
        for match in _END.finditer(text, start, min(end, stop + CONTEXT_CHARS)):
            if match.start() >= stop:
                break
            yield match
            start = match.end()
        start = max(start, stop)


def _uses_capitals(text: str) -> bool:
    return sum(map(str.isupper, text)) > MIN_CAPITALS_SHARE * len(text)


def _is_inside_sentence(text: str, begin: int, stop: int, end: int, uses_capitals: bool) -> bool:
    """Return whether the sentence continues after ``stop``: after an abbreviation, with a lower-case letter or dots."""
    if text[stop - 1] == "\n" or text[stop - 1] in _UNSPACED_ENDS:
        return False
    found = _NOT_SPACE.search(text, stop, end)
    if found is None:
        return False
    if found[0] in "¿¡":
        return False
    if _SPACED_DOT.match(text, found.start(), end) or (uses_capitals and found[0].islower()):
        return True
    return abbreviations.continues(text, begin, stop, found.start())


def _stripped(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the span without the white space around it, unless nothing is left."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end


def sentence_windows(text: str, *, least: int = LEAST_CHARS, most: int = MOST_CHARS) -> list[tuple[int, int]]:
    """Return sentences and lines of a length that one vector can represent, as half-open spans in order.

    Sentences shorter than ``least`` characters are joined with the next, and those longer than ``most`` are split at a
    space. Together the spans cover every character that is not white space.
    """
    pieces = [piece for start, end in sentence_spans(text) for piece in _lines(text, start, end) if piece[0] < piece[1]]
    joined: list[tuple[int, int]] = []
    for start, end in pieces:
        if joined and joined[-1][1] - joined[-1][0] < least:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    if len(joined) > 1 and joined[-1][1] - joined[-1][0] < least:
        _, end = joined.pop()
        joined[-1] = (joined[-1][0], end)
    return [window for start, end in joined for window in _split_long(text, start, end, most)]


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for match in _LINE.finditer(text, start, end):
        yield match.span()


def _split_long(text: str, start: int, end: int, most: int) -> Iterator[tuple[int, int]]:
    while end - start > most:
        space = text.rfind(" ", start + most // 2, start + most)
        stop = start + most if space < 0 else space
        yield start, stop
        start = stop
    yield start, end
