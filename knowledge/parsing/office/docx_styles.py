"""Resolves the styles and the numbering of a Word document: heading levels, list levels and the numbers shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from knowledge.parsing.office.ooxml_package import attribute, child, children, local_name
from knowledge.whole_numbers import whole_number

MAX_INHERITANCE = 50
"""Styles that a style may be based on, one on the other."""
_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)
_LEVELS = re.compile(r"%(\d)")
_BODY_LEVEL = 9
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
          (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
_MAX_ROMAN = 10_000


class ListItem(NamedTuple):
    """The level of a list item, from 0, and its label as shown: ``2.1.``, ``b)``, or ``-`` for a bullet."""

    level: int
    label: str


@dataclass(slots=True)
class Styles:
    """The paragraph styles of a document by ID."""

    _styles: dict[str, Any] = field(default_factory=dict)
    _default: str = ""

    @classmethod
    def of(cls, root: Any) -> Styles:
        """Read the styles part; None if the document has none."""
        styles = cls()
        for style in children(root, "style"):
            identifier = attribute(style, "styleId")
            styles._styles[identifier] = style
            if attribute(style, "type") == "paragraph" and attribute(style, "default") in ("1", "true"):
                styles._default = identifier
        return styles

    def chain(self, paragraph: Any) -> list[Any]:
        """Return the style of a paragraph and the styles that it is based on, the nearest first."""
        identifier = attribute(child(paragraph, "pPr", "pStyle"), "val") or self._default
        found: list[Any] = []
        while identifier in self._styles and len(found) < MAX_INHERITANCE:
            found.append(self._styles[identifier])
            identifier = attribute(child(found[-1], "basedOn"), "val")
        return found


def style_name(style: Any) -> str:
    """Return the name of a style. Names of built-in styles are English in every language of Word."""
    return attribute(child(style, "name"), "val") or attribute(style, "styleId")


def heading_level(paragraph: Any, chain: list[Any]) -> int:
    """Return the level of a heading, from 1, by the paragraph's outline level or its styles; 0 for other text."""
    for holder in (paragraph, *chain):
        match = _HEADING.match(style_name(holder)) if local_name(holder) == "style" else None
        if match:
            return int(match.group(1))
        written = whole_number(attribute(child(holder, "pPr", "outlineLvl"), "val"))
        if written is not None:
            return 0 if written >= _BODY_LEVEL else written + 1
    return 0


@dataclass(slots=True)
class Numbering:
    """Counts the items of every list in document order."""

    _lists: dict[str, Any] = field(default_factory=dict)
    _definitions: dict[str, Any] = field(default_factory=dict)
    _counts: dict[str, list[int | None]] = field(default_factory=dict)
    _started: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, root: Any) -> Numbering:
        """Read the numbering part; None if the document has none."""
        numbering = cls()
        numbering._definitions = {attribute(e, "abstractNumId"): e for e in children(root, "abstractNum")}
        numbering._lists = {attribute(e, "numId"): e for e in children(root, "num")}
        return numbering

    def item(self, paragraph: Any, chain: list[Any]) -> ListItem | None:
        """Return the item that a paragraph is in its list, and count it; None if it is in no list."""
        properties = [child(holder, "pPr", "numPr") for holder in (paragraph, *chain)]
        number = next((v for p in properties if (v := attribute(child(p, "numId"), "val"))), "")
        written = next((v for p in properties if (v := attribute(child(p, "ilvl"), "val"))), "")
        if number == "0" or number not in self._lists:
            return None
        identifier, definition = self._definition(number)
        levels = {attribute(e, "ilvl"): e for e in children(definition, "lvl")}
        names = [attribute(style, "styleId") for style in chain]
        linked = next((n for n, e in levels.items() if attribute(child(e, "pStyle"), "val") in names), "0")
        level = whole_number(written or linked) or 0
        return ListItem(level, self._label(number, identifier, levels, min(level, 8)))

    def _definition(self, number: str) -> tuple[str, Any]:
        """Return the definition of a list, and the ID that lists with the same count share."""
        identifier = attribute(child(self._lists[number], "abstractNumId"), "val")
        definition = self._definitions.get(identifier)
        link = attribute(child(definition, "numStyleLink"), "val")
        if link:
            same = (e for e in self._definitions.values() if attribute(child(e, "styleLink"), "val") == link)
            definition = next(same, definition)
        return identifier, definition

    def _label(self, number: str, identifier: str, levels: dict[str, Any], level: int) -> str:
        counts = self._counts.setdefault(identifier, [None] * 9)
        overrides = {attribute(e, "ilvl"): e for e in children(self._lists[number], "lvlOverride")}
        if number not in self._started:
            self._started.add(number)
            for name, override in overrides.items():
                start = whole_number(attribute(child(override, "startOverride"), "val"))
                place = whole_number(name)
                if start is not None and place is not None and place < len(counts):
                    counts[place] = start - 1
        levels = levels | {name: lvl for name, e in overrides.items() if (lvl := child(e, "lvl")) is not None}
        for above in range(level):
            if counts[above] is None:
                counts[above] = _start(levels.get(str(above)))
        before = counts[level]
        counts[level] = _start(levels.get(str(level))) if before is None else before + 1
        counts[level + 1 :] = [None] * (8 - level)
        return _shown(levels, counts, level)


def _start(level: Any) -> int:
    written = whole_number(attribute(child(level, "start"), "val"))
    return 1 if written is None else written


def _shown(levels: dict[str, Any], counts: list[int | None], level: int) -> str:
    definition = levels.get(str(level))
    kind = attribute(child(definition, "numFmt"), "val") or ("bullet" if definition is None else "decimal")
    if kind == "bullet":
        return "-"
    if kind == "none":
        return ""
    decimal_only = child(definition, "isLgl") is not None

    def value(match: re.Match[str]) -> str:
        place = int(match.group(1)) - 1
        count = counts[place] if 0 <= place < len(counts) else None
        form = "decimal" if decimal_only else attribute(child(levels.get(str(place)), "numFmt"), "val")
        return "" if count is None else _FORMATS.get(form, str)(count)

    return _LEVELS.sub(value, attribute(child(definition, "lvlText"), "val")).strip()


def _letters(count: int) -> str:
    return chr(ord("a") + (count - 1) % 26) * min((count - 1) // 26 + 1, 10) if count > 0 else ""


def _roman(count: int) -> str:
    if not 0 < count < _MAX_ROMAN:
        return str(count)
    written = ""
    for worth, letters in _ROMAN:
        times, count = divmod(count, worth)
        written += letters * times
    return written


_FORMATS: dict[str, Callable[[int], str]] = {
    "lowerLetter": _letters,
    "upperLetter": lambda count: _letters(count).upper(),
    "lowerRoman": _roman,
    "upperRoman": lambda count: _roman(count).upper(),
    "decimalZero": lambda count: f"{count:02}",
}
