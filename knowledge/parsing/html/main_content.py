"""Chooses the blocks of a page that belong to its main content, and leaves out navigation, teasers and notices.

trafilatura finds the main content, but drops short cells, headings and lists, and parts behind advertisements. So its
text only marks blocks of the page. What stands among marked blocks is put back, unless it is built like navigation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import dropwhile, takewhile
from typing import Any

from knowledge.parsing.html.html_blocks import PageBlock
from knowledge.parsing.html.page_teasers import without_teasers

MIN_MARKED_CHARS = 140
"""If less text than this is marked, everything that is not built like navigation is the content."""
MIN_COVERED = 0.6
"""Share of a block's groups of words that the found text must have for the block to be marked."""
MAX_LINKED = 0.5
"""Share of links in a part that is put back. Navigation and lists of teasers have more."""
MIN_SENTENCE_WORDS = 8
"""Words of a text that counts as a sentence, whatever it ends with."""
MIN_WORDS = 3
MAX_DEPTH = 3
"""How many elements deep below an element with marked text a block before or behind that text may stand."""
MAX_NAVIGATION_SHARE = 0.25
"""A part with a larger share of the marked text is content, whatever its name says."""
ROOT_SHARE = 0.9
"""Share of the marked text that the innermost element around the content holds."""

NAVIGATION_TAGS = frozenset(("nav", "footer"))
_NAVIGATION_ROLES = frozenset(
    "navigation banner contentinfo search menu menubar toolbar tablist dialog alertdialog".split()
)
_NAVIGATION_NAMES = re.compile(
    r"(?:^|[\s_-])(?:nav|navbar|navigation|menu|breadcrumbs?|sidebar|share|sharing|social|socials|related|recommended"
    r"|recommendations?|recirc|comments?|disqus|cookies?|consent|gdpr|advert(?:isement)?s?|ads?|promo|promos|sponsored"
    r"|outbrain|taboola|newsletter|subscribe|subscription|signup|sign-up|popup|modal|overlay|scrim|pagination|pager"
    r"|footer|masthead|skip-link|skiplinks|toolbar|trending|most-read|mostread|popular|read-?more|more-stories|tags?"
    r"|latest(?:-news)?|teasers?|relatedposts|cta|rodape|d-print-block|visible-print|gallery|carousel|slideshow|byline|author-bio|print-only|sr-only|visually-hidden|screen-reader-text|copyright)(?=$|[\s_-])",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
"""Where a part of a name starts, as in ``relatedContent``."""
_WORD = re.compile(r"\w+")


def main_blocks(blocks: Sequence[PageBlock], found: str) -> list[PageBlock]:
    """Return the blocks of the main content in order. ``found`` is the text that the extraction library found."""
    marked = _marked(blocks, found)
    if sum(len(blocks[index].text) for index in marked) < MIN_MARKED_CHARS:
        return _all_but_navigation(blocks)
    return without_teasers(_Selection(blocks, marked).chosen())


def _all_but_navigation(blocks: Sequence[PageBlock]) -> list[PageBlock]:
    """Return the blocks of a short page. A name tells navigation only if a sentence stands outside of it."""
    kept = [block for block in blocks if not any(map(_is_navigation, _upward(block.element)))]
    named = [block for block in kept if not any(map(_is_named_like_navigation, _upward(block.element)))]
    if any(len(_words(block.text)) >= MIN_SENTENCE_WORDS for block in named):
        return named
    return kept or list(blocks)


def _marked(blocks: Sequence[PageBlock], found: str) -> set[int]:
    """Return the indexes of the blocks whose words the found text has in the same order."""
    words = _words(found)
    groups = {size: {tuple(words[i : i + size]) for i in range(len(words) - size + 1)} for size in (1, 2, 3)}
    lines = {tuple(_words(line)) for line in found.split("\n")}
    marked = set()
    for index, block in enumerate(blocks):
        own = _words(block.text)
        if len(own) < 4:
            if tuple(own) in lines and own:
                marked.add(index)
            continue
        triples = [tuple(own[i : i + 3]) for i in range(len(own) - 2)]
        if sum(triple in groups[3] for triple in triples) >= MIN_COVERED * len(triples):
            marked.add(index)
    return marked


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
        for index in marked:
            if self._is_prose(blocks[index]):
                for element in self._paths[index]:
                    self._prose[element] += len(blocks[index].text)
        self._root = self._innermost()

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
            return block.kind == "heading" and block.level == 1 and self._leads(index)
        return not self._is_in_navigation(block)

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
        long = len(_words(block.text)) >= MIN_SENTENCE_WORDS
        return long and block.linked <= MAX_LINKED * len(block.text) and not self._is_in_navigation(block)

    def _is_in_navigation(self, block: PageBlock) -> bool:
        """Return whether an element around a block is or is named like navigation, and holds little marked text."""
        most = MAX_NAVIGATION_SHARE * self._weight[self._paths[0][0]]
        for above in _upward(block.element):
            if above.tag == "body" or self._weight[above] > most:
                return False
            if _is_navigation(above) or (block.kind != "quote" and _is_named_like_navigation(above)):
                return True
        return False

    def _belongs(self, index: int) -> bool:
        """Return whether an unmarked block stands among marked ones and is not built like navigation."""
        block, path = self._blocks[index], self._paths[index]
        if self._root not in path:
            return block.kind == "heading" and block.level == 1 and self._leads(index)
        if self._is_in_navigation(block):
            return False
        above = max(place for place, element in enumerate(path) if self._weight[element])
        around = path[above]
        branch = path[above + 1] if above + 1 < len(path) else block.element
        if self._is_full_of_links(branch):
            among = self._first[around] < index < self._last[around]
            is_section = branch.tag == "section" and not branch.get("class")
            return among and (is_section or (branch is block.element and self._follows_heading(index)))
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
        """Return whether a first-level heading outside of the content is the last one before it, and the only one."""
        start, end = self._first[self._root], self._last[self._root]
        later = self._blocks[index + 1 : end]
        alone = not any(block.kind == "heading" and block.level == 1 for block in later)
        return index < start and alone and not _is_navigation(self._blocks[index].element)

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
        if block.kind in ("table", "list", "code") or block.element.tag in ("figcaption", "caption"):
            return True
        words = len(_words(block.text))
        return words >= MIN_SENTENCE_WORDS or (words >= MIN_WORDS and block.text.endswith((".", "?", "!", ":", "。")))

    def _is_idle(self, index: int, kept: set[int]) -> bool:
        """Return whether an unmarked heading has nothing below it that is kept."""
        if self._blocks[index].kind != "heading" or index in self._marked:
            return False
        below = dropwhile(lambda i: self._blocks[i].kind == "heading", range(index + 1, len(self._blocks)))
        return not any(i in kept for i in takewhile(lambda i: self._blocks[i].kind != "heading", below))


def _is_navigation(element: Any) -> bool:
    return element.tag in NAVIGATION_TAGS or element.get("role") in _NAVIGATION_ROLES


def _is_named_like_navigation(element: Any) -> bool:
    names = _CAMEL.sub("-", f"{element.get('class') or ''} {element.get('id') or ''}")
    return element.tag not in ("main", "article") and bool(_NAVIGATION_NAMES.search(names))


def _upward(element: Any) -> Iterable[Any]:
    yield element
    yield from element.iterancestors()


def _path(element: Any) -> tuple[Any, ...]:
    """Return the elements around an element and itself, outermost first."""
    return tuple(reversed(list(_upward(element))))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
