"""Where sentences end. Pure; offsets in characters of the given text."""

from __future__ import annotations

import re

_END = re.compile(r"[.!?…][\"'”’)\]»]*(?=\s)|[。！？](?:[」』）])?|\n[ \t]*\n|\n(?=[ \t]*(?:[-*+•]|\d+[.)])[ \t])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:[A-Za-z]|mr|mrs|ms|dr|prof|sr|jr|st|vs|etc|e\.g|i\.e|cf|no|nr|fig|al|inc|ltd|co|approx|dept|est|vol|bzw"
    r"|z\.b|u\.a|ca))\.$",
    re.IGNORECASE,
)


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """The sentences of ``text[start:end]`` in order, as half-open spans without surrounding white space.

    Together they cover every character that is not white space.
    """
    end = len(text) if end is None else end
    spans: list[tuple[int, int]] = []
    begin = start
    for match in _END.finditer(text, start, end):
        if _goes_on(text, begin, match.end(), end):
            continue
        _append(spans, text, begin, match.end())
        begin = match.end()
    _append(spans, text, begin, end)
    return spans


def _goes_on(text: str, begin: int, stop: int, end: int) -> bool:
    if text[stop - 1] == "\n" or text[stop - 1] in "。！？":
        return False
    following = text[stop:end].lstrip()[:1]
    return following.islower() or bool(_ABBREVIATION.search(text, max(begin, stop - 12), stop))


def _append(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        spans.append((start, end))
