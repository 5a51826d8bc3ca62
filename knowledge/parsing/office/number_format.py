"""Shows a number in the way that its cell's number format does: decimals, thousands, percent, currency and units.

Dates and times are not handled here: the library that reads workbooks converts them. Formats by ECMA-376, 18.8.31.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import ROUND_HALF_UP, Decimal

_SECTIONS = re.compile(r'("[^"]*"|\\.|\[[^\]]*\]|[^;"\\\[])|(;)')
_CURRENCY = re.compile(r"\[\$([^\]-]*)(?:-[^\]]*)?\]")
_BRACKETS = re.compile(r"\[[^\]]*\]")
_TOKEN = re.compile(r'"([^"]*)"|\\(.)|_.|\*.|([0#?][0#?,.]*|\.[0#?]+)|(.)', re.S)
_UNSUPPORTED = re.compile(r"[eE][+-]|/|@")


def show_number(value: float, number_format: str) -> str:
    """Return a number as its format shows it; without a format that can be shown, its shortest exact form."""
    plain = f"{value:.15g}" if isinstance(value, float) else str(value)
    if number_format in ("General", "", "@"):
        return plain
    section, shown = _section(value, number_format)
    section = _BRACKETS.sub("", _CURRENCY.sub(lambda found: f'"{found.group(1)}"', section))
    if _UNSUPPORTED.search(re.sub(r'"[^"]*"', "", section)):
        return plain
    return _filled(shown, section) or plain


def show_duration(value: dt.timedelta, number_format: str) -> str:
    """Return a duration as hours, minutes and, if the format has them, seconds: ``36:15`` or ``36:15:00``."""
    seconds = round(value.total_seconds())
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    shown = f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}"
    return f"{shown}:{seconds % 60:02}" if "s" in number_format.lower() else shown


def _section(value: float, number_format: str) -> tuple[str, float]:
    """Return the part of the format for the number's sign, and the number to show by it."""
    sections = [""]
    for found in _SECTIONS.finditer(number_format):
        if found.group(2):
            sections.append("")
        else:
            sections[-1] += found.group(1)
    if "[<" in sections[0] or "[>" in sections[0] or "[=" in sections[0]:
        return "", value
    if value < 0 and len(sections) > 1:
        return sections[1], -value
    if value == 0 and len(sections) > 2:
        return sections[2], value
    return sections[0], value


def _filled(value: float, section: str) -> str:
    tokens = list(_TOKEN.finditer(section))
    digits = "".join(token.group(3) or "" for token in tokens)
    literal = "".join(token.group(1) or token.group(2) or token.group(4) or "" for token in tokens)
    if not digits:
        return literal if literal.strip() and "eneral" not in literal else ""
    percent = sum((token.group(4) or "") == "%" for token in tokens)
    places = [index for index, token in enumerate(tokens) if token.group(3)]
    shown = _digits(value * 100**percent if percent else value, digits)
    out = ["-"] if value < 0 and shown.strip("0.,") else []
    for index, token in enumerate(tokens):
        if index == places[0]:
            out.append(shown)
        elif not token.group(3):
            out.append(token.group(1) or token.group(2) or token.group(4) or "")
    return "".join(out).strip()


def _digits(value: float, pattern: str) -> str:
    """Return the size of a number with the decimals and the separators of the placeholders."""
    scale = len(pattern) - len(pattern.rstrip(","))
    whole, _, decimals = pattern.rstrip(",").partition(".")
    most, least = len(decimals), decimals.count("0")
    exact = abs(Decimal(repr(float(f"{value:.15g}")))) / Decimal(1000) ** scale
    rounded = exact.quantize(Decimal(1).scaleb(-most), ROUND_HALF_UP) if exact < Decimal(10) ** 20 else exact
    shown = f"{rounded:,f}" if "," in whole else f"{rounded:f}"
    if most > least and "." in shown:
        kept, _, after = shown.partition(".")
        after = after[:least] + after[least:].rstrip("0")
        shown = f"{kept}.{after}" if after else kept
    width = whole.count("0")
    before, dot, after = shown.partition(".")
    return before.zfill(width) + dot + after if "," not in whole else shown
