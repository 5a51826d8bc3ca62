"""Checks an answer's citations: renumbers the markers and finds the words of each passage that support the claim.

Does no I/O. The prompt numbers passages from 1; the reader sees numbers by first appearance.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bot.engine.answer.claim_support import Claim, Support, literal, says_nothing_alone, shares_words, support
from bot.engine.markdown import code_ranges
from bot.types.display import Citation
from knowledge.text.sentence_splitter import END_MARKS, sentence_spans
from knowledge.types.search_results import Passage

_NUMBERS = r"\^?\d{1,3}(?:\s*[,;–-]\s*\^?\d{1,3})*"
_MARKER = rf"(?:\[\s*{_NUMBERS}\s*\]|【\s*{_NUMBERS}[^】\n]*】)"
_GROUP = re.compile(rf"(?<![\\!])[ \t]*{_MARKER}(?:[ \t]*{_MARKER})*(?!\()(?!\[[^\]\s\d^])")
_NUMBER = re.compile(r"(\d{1,3})(?:\s*[–-]\s*\^?(\d{1,3}))?")
_LINE = re.compile(r"[^\n]*\n?")
_CLOSING_EMPHASIS = re.compile(r"[*_]+(?!\S)")
_QUOTED = re.compile(r"“([^“”\n]+)”|„([^„“”\n]+)[“”]|«([^«»\n]+)»|(?<!\w)\"([^\"\n]+)\"(?!\w)")
_QUOTE_WORDS = 2
_CLAIM_TERMS = 2
_SENTENCES_BACK = 3
_STOPS = f".!?…{END_MARKS}"

Numbering = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The final answer and its citations. Every marker in ``text`` has a citation, numbered from 1 without gaps."""

    text: str
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class _Group:
    """Adjacent markers ``text[start:end]`` with the white space before them, and what they name, each as a number.

    In the model's text these are passages, from 0.
    """

    start: int
    end: int
    passages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Cited:
    """A span of the passage with this index that supports a claim, and the section and page that it stands on.

    ``is_quoted``: the answer quotes the words of the span.
    """

    passage: int
    span: Support
    heading: tuple[str, ...]
    page: int | None
    page_label: str
    is_quoted: bool

    @classmethod
    def of(cls, index: int, passage: Passage, claim: Claim, quotation: str) -> _Cited | None:
        """Return what supports the claim, None if nothing does. A ``quotation`` that has most of it is cited whole."""
        span = support(claim, passage.text)
        if span is None:
            return None
        quoted = _find(quotation, passage.text, span)
        span = quoted or span
        place = passage.place_at(passage.start + span.start)
        heading = passage.heading if place.heading is None else place.heading
        label = "" if place.page_label == str(place.page) else place.page_label
        return cls(index, span, heading, place.page, label, is_quoted=quoted is not None)

    def joined(self, other: _Cited) -> _Cited | None:
        """Return the citation for the claims of both, with the better span; None if each needs its own.

        Words that are quoted are cited where they stand. Other claims of one section share a citation.
        """
        if self.passage != other.passage:
            return None
        if (self.span.start, self.span.end) == (other.span.start, other.span.end):
            return replace(self, is_quoted=self.is_quoted or other.is_quoted)
        if self.is_quoted or other.is_quoted or (self.heading, self.page) != (other.heading, other.page):
            return None
        return max(self, other, key=lambda one: one.span.score)


def renumber(text: str, count: int) -> str:
    """Return the text with markers in the form ``[1][2]``, numbered by first appearance among ``count`` passages.

    Understands ``[1, 3]``, ``[1-3]``, ``[^1]`` and ``【1】``. Removes numbers that name no passage. Leaves code and
    links alone. Numbers stay the same while the text grows at its end.
    """
    order: dict[int, int] = {}
    return _rewritten(text, _groups(text, count), lambda passage: order.setdefault(passage, len(order) + 1))


def resolve(answer: str, passages: Sequence[Passage]) -> Resolved:
    """Check each marker of the model's text against its passage and find the quote that supports it.

    ``answer`` uses the prompt's numbers. A marker stays if its passage has one or two sentences, a list item or a table
    row that contains enough of the claim. Words that are quoted, and each section and page of a passage, are cited
    apart: the quote is the best such span over all claims of the citation. If a sentence with citations puts words in
    quotation marks that are in no passage, the quotation marks are removed.
    """
    groups = _groups(answer, len(passages))
    cited: list[_Cited] = []
    kept = []
    prose = _Prose.of(answer, groups)
    for group in groups:
        claim, quotation = prose.claim(group.start), _quotation_before(answer, group.start)
        found = (_Cited.of(index, passages[index], claim, quotation) for index in group.passages)
        supports = [one for one in found if one is not None]
        kept.append(replace(group, passages=tuple(_cite(cited, one) for one in supports)))
    order: dict[int, int] = {}
    text = _rewritten(
        answer,
        kept,
        lambda place: order.setdefault(place, len(order) + 1),
        _unquoted(answer, groups, passages, prose.ends),
    )
    citations = tuple(_citation(n, cited[place], passages[cited[place].passage]) for place, n in order.items())
    return Resolved(text, citations)


def _cite(cited: list[_Cited], one: _Cited) -> int:
    """Return the place in ``cited`` of what is cited for one claim more; add it if it needs a citation of its own."""
    for place, earlier in enumerate(cited):
        if (joined := earlier.joined(one)) is not None:
            cited[place] = joined
            return place
    cited.append(one)
    return len(cited) - 1


def is_bare(answer: str, passages: Sequence[Passage]) -> bool:
    """Return whether an answer from passages says no more than a word, such as “Yes.”, that is in none of them.

    A word that a passage has, such as a name or a number, can be checked. A cited word is no bare one either.
    """
    said = renumber(answer, 0)
    if not passages or not says_nothing_alone(said) or any(shares_words(said, one.text) for one in passages):
        return False
    return not resolve(answer, passages).citations


def _citation(n: int, cited: _Cited, passage: Passage) -> Citation:
    span = cited.span
    return Citation(
        n=n,
        source=passage.source,
        title=passage.title,
        quote=passage.text[span.start : span.end],
        document_id=passage.document_id,
        heading=cited.heading,
        page=cited.page,
        page_label=cited.page_label,
        start=passage.start + span.start,
        end=passage.start + span.end,
        passage=cited.passage,
    )


# --- markers


def _groups(text: str, count: int) -> list[_Group]:
    code = code_ranges(text)
    return [
        _Group(found.start(), found.end(), tuple(dict.fromkeys(_named(found.group(), count))))
        for found in _GROUP.finditer(text)
        if not _in_code(found, code) and not _defines(text, found)
    ]


def _in_code(found: re.Match[str], code: Sequence[tuple[int, int]]) -> bool:
    before = bisect_left(code, (found.end(), 0)) - 1
    return before >= 0 and code[before][1] > found.start()


def _defines(text: str, found: re.Match[str]) -> bool:
    """Return whether this is the label of a link definition: ``[1]: https://...``."""
    return text[found.end() : found.end() + 1] == ":" and text[: found.start()].rpartition("\n")[2] == ""


def _named(markers: str, count: int) -> Iterable[int]:
    for found in _NUMBER.finditer(re.sub(r"†[^】]*", "", markers)):
        first = int(found.group(1))
        last = int(found.group(2) or first)
        yield from (number - 1 for number in range(first, last + 1) if 1 <= number <= count)


def _rewritten(text: str, groups: Sequence[_Group], number: Numbering, drop: Iterable[int] = ()) -> str:
    """Return the text with renumbered markers, without the characters at ``drop``."""
    out, position = "", 0
    dropped = set(drop)

    def plain(start: int, end: int) -> str:
        if not dropped:
            return text[start:end]
        return "".join(char for place, char in enumerate(text[start:end], start) if place not in dropped)

    for group in groups:
        raw = text[group.start : group.end]
        space = raw[: len(raw) - len(raw.lstrip())]
        markers = "".join(f"[{number(passage)}]" for passage in group.passages)
        out += plain(position, group.start) + (space + markers if markers else "")
        position = group.end
    return out + plain(position, len(text))


# --- claims


@dataclass(frozen=True, slots=True)
class _Prose:
    """An answer with its markers blanked out, and the positions where its sentences and markers end.

    A sentence ends with its line at the latest.
    """

    text: str
    ends: list[int]
    markers: list[int]

    @classmethod
    def of(cls, answer: str, groups: Sequence[_Group]) -> _Prose:
        pieces, position = [], 0
        for group in groups:
            pieces += [answer[position : group.start], " " * (group.end - group.start)]
            position = group.end
        prose = "".join([*pieces, answer[position:]])
        text = _CLOSING_EMPHASIS.sub(lambda found: " " * len(found[0]), prose)
        return cls(text, list(_sentence_ends(text)), [group.end for group in groups])

    def claim(self, marker: int) -> Claim:
        """Return the claim that the marker at this position supports.

        That is the text since the previous marker, if it is in the same sentence; else the sentence; plus the
        sentences before it if that says too little alone.
        """
        ends = self.ends[: bisect_right(self.ends, marker)]
        while ends and not self.text[ends[-1] : marker].strip():
            ends.pop()
        begin = ends[-1] if ends else 0
        earlier = bisect_right(self.markers, marker)
        previous = self.markers[earlier - 1] if earlier else 0
        since = _stated(self.text[max(begin, previous) : marker])
        if _says_enough(since):
            return since
        for start in [*reversed(ends[-_SENTENCES_BACK:]), 0][:_SENTENCES_BACK]:
            claim = _stated(self.text[start : self._stop(marker)])
            if _says_enough(claim):
                return claim
        return _stated(self.text[begin:marker])

    def _stop(self, marker: int) -> int:
        before = self.text[:marker].rstrip()
        if not before or before[-1] in _STOPS:
            return marker
        later = bisect_right(self.ends, marker)
        return self.ends[later] if later < len(self.ends) else len(self.text)


def _sentence_ends(text: str) -> Iterator[int]:
    for line in _LINE.finditer(text):
        yield from (end for _, end in sentence_spans(text, line.start(), line.end())[:-1])
        yield line.end()


def _stated(text: str) -> Claim:
    return Claim.of(re.sub(r"^\s*(?:[-*+>|#]|\d{1,3}[.)])+\s", "", text).strip())


def _says_enough(claim: Claim) -> bool:
    return len(claim.weights) >= _CLAIM_TERMS


def _unquoted(
    text: str, groups: Sequence[_Group], passages: Sequence[Passage], sentence_ends: Sequence[int]
) -> set[int]:
    """Return the positions of quotation marks around words that are cited but are in no passage."""
    wrong: set[int] = set()
    code = code_ranges(text)
    for found in _QUOTED.finditer(text):
        words = next(part for part in found.groups() if part)
        if len(words.split()) < _QUOTE_WORDS or _in_code(found, code):
            continue
        if _cites(found, groups, sentence_ends) and not any(literal(words, passage.text) for passage in passages):
            wrong.update((found.start(), found.end() - 1))
    return wrong


def _quotation_before(answer: str, marker: int) -> str:
    """Return the words in quotation marks right before a marker, or nothing."""
    line = answer[answer.rfind("\n", 0, marker) + 1 : marker].rstrip()
    return next(("".join(filter(None, one.groups())) for one in _QUOTED.finditer(line) if one.end() == len(line)), "")


def _find(quotation: str, passage: str, near: Support) -> Support | None:
    """Return where a passage has the quoted words and at least half of a span, whatever their white space is."""
    words = quotation.split()
    found = re.search(r"\s+".join(map(re.escape, words)), passage) if len(words) >= _QUOTE_WORDS else None
    if found is None or 2 * (min(found.end(), near.end) - max(found.start(), near.start)) < near.end - near.start:
        return None
    return Support(found.start(), found.end(), 1.0)


def _cites(quoted: re.Match[str], groups: Sequence[_Group], sentence_ends: Sequence[int]) -> bool:
    """Return whether the sentence around the quoted words has a marker."""
    earlier = bisect_right(sentence_ends, quoted.start())
    start = sentence_ends[earlier - 1] if earlier else 0
    stop = sentence_ends[bisect_left(sentence_ends, quoted.end())]
    return any(start <= group.start <= stop for group in groups if group.passages)
