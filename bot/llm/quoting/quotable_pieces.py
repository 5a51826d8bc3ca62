"""Splits a passage into units that are quoted whole: sentences, list items, table rows, short code. Does no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from knowledge.parsing import front_matter
from knowledge.text.sentence_splitter import END_MARKS, sentence_spans

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
_ANNOUNCING_FIELD = re.compile(r"\s*(?:title|description|summary)\s*[:=]", re.IGNORECASE)
_QUESTION = re.compile(r"[?？؟]\s*$")
_TAGS = re.compile(r"^\s*(?:</?[A-Za-z][\w.:-]*(?:\s[^<>]*)?/?>\s*)+$")
"""A line of tags only, as between the paragraphs of Markdown with components."""
_FENCES_OF_FIELDS = ("---\n", "+++\n")


@dataclass(frozen=True, slots=True)
class Piece:
    """A literal piece of the text at ``start``, and what stands above it."""

    text: str
    kind: Kind
    start: int = 0
    heading: str = ""
    header: str = ""
    """The table's header, if this is a row."""
    question: str = ""
    """The question that it answers, as in a list of questions and answers."""
    before: str = ""
    """The sentence before it in the same paragraph, or the one that announces its list."""
    block: int = 0
    """The number of its paragraph, list or table."""


def pieces(text: str, *, questions: bool = False, in_fields: bool = False) -> list[Piece]:
    """Return the pieces in order, without headings and table headers, and without questions unless ``questions``.

    ``in_fields``: the text begins with the fields of a document, without the line that opens them.
    """
    found: list[Piece] = []
    heading = header = question = announced = ""
    kind_before: _Block = "heading"
    number = 0
    for block, content, start in _blocks(text.split("\n"), in_fields=in_fields):
        if block not in ("row", "item") or block != kind_before:
            number += 1
        kind_before = block
        if block != "row":
            header = ""
        if block == "heading":
            heading, question, announced = content, "", ""
        elif block == "header":
            header = content
        elif block == "code":
            found.append(Piece(content, "code", start, heading, "", question, announced, number))
        elif block == "row":
            at = start + len(content) - len(content.lstrip())
            found.append(Piece(content.strip(), "row", at, heading, header, question, announced, number))
        elif block == "item":
            bullet = _BULLET.match(content)
            at = bullet.end() if bullet else 0
            item = content[at:].rstrip()
            found.append(Piece(item, "item", start + at, heading, "", question, announced, number))
        else:
            before = ""
            for first, last in sentence_spans(content):
                sentence = content[first:last]
                if _QUESTION.search(sentence) and not questions:
                    question, before = sentence, ""
                    continue
                found.append(Piece(sentence, "sentence", start + first, heading, "", question, before, number))
                before = sentence
            announced = before if before.rstrip().endswith((":", "：")) else ""
    return found


def sentences(paragraph: str) -> list[str]:
    """Return the sentences of a paragraph. Abbreviations and ordinals do not end a sentence."""
    return [paragraph[start:end] for start, end in sentence_spans(paragraph)]


def _blocks(lines: list[str], *, in_fields: bool) -> Iterator[tuple[_Block, str, int]]:
    """Yield each block with its text and where that starts."""
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    at = _end_of_fields("\n".join(lines), in_fields=in_fields)
    first = 0 if in_fields else 1
    yield from (("item", lines[n], starts[n]) for n in range(first, at - 1) if _is_quotable_field(lines[n]))
    while at < len(lines):
        line = lines[at]
        end = at + 1
        if _FENCE.match(line):
            end = _end_of_code(lines, at)
            block = "\n".join(lines[at:end])
            if end - at > 1 and _FENCE.match(lines[end - 1]) and len(block) <= MAX_CODE_CHARS:
                yield "code", block, starts[at]
        elif _HEADING.match(line):
            yield "heading", line, starts[at]
        elif _ROW.match(line):
            if not _RULE.match(line):
                header = end < len(lines) and bool(_RULE.match(lines[end]))
                yield ("header" if header else "row"), line, starts[at]
        elif line.strip() and not _TAGS.match(line):
            while end < len(lines) and lines[end].strip() and not _starts_block(lines[end]):
                end += 1
            yield from _running_text(lines[at:end], starts[at])
        at = end


def _end_of_fields(text: str, *, in_fields: bool) -> int:
    """Return the index of the line after the fields at the beginning; 0 if there are none."""
    if in_fields:
        found = (front_matter.read(fence + text).end - len(fence) for fence in _FENCES_OF_FIELDS)
        end = max(0, *found)
    else:
        end = front_matter.read(text).end
    return text[:end].rstrip("\n").count("\n") + 1 if end else 0


def _is_quotable_field(line: str) -> bool:
    """Return whether a field says something of its own. Title and description only announce the text."""
    return bool(line.strip()) and not _ANNOUNCING_FIELD.match(line)


def _running_text(lines: list[str], start: int) -> Iterator[tuple[_Block, str, int]]:
    """Yield a list item with its continuation lines, or a paragraph. Plain text and PDF have headings without marks."""
    bullet = _BULLET.match(lines[0])
    is_heading = _looks_like_heading([lines[0][bullet.end() :], *lines[1:]]) if bullet else _looks_like_heading(lines)
    if bullet and not (is_heading and lines[1:] and not lines[1][:1].isspace() and lines[0].strip()[0].isdigit()):
        yield "item", "\n".join(lines), start
        return
    if is_heading:
        yield "heading", lines[0], start
        start += len(lines[0]) + 1
        lines = lines[1:]
    if lines:
        yield "paragraph", "\n".join(lines), start


def _looks_like_heading(lines: list[str]) -> bool:
    first = lines[0].strip()
    following = lines[1].strip() if len(lines) > 1 else "X"
    is_short = len(first) <= _MAX_HEADING_CHARS
    if _WITHOUT_END_MARKS.search(first):
        return False
    without_end_mark = is_short and first[-1] not in f".!?:;,…\"'”*`){END_MARKS}"
    return (without_end_mark or (first.isupper() and is_short)) and not following[:1].islower()


def _starts_block(line: str) -> bool:
    return any(mark.match(line) for mark in (_FENCE, _HEADING, _BULLET, _ROW, _TAGS))


def _end_of_code(lines: list[str], at: int) -> int:
    """Return the index of the line after the closing fence, or of the end."""
    return next((i + 1 for i in range(at + 1, len(lines)) if _FENCE.match(lines[i])), len(lines))
