"""Cleans the text of PDF pages: joins words that a line end broke, and takes out headers and footers that repeat."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Sequence
from functools import cache

_BROKEN = re.compile(r"([^\W\d_]+(?:-[^\W\d_]+)*)[\ufffe\x02\u00ad][ \t]*\n?[ \t]*([^\W_]*)")
"""A word part, the mark of a hyphen at a line end, and the rest of the word on the next line."""
_HYPHEN_AT_LINE_END = re.compile(r"(?<=[^\W\d_])\u2010[ \t]*\n[ \t]*(?=[^\W_])")
"""The character that is always a hyphen, at a line end. pdfium marks only the one that can also be a minus sign."""
_MARK = re.compile(r"[\ufffe\x02][ \t]*\n?")
_SOFT_HYPHEN = re.compile("\u00ad\n?")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_CONJUNCTIONS = frozenset("und oder bzw sowie and or to et ou y o e og och en of".split())
"""Words after which a hyphen stands for what is left out, as in ``Haupt- und Nebenkosten``."""
_NUMBER = re.compile(r"\b[0-9]{1,5}\b")
MIN_PAGES = 4
"""Pages from which on a line that repeats counts as a header or footer."""
MAX_EDGE_LINES = 2
"""Lines at the top and at the bottom of a page that may be a header or footer."""


def clean_pages(pages: Sequence[str]) -> list[str]:
    """Return the text of each page with Unix line ends, whole words and without control characters."""
    texts = [_with_marks(page.replace("\r\n", "\n").replace("\r", "\n")) for page in pages]
    broken = any(_BROKEN.search(text) for text in texts)
    known = {word for text in texts for word in _WORD.findall(_MARK.sub(" ", text).lower())} if broken else set()
    return [_clean(text, known) for text in texts]


def _with_marks(page: str) -> str:
    """Return a page in which each hyphen at a line end is the mark that pdfium writes, and that UTF-8 can encode."""
    return _HYPHEN_AT_LINE_END.sub("\ufffe\n", page.encode("utf-8", "replace").decode())


def clean(text: str) -> str:
    """Return one text in the same way."""
    return clean_pages([text])[0]


def without_running_lines(pages: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the pages without the lines at their edges that repeat on more than half of them, and these lines.

    A line repeats if it is the same, or if only the page number in it differs. The first one stays on its page.
    """
    if len(pages) < MIN_PAGES:
        return list(pages), []
    split = [page.split("\n") for page in pages]
    edges = [_edges(lines) for lines in split]
    counts = Counter(
        key for number, lines in enumerate(split) for key in {k for e in edges[number] for k in _keys(lines[e], number)}
    )
    running = {key for key, count in counts.items() if count > len(pages) / 2}
    seen: set[tuple[str, int]] = set()
    kept: list[str] = []
    removed: list[str] = []
    for number, lines in enumerate(split):
        dropped = set()
        for edge in edges[number]:
            keys = _keys(lines[edge], number) & running
            if keys & seen or any(text == "#" for text, _ in keys):
                dropped.add(edge)
            seen |= keys
        if dropped >= {index for index, line in enumerate(lines) if line.strip()}:
            dropped.clear()  # a page of nothing else is no page with a header
        kept.append("\n".join(line for index, line in enumerate(lines) if index not in dropped))
        removed += [lines[index] for index in sorted(dropped)]
    return kept, removed


def _clean(text: str, known: Container[str]) -> str:
    joined = _BROKEN.sub(lambda found: _joined(found.group(1), found.group(2), known), text)
    return _CONTROL.sub(" ", _SOFT_HYPHEN.sub("", _MARK.sub("-", joined)))


def _joined(before: str, after: str, known: Container[str]) -> str:
    """Join two parts of a word, with their hyphen if it belongs to the word."""
    if after.lower() in _CONJUNCTIONS:
        return f"{before}- {after}"
    hyphenated = f"{before}-{after}"
    return hyphenated if _keeps_hyphen(before, after, known) else before + after


def _keeps_hyphen(before: str, after: str, known: Container[str]) -> bool:
    whole, hyphenated = (before + after).lower(), f"{before}-{after}".lower()
    if whole in known or hyphenated in known:
        return whole not in known
    if not after or not after[0].islower():
        return not before.isupper() or not after.isupper()
    if "-" in before or len(before) == 1:
        return True
    words = _english_words()
    return whole not in words and before.lower() in words and after.lower() in words


@cache
def _english_words() -> Container[str]:
    """Return the words of English, the only language that often has hyphens between words in lower case."""
    from spellchecker import SpellChecker

    return frozenset(SpellChecker(language="en").word_frequency.keys())


def _edges(lines: Sequence[str]) -> set[int]:
    """Return the indices of the lines at the edges of a page."""
    places = [index for index, line in enumerate(lines) if line.strip()]
    return {*places[:MAX_EDGE_LINES], *places[-MAX_EDGE_LINES:]}


def _keys(line: str, number: int) -> set[tuple[str, int]]:
    """Return what is the same in the line on other pages: its text, or its text around a number that counts pages."""
    text = " ".join(line.split())
    counted = (
        (f"{text[: found.start()]}#{text[found.end() :]}", int(found.group()) - number)
        for found in _NUMBER.finditer(text)
    )
    return {(text, 0), *counted}
