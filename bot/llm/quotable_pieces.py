"""Splits a passage into units that are quoted whole: sentences, list items, table rows, short code. Does no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from knowledge.sentence_splitter import sentence_spans

Kind = Literal["sentence", "item", "row", "code"]
_Block = Literal["heading", "code", "item", "header", "row", "paragraph"]

MAX_CODE_CHARS = 800
_MAX_HEADING_CHARS = 50

_FENCE = re.compile(r"^\s*(```|~~~)")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s|^\s{0,3}(=+|-{3,})\s*$")
_BULLET = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+(?=\S)")
_ROW = re.compile(r"^\s*\|.*\|\s*$")
_WITHOUT_END_MARKS = re.compile(r"[\u0e00-\u0eff\u1780-\u17ff]")
"""Thai, Lao and Khmer, in which most sentences end without a mark, so that a short line may be a sentence."""
_RULE = re.compile(r"^[\s|:=-]+$")


@dataclass(frozen=True, slots=True)
class Piece:
    """A literal piece of the text.

    ``lead`` is the text above it that says what it is about: heading, table header, or the question that it answers.
    """

    text: str
    kind: Kind
    lead: str
    header: str = ""
    """The table's header, if this is a row."""


def pieces(text: str, *, questions: bool = False) -> list[Piece]:
    """Return the pieces in order, without headings and table headers, and without questions unless ``questions``."""
    found: list[Piece] = []
    heading = header = question = ""
    for block, content in _blocks(text.split("\n")):
        if block != "row":
            header = ""
        if block == "heading":
            heading, question = content, ""
        elif block == "header":
            header = content
        elif block == "code":
            found.append(Piece(content, "code", f"{heading} {question}"))
        elif block == "row":
            found.append(Piece(content.strip(), "row", f"{heading} {header}", header))
        elif block == "item":
            found.append(Piece(_BULLET.sub("", content).strip(), "item", f"{heading} {question}"))
        else:
            for sentence in sentences(content):
                if sentence.endswith("?") and not questions:
                    question = sentence
                else:
                    found.append(Piece(sentence, "sentence", f"{heading} {question}"))
    return found


def sentences(paragraph: str) -> list[str]:
    """Return the sentences of a paragraph. Abbreviations and ordinals do not end a sentence."""
    return [paragraph[start:end] for start, end in sentence_spans(paragraph)]


def _blocks(lines: list[str]) -> Iterator[tuple[_Block, str]]:
    at = 0
    while at < len(lines):
        line = lines[at]
        end = at + 1
        if _FENCE.match(line):
            end = _end_of_code(lines, at)
            block = "\n".join(lines[at:end])
            if end - at > 1 and _FENCE.match(lines[end - 1]) and len(block) <= MAX_CODE_CHARS:
                yield "code", block
        elif _HEADING.match(line):
            yield "heading", line
        elif _ROW.match(line):
            if not _RULE.match(line):
                header = end < len(lines) and bool(_RULE.match(lines[end]))
                yield ("header" if header else "row"), line
        elif line.strip():
            while end < len(lines) and lines[end].strip() and not _starts_block(lines[end]):
                end += 1
            yield from _running_text(lines[at:end])
        at = end


def _running_text(lines: list[str]) -> Iterator[tuple[_Block, str]]:
    """Yield a list item with its continuation lines, or a paragraph. Plain text and PDF have headings without marks."""
    if _BULLET.match(lines[0]):
        yield "item", "\n".join(lines)
        return
    if _looks_like_heading(lines):
        yield "heading", lines[0]
        lines = lines[1:]
    if lines:
        yield "paragraph", "\n".join(lines)


def _looks_like_heading(lines: list[str]) -> bool:
    first = lines[0].strip()
    following = lines[1].strip() if len(lines) > 1 else "X"
    is_short = len(first) <= _MAX_HEADING_CHARS
    if _WITHOUT_END_MARKS.search(first):
        return False
    without_end_mark = is_short and first[-1] not in '.!?:;,…。！？"”*`)' + "'"
    return (without_end_mark or (first.isupper() and is_short)) and not following[:1].islower()


def _starts_block(line: str) -> bool:
    return any(mark.match(line) for mark in (_FENCE, _HEADING, _BULLET, _ROW))


def _end_of_code(lines: list[str], at: int) -> int:
    """Return the index of the line after the closing fence, or of the end."""
    return next((i + 1 for i in range(at + 1, len(lines)) if _FENCE.match(lines[i])), len(lines))
