"""Reads the text of a Word paragraph as a reader sees it, from every kind of element that can hold text.

Tracked insertions are read, deletions are not. Text boxes and notes are collected, to be written after the paragraph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from knowledge.parsing import superscripts
from knowledge.parsing.office.ooxml_package import attribute, child, children, descendants, is_on, local_name
from knowledge.whole_numbers import whole_number

_SKIPPED = frozenset(
    "pPr rPr tblPr trPr tcPr sdtPr sectPr tblGrid instrText delInstrText rt proofErr bookmarkStart docPr".split()
)
_DELETED = frozenset(("del", "moveFrom", "delText"))
_LITERALS = MappingProxyType({"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"})
_CHECKED, _UNCHECKED = "☒", "☐"
_WINGDINGS = MappingProxyType(
    {0x6F: "☐", 0x71: "☐", 0x72: "☐", 0x78: "☒", 0xA8: "☐", 0xFB: "✗", 0xFC: "✓", 0xFD: "☒", 0xFE: "☑", 0xE0: "→",
     0xA7: "▪", 0x6E: "■", 0x6C: "●"}
)  # fmt: skip
"""Symbols of the Wingdings font that stand for check boxes, marks and arrows, by their codes."""
_SYMBOL = "αβχδεφγηιϕκλμνοπθρστυϖωξψζ"
"""The Symbol font's letters a to z."""


@dataclass(slots=True)
class ParagraphText:
    """The text of one paragraph, and what stands beside it."""

    text: str
    boxes: list[Any] = field(default_factory=list)
    """Elements with the content of text boxes."""
    notes: list[tuple[str, str]] = field(default_factory=list)
    """The kind (``footnote``, ``endnote``, ``comment``) and the ID of each note."""
    graphics: list[tuple[str, str]] = field(default_factory=list)
    """The kind (``chart``, ``diagram``, ``picture``) and the relationship ID of each graphic."""


class TextReader:
    """Reads paragraphs in document order. Counts what it leaves out."""

    def __init__(self, *, include_hidden: bool = False) -> None:
        self.deletions = 0
        self.hidden = 0
        self._include_hidden = include_hidden
        self._fields: list[bool] = []
        """For each open field, whether its instruction is being read, which is not shown."""

    def read(self, paragraph: Any) -> ParagraphText:
        """Read a paragraph, or any element with text."""
        found = ParagraphText("")
        found.text = superscripts.written("".join(self._pieces(paragraph, found)))
        self._fields = [False for instruction in self._fields if not instruction]
        return found

    def _pieces(self, element: Any, found: ParagraphText) -> Iterator[str]:
        for item in element:
            name = local_name(item)
            if name in _DELETED:
                self.deletions += 1
                if self._include_hidden:
                    yield from self._pieces(item, found) if len(item) else (item.text or "",)
            elif name not in _SKIPPED:
                yield from self._piece(item, name, found)

    def _piece(self, item: Any, name: str, found: ParagraphText) -> Iterator[str]:
        special = _SPECIAL.get(name)
        if name == "fldChar":
            yield self._field(item)
        elif any(self._fields):
            yield from self._pieces(item, found)  # a field inside an instruction may end there
        elif name == "t":
            yield item.text or ""
        elif name in _LITERALS:
            yield _LITERALS[name]
        elif name == "r" and self._is_hidden(item):
            self.hidden += 1
        elif name == "r" and attribute(child(item, "rPr", "vertAlign"), "val") == "superscript":
            yield superscripts.marked("".join(self._pieces(item, found)))
        elif special:
            yield special(self, item, found)
        else:
            yield from self._pieces(item, found)

    def _is_hidden(self, run: Any) -> bool:
        return not self._include_hidden and is_on(child(run, "rPr", "vanish"))

    def _field(self, item: Any) -> str:
        """Follow a field: begin, instruction, separator, result, end. Return the state of a form field."""
        kind = attribute(item, "fldCharType")
        if kind == "begin":
            self._fields.append(True)
            return _form_field(child(item, "ffData"))
        if kind == "separate" and self._fields:
            self._fields[-1] = False
        elif kind == "end" and self._fields:
            self._fields.pop()
        return ""

    def _joined(self, element: Any, found: ParagraphText) -> str:
        return "" if element is None else "".join(self._pieces(element, found))

    def _symbol(self, item: Any, _: ParagraphText) -> str:
        try:
            code = int(attribute(item, "char"), 16)
        except ValueError:
            return ""
        font = attribute(item, "font").lower()
        low = code & 0xFF
        if font.startswith("wingdings"):
            return _WINGDINGS.get(low, "")
        if font == "symbol" and ord("a") <= low <= ord("z"):
            return _SYMBOL[low - ord("a")]
        return "" if 0xE000 <= code <= 0xF8FF else chr(code)

    def _alternative(self, item: Any, found: ParagraphText) -> str:
        """Read one of the alternatives: the first that holds any text."""
        alternatives = [*children(item, "Choice"), *children(item, "Fallback")]
        full = (e for e in alternatives if any((t.text or "").strip() for t in descendants(e, "t")))
        return self._joined(next(full, alternatives[0] if alternatives else None), found)

    def _box(self, item: Any, found: ParagraphText) -> str:
        found.boxes.append(item)
        return ""

    def _note(self, item: Any, found: ParagraphText) -> str:
        kind = local_name(item).removesuffix("Reference")
        found.notes.append((kind, attribute(item, "id")))
        return ""

    def _graphic(self, item: Any, found: ParagraphText) -> str:
        chart = local_name(item) == "chart"
        found.graphics.append(("chart", attribute(item, "id")) if chart else ("diagram", attribute(item, "dm")))
        return ""

    def _picture(self, item: Any, found: ParagraphText) -> str:
        found.graphics.append(("picture", attribute(item, "embed") or attribute(item, "id")))
        return ""

    def _fraction(self, item: Any, found: ParagraphText) -> str:
        return f"{self._joined(child(item, 'num'), found)}/{self._joined(child(item, 'den'), found)}"

    def _script(self, item: Any, found: ParagraphText) -> str:
        below, above = (self._joined(child(item, name), found) for name in ("sub", "sup"))
        base = self._joined(child(item, "e"), found)
        sign = attribute(child(item, "naryPr", "chr"), "val") or "∫" if local_name(item) == "nary" else base
        after = f" {base}" if local_name(item) == "nary" else ""
        return sign + (f"_{below}" if below else "") + (f"^{above}" if above else "") + after

    def _root(self, item: Any, found: ParagraphText) -> str:
        return f"{self._joined(child(item, 'deg'), found)}√({self._joined(child(item, 'e'), found)})"

    def _brackets(self, item: Any, found: ParagraphText) -> str:
        properties = child(item, "dPr")
        begin, end = child(properties, "begChr"), child(properties, "endChr")
        inside = ", ".join(self._joined(e, found) for e in children(item, "e"))
        first = "(" if begin is None else attribute(begin, "val")
        return first + inside + (")" if end is None else attribute(end, "val"))


def _form_field(data: Any) -> str:
    """Return what a form field shows: the mark of a check box or the chosen entry of a list."""
    box = child(data, "checkBox")
    if box is not None:
        state = child(box, "checked")
        return _CHECKED if is_on(state if state is not None else child(box, "default")) else _UNCHECKED
    entries = [attribute(e, "val") for e in children(child(data, "ddList"), "listEntry")]
    chosen = whole_number(attribute(child(data, "ddList", "result"), "val") or "0")
    return entries[chosen] if chosen is not None and chosen < len(entries) else ""


_SPECIAL: MappingProxyType[str, Callable[[TextReader, Any, ParagraphText], str]] = MappingProxyType(
    {
        "sym": TextReader._symbol,
        "AlternateContent": TextReader._alternative,
        "txbxContent": TextReader._box,
        "footnoteReference": TextReader._note,
        "endnoteReference": TextReader._note,
        "commentReference": TextReader._note,
        "chart": TextReader._graphic,
        "relIds": TextReader._graphic,
        "blip": TextReader._picture,
        "imagedata": TextReader._picture,
        "f": TextReader._fraction,
        "sSup": TextReader._script,
        "sSub": TextReader._script,
        "sSubSup": TextReader._script,
        "nary": TextReader._script,
        "rad": TextReader._root,
        "d": TextReader._brackets,
    }
)
