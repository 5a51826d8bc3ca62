"""Checks Slack's rules for blocks and modals, as far as the bot can break them, and describes each fault."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

from markdown_it import MarkdownIt

Block = dict[str, Any]

_MARKDOWN = MarkdownIt("commonmark").enable("table")
TEXT_LIMITS = {"header": 150, "section": 3000}


def units(text: str) -> int:
    """Return the UTF-16 code units of a text, which Slack counts."""
    return len(text.encode("utf-16-le")) // 2


def escaped_units(text: str) -> int:
    """Return the units of a text that Slack escapes before it counts."""
    return units(html.escape(text, quote=False))


def message_units(blocks: list[Block]) -> int:
    """Return the units of all blocks together; Slack accepts about 13,200 in a message. ``mrkdwn`` arrives escaped."""
    escaped = [text for block in blocks if block.get("type") == "context" for text in texts([block])]
    others = [text for block in blocks if block.get("type") != "context" for text in texts([block])]
    return sum(map(units, escaped)) + sum(map(escaped_units, others))


def rendered_blocks(blocks: list[Block]) -> int:
    """Return how many blocks Slack renders: in a ``markdown`` block, each heading, fence, table and text between them.

    Measured by others; Slack documents 50 blocks a message and that it divides ``markdown`` blocks itself.
    """
    return sum(_rendered(block.get("text", "")) if block.get("type") == "markdown" else 1 for block in blocks)


def _rendered(text: str) -> int:
    alone = {"heading_open", "fence", "code_block", "table_open", "hr"}
    kinds = [token.type for token in _MARKDOWN.parse(text) if token.level == 0 and token.nesting >= 0]
    runs = itertools.groupby(kinds, key=lambda kind: kind in alone)
    return sum(len(list(run)) if is_alone else 1 for is_alone, run in runs)


def faults(blocks: object) -> list[str]:
    """Return why Slack would refuse the blocks with ``invalid_blocks``; empty if they are valid."""
    if not isinstance(blocks, list):
        return ["blocks must be a list"]
    found = ["more than 50 blocks"] if len(blocks) > 50 or rendered_blocks(blocks) > 50 else []
    if sum(1 for block in blocks if block.get("type") == "table") > 1:
        found.append("only one table allowed")
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    if len(ids) != len(set(ids)):
        found.append("block_id used twice")
    for block in blocks:
        check = CHECKS.get(block.get("type", ""))
        found += list(check(block)) if check else [f"unknown block type {block.get('type')!r}"]
    return found


def markdown_chars(blocks: list[Block]) -> int:
    """Return the units of all ``markdown`` blocks together; Slack accepts 12,000 in a message."""
    return sum(escaped_units(block.get("text", "")) for block in blocks if block.get("type") == "markdown")


def markdown_marks(text: str, source: str) -> list[str]:
    """Return the marks of Markdown in a text that notifications show as it is.

    Code, HTML and escaped characters of the ``source`` may look like marks, so texts with any are not checked.
    """
    if re.search(r"[`~<\\\t]|    ", source):
        return []
    return re.findall(r"\*\*\w[^*\n]*\w\*\*|^#{1,6} \w", text, re.MULTILINE)


def texts(blocks: list[Block]) -> Iterator[str]:
    """Yield every text that a reader sees, in order."""
    for block in blocks:
        if block["type"] == "markdown":
            yield block["text"]
        elif block["type"] == "task_card":
            yield block["title"]
        elif block["type"] == "table":
            yield "\n".join(" | ".join(cell.get("text", "") for cell in row) for row in block["rows"])
        elif block["type"] == "context":
            yield from (element["text"] for element in block["elements"] if "text" in element)
        elif isinstance(block.get("text"), dict):
            yield block["text"]["text"]


def buttons(blocks: list[Block]) -> dict[str, Block]:
    """Return the buttons of a message by action ID."""
    rows = [block["elements"] for block in blocks if block["type"] == "actions"]
    return {element["action_id"]: element for row in rows for element in row if element["type"] == "button"}


def _markdown(block: Block) -> Iterator[str]:
    if not isinstance(block.get("text"), str) or not block["text"]:
        yield "markdown block without text"
    yield from _unknown(block, {"text"})


def _section(block: Block) -> Iterator[str]:
    if "text" not in block and "fields" not in block:
        yield "section without text or fields"
    if "text" in block:
        yield from _text(block["text"], 3000, {"mrkdwn", "plain_text"})
    yield from _unknown(block, {"text", "fields", "accessory", "expand"})


def _context(block: Block) -> Iterator[str]:
    elements = block.get("elements") or []
    if not 1 <= len(elements) <= 10:
        yield f"context with {len(elements)} elements"
    for element in elements:
        if element.get("type") != "image":
            yield from _text(element, 3000, {"mrkdwn", "plain_text"})
    yield from _unknown(block, {"elements"})


def _actions(block: Block) -> Iterator[str]:
    elements = block.get("elements") or []
    if not 1 <= len(elements) <= 25:
        yield f"actions with {len(elements)} elements"
    names = [element.get("action_id") for element in elements]
    if len(names) != len(set(names)):
        yield "action_id used twice"
    for element in elements:
        yield from _button(element)
    yield from _unknown(block, {"elements"})


def _button(element: Block) -> Iterator[str]:
    if element.get("type") != "button":
        yield f"unknown element {element.get('type')!r}"
    yield from _text(element.get("text") or {}, 75, {"plain_text"})
    if len(element.get("action_id", "")) > 255:
        yield "action_id too long"
    if len(element.get("value", "")) > 2000:
        yield "button value too long"
    if len(element.get("accessibility_label", "")) > 75:
        yield "accessibility_label too long"
    if element.get("style") not in (None, "primary", "danger"):
        yield f"button style {element['style']!r}"
    allowed = {"text", "action_id", "value", "accessibility_label", "style", "url", "confirm"}
    yield from _unknown(element, allowed)


def _table(block: Block) -> Iterator[str]:
    rows = block.get("rows") or []
    if not 1 <= len(rows) <= 100:
        yield f"table with {len(rows)} rows"
    if any(not 1 <= len(row) <= 20 for row in rows):
        yield "table row with no or more than 20 cells"
    if len({len(row) for row in rows}) > 1:
        yield "table rows of different lengths"
    cells = [cell for row in rows for cell in row]
    if any(cell.get("type") not in ("raw_text", "rich_text", "raw_number") for cell in cells):
        yield "unknown table cell"
    if any(cell.get("type") == "raw_text" and not cell.get("text") for cell in cells):
        yield "empty table cell"
    if sum(escaped_units(cell.get("text", "")) for cell in cells) > 10_000:
        yield "table with more than 10,000 characters"
    if len(block.get("column_settings") or []) > 20:
        yield "more than 20 column_settings"
    yield from _unknown(block, {"rows", "column_settings"})


def _header(block: Block) -> Iterator[str]:
    yield from _text(block.get("text") or {}, 150, {"plain_text"})


def _input(block: Block) -> Iterator[str]:
    yield from _text(block.get("label") or {}, 2000, {"plain_text"})
    if not isinstance(block.get("element"), dict):
        yield "input without element"


def _divider(block: Block) -> Iterator[str]:
    yield from _unknown(block, set())


def _text(text: Block, limit: int, kinds: set[str]) -> Iterator[str]:
    if text.get("type") not in kinds:
        yield f"text of type {text.get('type')!r}"
    shown = text.get("text") or ""
    length = units(shown) if text.get("type") == "mrkdwn" else escaped_units(shown)
    if not 1 <= length <= limit:
        yield f"text of {length} characters, {limit} allowed"
    allowed = {"text", "verbatim"} if text.get("type") == "mrkdwn" else {"text", "emoji"}
    yield from _unknown(text, allowed)


def _unknown(block: Block, allowed: set[str]) -> Iterator[str]:
    for key in block.keys() - allowed - {"type", "block_id"}:
        yield f"{block.get('type')} has no {key!r}"


CHECKS: dict[str, Callable[[Block], Iterator[str]]] = {
    "markdown": _markdown,
    "section": _section,
    "context": _context,
    "actions": _actions,
    "table": _table,
    "header": _header,
    "input": _input,
    "divider": _divider,
}


def view_faults(view: object) -> list[str]:
    """Return why Slack would refuse a modal."""
    if not isinstance(view, dict):
        return ["view must be an object"]
    found = [] if view.get("type") == "modal" else ["view is not a modal"]
    for part in ("title", "submit", "close"):
        if part in view:
            found += list(_text(view[part], 24, {"plain_text"}))
    if escaped_units(view.get("private_metadata", "")) > 3000:
        found.append("private_metadata too long")
    return found + faults(view.get("blocks"))
