"""Splits attached files into passages and picks those that match the question, for answers without a model.

Does no I/O.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from bot.types.conversation import StoredAttachment
from knowledge.text.search_terms import main_terms, query_terms
from knowledge.types.search_results import Passage

SOURCE = "attached:"
"""Prefix of a passage's source, which keeps a file name from being mistaken for a URL."""
PASSAGE_CHARS = 1200
MAX_PASSAGES = 4
OWN_SHARE = 0.25
"""Least share of the question's words, by weight, in a passage of the question's own files."""
EARLIER_SHARE = 0.6
"""Least share of the question's words, by weight, in a passage of a file from an earlier question of the thread."""

_WHOLE_FILE_WORDS = frozenset(
    main_terms(
        "attach attached attachment content contain describe document excerpt explain file files gist give here inside "
        "list look main overview outline page paper pdf picture please point points read say says sheet short shortly "
        "show sum summarise summarize summary table tell text tldr topic write "
        "anhang angehängt angehängte beschreibe bitte datei dateien dokument erkläre fasse inhalt kurz lies steht text "
        "überblick zusammen zusammenfassen zusammenfassung was ist "
        "contenu dit document fichier joint lis quoi résume résumé sommaire "
        "adjunto archivo contenido dice documento lee resume resumen"
    )
)
_HEADING = re.compile(r"#{1,6}\s+(.+?)\s*#*$")
_ROW = re.compile(r"^\s*\|.*\|\s*$")
_RULE = re.compile(r"^[\s|:=-]+$")
_PARAGRAPH = re.compile(r"(?:[^\n]|\n(?!\s*\n))+")


def passages(question: str, known: Sequence[StoredAttachment]) -> tuple[Passage, ...]:
    """Return the passages that match the question, best first, or the files' beginnings if it asks about whole files.

    ``known`` are the thread's attachments, oldest first. Files from earlier questions count only if they contain most
    of the question's words.
    """
    files = [one for one in known if one.kind == "file" and one.text]
    own = [one for one in files if one.own]
    asked = frozenset(query_terms(question)) - _WHOLE_FILE_WORDS
    if not asked - {term for one in own for term in main_terms(one.name)}:
        begun = zip_longest(*(cut(one)[:MAX_PASSAGES] for one in own))
        return tuple(one for row in begun for one in row if one is not None)[:MAX_PASSAGES]
    return tuple(_fitting(asked, own, OWN_SHARE) or _fitting(asked, files, EARLIER_SHARE))


def _fitting(asked: frozenset[str], files: Sequence[StoredAttachment], share: float) -> list[Passage]:
    found = [passage for one in files for passage in cut(one)]
    texts = [frozenset(main_terms(" ".join((*passage.heading, passage.text)))) for passage in found]
    names = [frozenset(main_terms(passage.title)) for passage in found]
    shared = [asked & (text | name) if asked & text else frozenset() for text, name in zip(texts, names, strict=True)]
    count = Counter(term for terms in shared for term in terms)
    weight = {term: math.log(1 + (len(found) + 1) / (count[term] + 0.5)) for term in asked}
    whole = sum(weight.values())
    scores = [sum(weight[term] for term in terms) / whole for terms in shared]
    ranked = sorted((at for at, score in enumerate(scores) if score >= share), key=lambda at: -scores[at])
    covered: set[str] = set()
    adding: list[int] = []
    for at in ranked:
        if shared[at] - covered:
            adding.append(at)
            covered |= shared[at]
    return [found[at] for at in dict.fromkeys((*adding, *ranked))][:MAX_PASSAGES]


def cut(file: StoredAttachment) -> list[Passage]:
    """Split a file into paragraphs, joined up to ``PASSAGE_CHARS`` per heading. A split table repeats its header."""
    text, found = file.text or "", list[Passage]()
    heading: tuple[str, ...] = ()
    start = end = -1
    for first, last in _pieces(text):
        above = _HEADING.match(text[first:last].strip().partition("\n")[0])
        if start >= 0 and (above or last - start > PASSAGE_CHARS):
            found.append(_passage(file, start, end, heading))
            start = -1
        heading = (above[1],) if above else heading
        start, end = (first if start < 0 else start), last
    return [*found, _passage(file, start, end, heading)] if start >= 0 else found


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Yield paragraphs as (start, end). A long paragraph is split at a line, a long line at a space."""
    for paragraph in _PARAGRAPH.finditer(text):
        start, stop = paragraph.span()
        while stop - start > PASSAGE_CHARS:
            room = start + PASSAGE_CHARS
            at = max(text.rfind("\n", start + 1, room), 0) or max(text.rfind(" ", start + 1, room), 0) or room
            yield start, at
            start = at
        if text[start:stop].strip():
            yield start, stop


def _passage(file: StoredAttachment, start: int, end: int, heading: tuple[str, ...]) -> Passage:
    text = file.text or ""
    return Passage(
        chunk_id=0,
        document_id="",
        text=_header(text, start) + text[start:end].strip(),
        source=f"{SOURCE}{file.name}",
        title=file.name,
        heading=heading,
        start=start,
        end=end,
        page=None,
        score=0.0,
    )


def _header(text: str, start: int) -> str:
    """Return the header of the table if the passage starts in the middle of one."""
    rows = text[:start].splitlines()
    if not rows or not _ROW.match(text[start:].strip().partition("\n")[0]) or not _ROW.match(rows[-1]):
        return ""
    first = next((at + 1 for at in range(len(rows) - 1, -1, -1) if not _ROW.match(rows[at])), 0)
    table = [*rows[first : first + 2]]
    return "\n".join(table) + "\n" if len(table) == 2 and _RULE.match(table[1]) else ""
