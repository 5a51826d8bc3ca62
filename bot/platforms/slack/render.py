"""The bot's nouns to Slack's blocks. Pure.

The ``markdown`` block is rendered by Slack itself, so the text goes out as it is, save for what Slack would read as a
mention of people or channels. ``mrkdwn`` texts (sources, notes, fallbacks) are escaped in full.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.commands.base import Cell, File, Reply, Table
from bot.engine.display.citation_links import link
from bot.platforms.slack import user_messages
from bot.types.display import Action, Citation, Part

Block = dict[str, Any]

MARKDOWN_CHARS = 12_000
FALLBACK_CHARS = 300
TABLE_ROWS = 100
TABLE_COLUMNS = 20
TABLE_CHARS = 10_000
PLAIN_CHARS = 3_000
SOURCES = 10
QUOTE_CHARS = 240
NOTES_CHARS = 500
"""Escaped, a character can take five: texts are cut before, so that no escape is cut in two."""

METADATA_EVENT = "parley_part"
STREAMED = "parley_part:"
CARD_CHARS = 256
REASON_VIEW = "parley_reason"
SHARE = "parley_share"
HALT = "parley_halt"

_MENTION = re.compile(r"<(?=[@#!])")
_FULLWIDTH_LESS_THAN = "\uff1c"


def message(part: Part) -> dict[str, Any]:
    """Arguments of ``chat.postMessage`` and ``chat.update`` for one part of a reply."""
    text = part.text if part.text.strip() else user_messages.PENDING
    blocks = [markdown(text)]
    blocks += sources(part.sources)
    blocks += notes(part.notes)
    if part.actions:
        blocks.append(buttons(part.actions, part.turn_id))
    return {"text": fallback(text), "blocks": blocks}


def metadata(part: Part) -> dict[str, Any]:
    """What a posted part carries so that it can be recognised later."""
    return {"event_type": METADATA_EVENT, "event_payload": {"nonce": part.nonce, "turn_id": part.turn_id}}


def nonce_of(message: Mapping[str, Any]) -> str:
    """The nonce of a message that the bot posted or streams as a part; empty for any other."""
    carried = message.get("metadata") or {}
    if carried.get("event_type") == METADATA_EVENT:
        return str((carried.get("event_payload") or {}).get("nonce") or "")
    named = [str(block.get("task_id") or block.get("block_id") or "") for block in message.get("blocks") or []]
    return next((name.removeprefix(STREAMED) for name in named if name.startswith(STREAMED)), "")


def opening(part: Part) -> list[Block]:
    """The chunks that start a stream. It cannot carry metadata, so its card and its buttons are named by the nonce."""
    row = {**buttons(part.actions, part.turn_id), "block_id": STREAMED + part.nonce} if part.actions else None
    first = [card_chunk(part.nonce, card_title(part.text))] if part.waiting else []
    text = [] if part.waiting or not part.settled else [text_chunk(part.text[: part.settled])]
    return [*first, *([{"type": "blocks", "blocks": [row]}] if row else []), *text]


def card_chunk(nonce: str, title: str, *, done: bool = False) -> Block:
    """The line of a stream that says what is going on."""
    status = "complete" if done else "in_progress"
    return {"type": "task_update", "id": STREAMED + nonce, "title": title, "status": status}


def card_title(status: str) -> str:
    """A status as a card's title: plain text of at most 256 characters."""
    return _clipped(harmless(status).strip(" _*") or user_messages.PENDING, CARD_CHARS)


def text_chunk(text: str) -> Block:
    """More text of a stream, which mentions nobody."""
    return {"type": "markdown_text", "text": harmless(text)}


def reply(answer: Reply) -> dict[str, Any]:
    """Text and blocks of a command's answer; its file goes another way."""
    blocks = [markdown(answer.text)] if answer.text.strip() else []
    if answer.table is not None and answer.table.columns:
        shown, hidden = _fitting(answer.table)
        blocks.append(table(answer.table.columns[:TABLE_COLUMNS], shown))
        blocks += notes([user_messages.more_rows(hidden)] if hidden else [])
    if answer.shareable and answer.turn_id:
        label = {"type": "plain_text", "text": user_messages.SHARE}
        share = {"type": "button", "action_id": SHARE, "value": answer.turn_id, "text": label}
        blocks.append({"type": "actions", "elements": [share]})
    return {"text": fallback(answer.text), "blocks": blocks or [markdown(user_messages.PENDING)]}


def files(answer: Reply) -> list[File]:
    """What goes beside a command's answer: its own file, and in full what does not fit into the message."""
    found = [answer.file] if answer.file else []
    if len(answer.text) > MARKDOWN_CHARS:
        found.append(File("reply.md", answer.text.encode(), "text/markdown"))
    if answer.table is not None and (_fitting(answer.table)[1] or len(answer.table.columns) > TABLE_COLUMNS):
        found.append(File("table.csv", answer.table.csv(), "text/csv"))
    return found


def progress(text: str, stop: str) -> dict[str, Any]:
    """How far a command is; the button below runs ``/ingest stop STOP``."""
    button = {
        "type": "button",
        "action_id": HALT,
        "value": stop,
        "text": {"type": "plain_text", "text": user_messages.HALT},
    }
    row = [{"type": "actions", "elements": [button]}] if stop else []
    return {"text": fallback(text), "blocks": [markdown(text), *row]}


def plain_reply(answer: Reply) -> dict[str, Any]:
    """The same without blocks, for where Slack does not take them: a table becomes lines of text."""
    lines = [answer.text]
    if answer.table is not None:
        rows = [answer.table.columns, *answer.table.rows]
        lines += [" | ".join((_shown(cell) or "–") for cell in row) for row in rows]
    return {"text": escaped(_clipped("\n".join(lines).strip(), PLAIN_CHARS)) or user_messages.PENDING}


def markdown(text: str) -> Block:
    """A block of Markdown that mentions nobody, within Slack's limit."""
    safe = harmless(text)
    if len(safe) > MARKDOWN_CHARS:
        safe = safe[: MARKDOWN_CHARS - len(user_messages.CUT)] + user_messages.CUT
    return {"type": "markdown", "text": safe}


def harmless(text: str) -> str:
    """The text without ``<@U1>``, ``<!channel>``, ``<!subteam^S1>``, ``<#C1>``; as long as it was."""
    return _MENTION.sub(_FULLWIDTH_LESS_THAN, text)


def escaped(text: str) -> str:
    """Text for ``mrkdwn``, where ``&``, ``<`` and ``>`` are control characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def fallback(text: str) -> str:
    """What notifications and screen readers get beside the blocks."""
    return escaped(_clipped(text.strip(), FALLBACK_CHARS)) or user_messages.PENDING


def sources(cited: Sequence[Citation]) -> list[Block]:
    """One line with title, heading and quote for each source."""
    lines = [_source(citation) for citation in cited[:SOURCES]]
    blocks = [_context(line) for line in lines]
    rest = len(cited) - SOURCES
    return blocks + ([_context(user_messages.more_sources(rest))] if rest > 0 else [])


def _source(citation: Citation) -> str:
    title = _literal(_clipped(citation.title or citation.source, 150))
    if address := link(citation):
        title = f"<{_address(address)}|{title.replace('|', '¦')}>"
    place = [_literal(_clipped(heading, 80)) for heading in citation.heading[-2:] if heading != citation.title]
    if citation.page is not None:
        place.append(f"page {citation.page}")
    where = "".join(f" › {piece}" for piece in place)
    quote = _literal(_clipped(" ".join(citation.quote.split()), QUOTE_CHARS))
    return f"*[{citation.n}]* {title}{where}" + (f"\n“{quote}”" if quote else "")


def _address(url: str) -> str:
    unsafe = {"|": "%7C", "<": "%3C", ">": "%3E", " ": "%20", "&": "&amp;"}
    return "".join(unsafe.get(char, char) for char in url)


def _literal(text: str) -> str:
    """Escaped, and with no character left that ``mrkdwn`` takes for emphasis or code."""
    joiner = "\u2060"
    return re.sub(r"[*_~`]", lambda match: joiner + match.group() + joiner, escaped(text))


def notes(lines: Sequence[str]) -> list[Block]:
    """Small print, one block for all of it."""
    text = escaped(_clipped("\n".join(lines).strip(), NOTES_CHARS))
    return [_context(text)] if text else []


def _context(text: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text, "verbatim": True}]}


def buttons(actions: Sequence[Action], turn_id: str) -> Block:
    """A row of buttons whose value is the turn, so that they work after a restart."""
    return {"type": "actions", "elements": [_button(action, turn_id) for action in actions]}


def _button(action: Action, turn_id: str) -> dict[str, Any]:
    return {
        "type": "button",
        "action_id": f"parley_{action}",
        "value": turn_id,
        "text": {"type": "plain_text", "text": user_messages.LABELS[action], "emoji": True},
        "accessibility_label": user_messages.HINTS[action],
    }


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Block:
    """A table of at most 100 rows with its header, numbers to the right."""
    header = [_cell(column) for column in columns]
    body = [[_cell(cell) for cell in row[: len(columns)]] for row in rows]
    numeric = [
        bool(rows) and all(isinstance(row[index], int | float | None) for row in rows) for index in range(len(columns))
    ]
    return {
        "type": "table",
        "rows": [header, *body],
        "column_settings": [{"align": "right" if right else "left", "is_wrapped": True} for right in numeric],
    }


def _cell(value: Cell) -> dict[str, str]:
    return {"type": "raw_text", "text": _shown(value) or "–"}


def _shown(value: Cell) -> str:
    return f"{value:,}" if isinstance(value, int | float) else harmless(value or "")


def _fitting(full: Table) -> tuple[list[tuple[Cell, ...]], int]:
    """The first rows that Slack takes, and how many it does not."""
    room = TABLE_CHARS - sum(len(column) for column in full.columns[:TABLE_COLUMNS])
    shown: list[tuple[Cell, ...]] = []
    for row in full.rows[: TABLE_ROWS - 1]:
        cut = tuple(row[:TABLE_COLUMNS])
        room -= sum(len(_shown(cell)) or 1 for cell in cut)
        if room < 0:
            break
        shown.append(cut)
    return shown, len(full.rows) - len(shown)


def reason_view(turn_id: str, channel_id: str, thread_ts: str) -> dict[str, Any]:
    """The modal that asks what was wrong with an answer."""
    return {
        "type": "modal",
        "callback_id": REASON_VIEW,
        "private_metadata": json.dumps({"turn_id": turn_id, "channel_id": channel_id, "thread_ts": thread_ts}),
        "title": {"type": "plain_text", "text": user_messages.REASON_TITLE},
        "submit": {"type": "plain_text", "text": "Send"},
        "close": {"type": "plain_text", "text": "Skip"},
        "blocks": [
            {
                "type": "input",
                "block_id": "reason",
                "label": {"type": "plain_text", "text": user_messages.REASON_LABEL},
                "element": {
                    "type": "plain_text_input",
                    "action_id": "text",
                    "multiline": True,
                    "max_length": 1000,
                },
            }
        ],
    }


def about_view(callback_id: str, about: Mapping[str, str]) -> dict[str, Any]:
    """The modal that asks what somebody wants to know about a message."""
    said = {"type": "plain_text", "text": _clipped(about["said"] or "…", 300)}
    field = {"type": "plain_text_input", "action_id": "text", "multiline": True, "max_length": 1000}
    label = {"type": "plain_text", "text": user_messages.ABOUT_LABEL}
    return {
        "type": "modal",
        "callback_id": callback_id,
        "private_metadata": json.dumps(dict(about)),
        "title": {"type": "plain_text", "text": user_messages.ABOUT_TITLE},
        "submit": {"type": "plain_text", "text": "Ask"},
        "close": {"type": "plain_text", "text": "Cancel"},
        "blocks": [
            {"type": "context", "elements": [said]},
            {"type": "input", "block_id": "question", "label": label, "element": field},
        ],
    }


def turns_of(message: Mapping[str, Any]) -> list[str]:
    """The turns that a message of the bot answers, by its buttons."""
    elements = [element for block in message.get("blocks") or [] for element in block.get("elements") or []]
    own = [one for one in elements if str(one.get("action_id", "")).startswith("parley_")]
    known = [str(one["value"]) for one in own if one["action_id"] != HALT]
    return list(dict.fromkeys(known))


def _clipped(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
