"""Reads the text of HTML elements as a browser shows it: words apart where lines break, nothing hidden, no comments."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from knowledge.parsing.superscripts import superscript

BLOCK_TAGS = frozenset(
    """address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure
    footer form h1 h2 h3 h4 h5 h6 header hgroup html legend li main menu nav ol optgroup option p pre search section
    summary table tbody td tfoot th thead tr ul""".split()
)
"""Elements that start and end a line."""
SKIPPED_TAGS = frozenset(
    """script style noscript template svg iframe head object embed audio video canvas map input select textarea button
    datalist progress meter annotation annotation-xml rp""".split()
)
"""Elements whose content is not read. A button is read inside a heading, because it opens and closes a section."""
BUTTON_PLACES = ("h1", "h2", "h3", "h4", "h5", "h6", "summary", "dt")
_HIDDEN_STYLE = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_PERMALINKS = frozenset(("¶", "#", "§", "🔗", "\uf0c1", "Link to this heading", "Permalink"))
_RAISED_STYLE = re.compile(r"(?:^|;)\s*vertical-align\s*:\s*super\b", re.IGNORECASE)
_FORMULAS = frozenset(("mfrac", "msup", "msubsup", "msqrt"))
_NO_BAR = re.compile(r"0+(?:\.0+)?[a-z%]*")
"""Thickness of the line of a binomial coefficient, which is no fraction."""
_NUMBER_OR_NAME = re.compile(r"[-−]?(?:\d+(?:[.,]\d+)*|[^\W\d_]+)")
_SPACE = re.compile(r"[ \t\n\r\f\v]+")
"""White space that a browser collapses. A no-break space is none of it."""


def is_skipped(element: Any) -> bool:
    """Return whether a browser shows nothing of an element, or something that is no text of the page."""
    tag = element.tag
    if not isinstance(tag, str):
        return True
    if tag in SKIPPED_TAGS:
        return tag != "button" or not any(above.tag in BUTTON_PLACES for above in element.iterancestors())
    if element.get("hidden") is not None and element.get("role") != "tabpanel":
        return True
    if _HIDDEN_STYLE.search(element.get("style") or ""):
        return True
    if tag in ("span", "i", "a") and element.get("aria-hidden") == "true":
        return True
    return tag == "a" and "".join(element.itertext()).strip() in _PERMALINKS


def remove_skipped(tree: Any) -> None:
    """Remove what is not shown from a tree, comments included. The text behind each stays where it is."""
    for element in list(tree.iter()):
        if element.getparent() is None or element.tag == "head" or not is_skipped(element):
            continue
        _remove(element)


def _remove(element: Any) -> None:
    parent, tail = element.getparent(), element.tail or ""
    before = element.getprevious()
    if before is not None:
        before.tail = (before.tail or "") + tail
    else:
        parent.text = (parent.text or "") + tail
    element.tail = None
    parent.remove(element)


def text_of(element: Any, *, line_break: str = " ") -> str:
    """Return the text in an element, on one line, or with ``line_break`` where the page breaks a line."""
    return collapsed(pieces_of(element), line_break)


def pieces_of(element: Any) -> Iterable[str]:
    """Yield the text in an element piece by piece. ``"\\n"`` alone is a line break, as between two paragraphs."""
    if element.text:
        yield element.text.replace("\n", " ")
    for child in element:
        yield from inline_pieces(child)
        if child.tail:
            yield child.tail.replace("\n", " ")


def inline_pieces(element: Any) -> Iterable[str]:
    """Yield the text of an element inside a line, without the text behind it."""
    tag = element.tag
    if tag == "br" or tag == "hr":
        yield "\n"
    elif tag == "sup" or (tag == "span" and _RAISED_STYLE.search(element.get("style") or "")):
        yield superscript(text_of(element))
    elif tag in _FORMULAS and (formula := _formula(element)):
        yield formula
    elif tag == "q":
        yield from ("“", text_of(element), "”")
    elif tag in BLOCK_TAGS:
        yield "\n"
        yield from pieces_of(element)
        yield "\n"
    elif isinstance(tag, str):
        yield from pieces_of(element)


def _formula(element: Any) -> str:
    """Return a fraction, power or root of MathML on one line; empty if it does not have the parts that it needs.

    https://www.w3.org/TR/mathml-core/#fractions-mfrac
    """
    parts = [part for part in element if isinstance(part.tag, str)]
    match element.tag, parts:
        case "mfrac", [above, below] if not _NO_BAR.fullmatch(element.get("linethickness") or ""):
            return f"{_operand(_shown(above))}/{_operand(_shown(below))}"
        case "msup", [base, raised]:
            return f"{_shown(base)}{_power(_shown(raised))}"
        case "msubsup", [base, lowered, raised]:
            return f"{_shown(base)}{_shown(lowered)}{_power(_shown(raised))}"
        case "msqrt", [_, *_]:
            return f"√{_operand(text_of(element))}"
    return ""


def _shown(element: Any) -> str:
    return collapsed(inline_pieces(element), " ")


def _power(text: str) -> str:
    return f"^{_operand(text)}" if any(map(str.isalnum, text)) else superscript(text)


def _operand(text: str) -> str:
    """Return a part of a formula, in brackets if it is more than a number or a name."""
    return text if _NUMBER_OR_NAME.fullmatch(text) or len(text) < 2 else f"({text})"


def collapsed(pieces: Iterable[str], line_break: str = " ") -> str:
    """Join pieces of text and collapse their white space. Soft hyphens go, which only say where a word may break."""
    lines = "".join(pieces).replace("\u00ad", "").split("\n")
    shown = (_SPACE.sub(" ", line).strip(" ") for line in lines)
    return line_break.join(line for line in shown if line).strip()


def code_of(element: Any) -> str:
    """Return the text of preformatted code with its lines and indentation."""
    pieces: list[str] = []
    _add_code(element, pieces)
    return "".join(pieces).replace("\r\n", "\n").strip("\n")


def _add_code(element: Any, pieces: list[str]) -> None:
    pieces.append(element.text or "")
    for child in element:
        block = child.tag in BLOCK_TAGS
        if child.tag == "br":
            pieces.append("\n")
        else:
            if block and pieces[-1] and not pieces[-1].endswith("\n"):
                pieces.append("\n")
            _add_code(child, pieces)
            if block and not (pieces[-1] or "").endswith("\n"):
                pieces.append("\n")
        pieces.append(child.tail or "")
