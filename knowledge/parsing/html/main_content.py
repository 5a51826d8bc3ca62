"""Chooses the blocks of a page that belong to its main content, and leaves out navigation, teasers and notices.

trafilatura finds the main content, but drops short cells, headings and lists, and parts behind advertisements. So its
text only marks blocks of the page. What stands among marked blocks is put back, unless it is built like navigation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence, Set
from itertools import dropwhile, takewhile
from typing import Any

from knowledge.parsing.html.html_blocks import PageBlock
from knowledge.parsing.html.page_navigation import is_around, is_navigation, navigation_names, upward
from knowledge.parsing.html.page_teasers import without_teasers

MIN_MARKED_CHARS = 140
"""If less text than this is marked, everything that is not built like navigation is the content."""
MIN_MARKED_PROSE = 300
MIN_PROSE_SHARE = 0.25
"""If less prose is marked than so many characters and than this share of the page's, the library missed the content."""
MIN_COVERED = 0.6
"""Share of a block's groups of words that the found text must have for the block to be marked."""
MAX_LINKED = 0.5
"""Share of links in a part that is put back. Navigation and lists of teasers have more."""
MIN_SENTENCE_WORDS = 8
"""Words of a text that counts as a sentence, whatever it ends with."""
MIN_WORDS = 3
MAX_DEPTH = 3
"""How many elements deep below an element with marked text a block before or behind that text may stand."""
MAX_NAMED_SHARE = 0.8
"""A name of navigation that covers a larger share of the marked text counts as content on this page."""
MAX_REPEATED = 0.6
"""Share of the marked text that may be teasers of the text itself."""
MAX_NAVIGATION_SHARE = 0.25
"""A part with a larger share of the marked text is content, whatever its name says."""
ROOT_SHARE = 0.9
"""Share of the marked text that the innermost element around the content holds."""

_WORD = re.compile(r"\w+")


def main_blocks(blocks: Sequence[PageBlock], found: str) -> list[PageBlock]:
    """Return the blocks of the main content in order. ``found`` is the text that the extraction library found."""
    marked = _marked(blocks, found)
    if _is_too_little(blocks, marked):
        return _all_but_navigation(blocks)
    return without_teasers(_Selection(blocks, marked).chosen())


def _is_too_little(blocks: Sequence[PageBlock], marked: Set[int]) -> bool:
    """Return whether the library found hardly any of the page's sentences, as where it took links for the content."""
    if sum(len(blocks[index].text) for index in marked) < MIN_MARKED_CHARS:
        return True
    prose = [index for index, block in enumerate(blocks) if _is_prose(block)]
    found = sum(len(blocks[index].text) for index in prose if index in marked)
    shown = sum(len(blocks[index].text) for index in prose if not is_around(blocks[index].element))
    return found < MIN_MARKED_PROSE and found < MIN_PROSE_SHARE * shown


def _all_but_navigation(blocks: Sequence[PageBlock]) -> list[PageBlock]:
    """Return the blocks of a short page. A name tells navigation only if a sentence stands outside of it."""
    kept = [block for block in blocks if not any(map(is_navigation, upward(block.element)))]
    named = [block for block in kept if not is_around(block.element)]
    if any(len(_words(block.text)) >= MIN_SENTENCE_WORDS for block in named):
        return named
    return kept or list(blocks)


def _marked(blocks: Sequence[PageBlock], found: str) -> set[int]:
    """Return the indexes of the blocks whose words the found text has in the same order."""
    words = _words(found)
    groups = _groups(words, 3)
    lines = {tuple(_words(line)) for line in found.split("\n")}
    marked = set()
    for index, block in enumerate(blocks):
        own = _words(block.text)
        if len(own) < 4:
            if tuple(own) in lines and own:
                marked.add(index)
            continue
        triples = [tuple(own[i : i + 3]) for i in range(len(own) - 2)]
        if sum(triple in groups for triple in triples) >= MIN_COVERED * len(triples):
            marked.add(index)
    return marked


def _repeated(blocks: Sequence[PageBlock], marked: Set[int]) -> set[int]:
    """Return the marked blocks whose words stand in other marked blocks too, as in a teaser of the article itself.

    A page that repeats most of its text is no article with teasers, so that none of its blocks are returned.
    """
    groups = {index: _groups(_words(blocks[index].text), 3) for index in marked}
    counts = Counter(group for found in groups.values() for group in found)
    repeated = {
        index
        for index, found in groups.items()
        if found and sum(counts[group] > 1 for group in found) >= MIN_COVERED * len(found)
    }
    length = sum(len(blocks[index].text) for index in repeated)
    return repeated if length <= MAX_REPEATED * sum(len(blocks[index].text) for index in marked) else set()


def _groups(words: Sequence[str], size: int) -> set[tuple[str, ...]]:
    """Return the groups of so many words that follow each other."""
    return {tuple(words[start : start + size]) for start in range(len(words) - size + 1)}


class _Selection:
    """The blocks of a page, those that are marked, and the elements around them."""

    def __init__(self, blocks: Sequence[PageBlock], marked: set[int]) -> None:
        self._blocks = blocks
        self._marked = marked
        self._paths = [_path(block.element) for block in blocks]
        self._weight: Counter[Any] = Counter()
        self._prose: Counter[Any] = Counter()
        self._total: Counter[Any] = Counter()
        self._linked: Counter[Any] = Counter()
        self._first: dict[Any, int] = {}
        self._last: dict[Any, int] = {}
        for index, (block, path) in enumerate(zip(blocks, self._paths, strict=True)):
            for element in path:
                self._total[element] += len(block.text)
                self._linked[element] += block.linked
                if index in marked:
                    self._weight[element] += len(block.text)
                    self._first.setdefault(element, index)
                    self._last[element] = index
        self._content_names = self._names_of_content()
        repeated = _repeated(blocks, marked)
        for index in marked - repeated:
            if self._is_prose(blocks[index]):
                for element in self._paths[index]:
                    self._prose[element] += len(blocks[index].text)
        self._root = self._innermost()
        self._title = self._last_title()
        self._summary = self._first_summary()

    def chosen(self) -> list[PageBlock]:
        kept = {
            index
            for index in range(len(self._blocks))
            if (self._stays(index) if index in self._marked else self._belongs(index))
        }
        return [block for index, block in enumerate(self._blocks) if index in kept and not self._is_idle(index, kept)]

    def _stays(self, index: int) -> bool:
        """Return whether a marked block belongs to the content. The library takes some notices and teasers for it."""
        block, path = self._blocks[index], self._paths[index]
        if self._root not in path:
            return self._leads(index) or self._introduces(index)
        return not self._is_in_navigation(block)

    def _names_of_content(self) -> frozenset[str]:
        """Return the names of navigation that most of the marked text bears, as ``gallery`` around pictures."""
        held: Counter[str] = Counter()
        for index in self._marked:
            names = {name for above in self._paths[index] for name in navigation_names(above)}
            held.update(dict.fromkeys(names, len(self._blocks[index].text)))
        most = MAX_NAMED_SHARE * self._weight[self._paths[0][0]]
        return frozenset(name for name, length in held.items() if length > most)

    def _innermost(self) -> Any:
        """Return the innermost element that holds nearly all of the marked text."""
        weights = self._prose or self._weight
        root = self._paths[0][0]
        total, depth = weights[root], 0
        for element, weight in weights.items():
            if weight >= ROOT_SHARE * total and (deeper := len(_path(element))) > depth:
                root, depth = element, deeper
        return self._around_introduction(self._around_all_parts(root))

    def _around_introduction(self, root: Any) -> Any:
        """Return the element around ``root`` in which paragraphs stand directly beside it, as above a first section."""
        beside = {
            self._blocks[index].element.getparent() for index in self._marked if self._is_prose(self._blocks[index])
        }
        around = [above for above in list(root.iterancestors())[:MAX_DEPTH] if above.tag not in ("body", "html")]
        return next((above for above in reversed(around) if above in beside), root)

    def _around_all_parts(self, root: Any) -> Any:
        """Return the element around the parts of a divided article, of which ``root`` is one. Advertisements divide it.

        Two parts are alike if they have the same tag and class, and so has everything down to a paragraph in them.
        """
        parts = [root, *list(root.iterancestors())[: MAX_DEPTH - 1]]
        for part in parts:
            parent = part.getparent()
            is_section = part.tag == "section"
            if parent is None or parent.tag in ("body", "html") or not (part.get("class") or is_section):
                continue
            inside = {self._shape(index, part) for index in self._marked if part in self._paths[index]}
            for index, path in enumerate(self._paths):
                if (index in self._marked and not is_section) or parent not in path or part in path:
                    continue
                if path[-1] is parent:
                    continue
                if self._is_prose(self._blocks[index]) and self._shape(index, path[path.index(parent) + 1]) in inside:
                    return parent
        return root

    def _shape(self, index: int, part: Any) -> tuple[tuple[str, str], ...]:
        """Return the tag and class of each element from ``part`` to a block."""
        path = self._paths[index]
        return tuple((element.tag, element.get("class") or "") for element in path[path.index(part) :])

    def _is_prose(self, block: PageBlock) -> bool:
        return _is_prose(block) and not self._is_in_navigation(block)

    def _is_in_navigation(self, block: PageBlock) -> bool:
        """Return whether an element around a block is or is named like navigation, and holds little marked text."""
        most = MAX_NAVIGATION_SHARE * self._weight[self._paths[0][0]]
        in_quote = block.kind == "quote"
        for above in upward(block.element):
            if above.tag == "body" or self._weight[above] > most:
                return False
            if is_navigation(above) or (not in_quote and navigation_names(above) - self._content_names):
                return True
            in_quote = in_quote and above.tag != "blockquote"
        return False

    def _belongs(self, index: int) -> bool:
        """Return whether an unmarked block stands among marked ones and is not built like navigation."""
        block, path = self._blocks[index], self._paths[index]
        if self._root not in path:
            return self._leads(index) or self._introduces(index)
        if self._is_in_navigation(block):
            return False
        if self._introduces(index):
            return True
        above = max(place for place, element in enumerate(path) if self._weight[element])
        around = path[above]
        branch = path[above + 1] if above + 1 < len(path) else block.element
        if self._is_full_of_links(branch):
            among = self._first[around] < index < self._last[around]
            is_section = branch.tag == "section" and not branch.get("class")
            is_beside = branch is block.element and (block.kind == "list" or self._follows_heading(index))
            return among and (is_section or is_beside)
        if self._first[around] < index < self._last[around]:
            return True
        if block.kind == "heading":
            return index < self._first[around]
        return self._is_alike(branch, around) or (
            self._reads_like_text(block) and (block.kind == "code" or len(path) - above <= MAX_DEPTH)
        )

    def _follows_heading(self, index: int) -> bool:
        """Return whether a heading stands directly before a block, as above the links to forms of a handbook."""
        before = self._blocks[index - 1] if index else None
        parent = self._blocks[index].element.getparent()
        return before is not None and before.kind == "heading" and before.element.getparent() is parent

    def _leads(self, index: int) -> bool:
        """Return whether a block is the title: the last first-level heading before the content, and the only one."""
        return index == self._title and not any(map(is_navigation, upward(self._blocks[index].element)))

    def _introduces(self, index: int) -> bool:
        """Return whether a block stands between the title and the text, as the summary or the picture of an article."""
        if index not in self._above():
            return False
        block = self._blocks[index]
        return index == self._summary or (_is_caption(block) and not self._is_in_navigation(block))

    def _above(self) -> range:
        """Return the indexes of the blocks between the title and the text."""
        return range(0) if self._title is None else range(self._title + 1, self._first[self._root])

    def _first_summary(self) -> int | None:
        """Return the index of the first sentence below the title; None if it is further away than an author's name."""
        for index in self._above()[:MAX_DEPTH]:
            block = self._blocks[index]
            if block.kind != "list" and not _is_caption(block) and self._is_prose(block):
                return index
        return None

    def _last_title(self) -> int | None:
        """Return the index of the last first-level heading before the content; None if another one is in it."""
        start, end = self._first[self._root], self._last[self._root]
        titles = [i for i, block in enumerate(self._blocks[:end]) if block.kind == "heading" and block.level == 1]
        return titles[-1] if titles and titles[-1] <= start else None

    def _is_full_of_links(self, branch: Any) -> bool:
        return self._linked[branch] > MAX_LINKED * max(1, self._total[branch])

    def _is_alike(self, branch: Any, around: Any) -> bool:
        """Return whether a marked part beside this one has the same tag and class, as the parts of an article have."""
        if branch is around:
            return True
        name = (branch.tag, branch.get("class"))
        return any(self._weight[other] and (other.tag, other.get("class")) == name for other in around)

    @staticmethod
    def _reads_like_text(block: PageBlock) -> bool:
        if block.kind in ("table", "list", "code") or _is_caption(block):
            return True
        words = len(_words(block.text))
        return words >= MIN_SENTENCE_WORDS or (words >= MIN_WORDS and block.text.endswith((".", "?", "!", ":", "。")))

    def _is_idle(self, index: int, kept: set[int]) -> bool:
        """Return whether an unmarked heading has nothing below it that is kept."""
        if self._blocks[index].kind != "heading" or index in self._marked:
            return False
        below = dropwhile(lambda i: self._blocks[i].kind == "heading", range(index + 1, len(self._blocks)))
        return not any(i in kept for i in takewhile(lambda i: self._blocks[i].kind != "heading", below))


def _is_prose(block: PageBlock) -> bool:
    return len(_words(block.text)) >= MIN_SENTENCE_WORDS and block.linked <= MAX_LINKED * len(block.text)


def _is_caption(block: PageBlock) -> bool:
    return any(above.tag in ("figcaption", "caption") for above in upward(block.element))


def _path(element: Any) -> tuple[Any, ...]:
    """Return the elements around an element and itself, outermost first."""
    return tuple(reversed(list(upward(element))))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
