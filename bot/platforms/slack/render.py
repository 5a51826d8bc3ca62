"""Renders reply parts and command replies as Slack blocks. Makes no requests.

Slack renders the ``markdown`` block itself, so its text is sent unchanged, except for what Slack would read as a
mention of a user or channel. ``mrkdwn`` texts (sources, notes, fallbacks) are escaped completely.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.commands.admin_notices import ButtonNotice, NoticeAction
from bot.commands.base import Cell, File, Reply, Table
from bot.engine.display import output_filter
from bot.engine.display.character_filter import visible
from bot.engine.display.citation_links import as_plain_text, link
from bot.engine.display.split import fitting
from bot.engine.markdown import truncated, utf16_units
from bot.platforms.slack import text_limits, user_messages
from bot.platforms.slack.text_limits import ELEMENT_SIZE, MARKDOWN_SIZE, MESSAGE_SIZE, TABLE_SIZE, escape, size
from bot.types.display import Action, Citation, Part

Block = dict[str, Any]

FALLBACK_CHARS = 300
PLAIN_CHARS, PLAIN_TEXT_CHARS = 3_900, 3_000
"""The most characters of a message without blocks, and of its own text. Slack allows 4,000 in an edit."""
TABLE_ROWS = 100
TABLE_COLUMNS = 20
MAX_SOURCES = 10
QUOTE_CHARS = 240
NOTES_CHARS = 1_000
TITLE_CHARS = 150
HEADING_CHARS = 80

METADATA_EVENT = "parley_part"
STREAM_ID_PREFIX = "parley_part:"
CARD_CHARS = 256
SHARE_ACTION = "parley_share"
STOP_INGEST_ACTION = "parley_halt"
NOTICE_ACTIONS: Mapping[NoticeAction, str] = {
    "accept": "parley_accept",
    "save": "parley_save",
    "verify": "parley_verify",
}
_WITHOUT_TURN = frozenset((STOP_INGEST_ACTION, *NOTICE_ACTIONS.values()))

_MENTION_START = re.compile(r"<(?=[@#!])")
_FULLWIDTH_LESS_THAN = "\uff1c"


def message(part: Part) -> dict[str, Any]:
    """Return the arguments of ``chat.postMessage`` and ``chat.update`` for one part of a reply."""
    text = part.text if part.text.strip() else user_messages.PENDING
    if part.plain:
        # An edit keeps the earlier blocks unless it sends an empty list.
        return {"text": _plain_message(part, text), "blocks": []}
    blocks, below = [markdown(text, part.links)], notes(part.notes)
    blocks += sources(part.sources, MESSAGE_SIZE - _size_of(blocks) - _size_of(below))
    blocks += below
    if part.actions:
        blocks.append(buttons(part.actions, part.turn_id))
    return {"text": fallback(text, part.links), "blocks": blocks}


def _plain_message(part: Part, text: str) -> str:
    """Return a part without blocks: its text with its sources and notes below, within the limit of an edit."""
    shown = _mrkdwn(text, PLAIN_TEXT_CHARS, part.links)
    notes_below = text_limits.mrkdwn(visible("\n".join(part.notes)).strip(), NOTES_CHARS)
    for line in filter(None, [notes_below, *map(_source, part.sources[:MAX_SOURCES])]):
        longer = f"{shown}\n\n{line}"
        if utf16_units(longer) > PLAIN_CHARS:
            break
        shown = longer
    return shown


def metadata(part: Part) -> dict[str, Any]:
    """Return the message metadata by which a posted part is found again."""
    return {"event_type": METADATA_EVENT, "event_payload": {"nonce": part.nonce, "turn_id": part.turn_id}}


def nonce_of(message: Mapping[str, Any]) -> str:
    """Return the nonce of a message that the bot posted or streams as a part; empty for any other message."""
    attached = message.get("metadata") or {}
    if attached.get("event_type") == METADATA_EVENT:
        return str((attached.get("event_payload") or {}).get("nonce") or "")
    ids = [str(block.get("task_id") or block.get("block_id") or "") for block in message.get("blocks") or []]
    return next((name.removeprefix(STREAM_ID_PREFIX) for name in ids if name.startswith(STREAM_ID_PREFIX)), "")


def first_chunks(part: Part) -> list[Block]:
    """Return the chunks that start a stream.

    A stream cannot carry metadata, so the IDs of its card and its buttons contain the nonce.
    """
    row = {**buttons(part.actions, part.turn_id), "block_id": STREAM_ID_PREFIX + part.nonce} if part.actions else None
    card = [card_chunk(part.nonce, card_title(part.text))] if part.waiting else []
    text = [] if part.waiting or not part.settled else [text_chunk(part.text[: part.settled])]
    return [*card, *([{"type": "blocks", "blocks": [row]}] if row else []), *text]


def card_chunk(nonce: str, title: str, *, done: bool = False) -> Block:
    """Return the chunk that sets the status line of a stream."""
    status = "complete" if done else "in_progress"
    return {"type": "task_update", "id": STREAM_ID_PREFIX + nonce, "title": title, "status": status}


def card_title(status: str) -> str:
    """Return a status as a card title: plain text of at most 256 characters."""
    return text_limits.plain(visible(disable_mentions(status)).strip(" _*") or user_messages.PENDING, CARD_CHARS)


def text_chunk(text: str) -> Block:
    """Return the chunk that appends text to a stream, with mentions disabled."""
    return {"type": "markdown_text", "text": disable_mentions(text)}


def reply(answer: Reply) -> dict[str, Any]:
    """Return the text and blocks of a command's reply, without its files."""
    blocks = _reply_text(answer)
    if answer.table is not None and answer.table.columns:
        shown, hidden = _rows_that_fit(answer, answer.table)
        blocks.append(table(answer.table.columns[:TABLE_COLUMNS], shown))
        blocks += notes([user_messages.hidden_rows(hidden)] if hidden else [])
    if answer.shareable and answer.turn_id:
        label = {"type": "plain_text", "text": user_messages.SHARE}
        share = {"type": "button", "action_id": SHARE_ACTION, "value": answer.turn_id, "text": label}
        blocks.append({"type": "actions", "elements": [share]})
    return {"text": fallback(answer.text, answer.links), "blocks": blocks or [markdown(user_messages.PENDING)]}


def files(answer: Reply) -> list[File]:
    """Return the files of a command's reply: its own file, and the full version of what the message truncates."""
    attached = [answer.file] if answer.file else []
    if not fitting(answer.text, _text_room(answer), answer.links, size)[1]:
        attached.append(File("reply.md", answer.text.encode(), "text/markdown"))
    rows = answer.table
    if rows is not None and (_rows_that_fit(answer, rows)[1] or len(rows.columns) > TABLE_COLUMNS):
        attached.append(File("table.csv", rows.csv(), "text/csv"))
    return attached


def progress(text: str, stop: str) -> dict[str, Any]:
    """Return the progress message of a command; its button runs ``/ingest stop STOP``."""
    button = {
        "type": "button",
        "action_id": STOP_INGEST_ACTION,
        "value": stop,
        "text": {"type": "plain_text", "text": user_messages.STOP_INGEST},
    }
    row = [{"type": "actions", "elements": [button]}] if stop else []
    return {"text": fallback(text), "blocks": [markdown(text), *row]}


def button_notice(notice: ButtonNotice) -> dict[str, Any]:
    """Return a notice; its buttons run commands."""
    buttons = [
        {
            "type": "button",
            "action_id": NOTICE_ACTIONS[one.action],
            "style": "danger" if one.destructive else "primary",
            "value": one.value,
            "text": {"type": "plain_text", "text": one.label},
        }
        for one in notice.buttons
    ]
    row = [{"type": "actions", "elements": buttons}] if buttons else []
    return {"text": fallback(notice.text), "blocks": [markdown(notice.text), *row]}


def plain_reply(answer: Reply) -> dict[str, Any]:
    """Return a command's reply without blocks, for when Slack refuses them: a table becomes lines of text."""
    text = _mrkdwn(answer.text, ELEMENT_SIZE, answer.links)
    for row in [answer.table.columns, *answer.table.rows] if answer.table is not None else []:
        cells = (output_filter.plain(_cell_text(cell) or "–", answer.links) for cell in row)
        longer = f"{text}\n{' | '.join(map(_plain_mrkdwn, cells))}"
        if utf16_units(longer) > ELEMENT_SIZE:
            break
        text = longer
    return {"text": text or user_messages.PENDING}


def _reply_text(answer: Reply) -> list[Block]:
    return [markdown(answer.text, answer.links, _text_room(answer))] if answer.text.strip() else []


def _text_room(answer: Reply) -> int:
    """Return how long the text of a reply may be: below it a table needs about half of the message."""
    return MARKDOWN_SIZE // 2 if answer.table is not None and answer.table.rows else MARKDOWN_SIZE


def markdown(text: str, links: frozenset[str] = frozenset(), limit: int = MARKDOWN_SIZE) -> Block:
    """Return a Markdown block within ``limit``, sanitized: only addresses in ``links`` become links."""
    safe, complete = fitting(text, limit, links, size)
    if not complete:
        room = limit - size(user_messages.TRUNCATED)
        safe = fitting(text, room, links, size)[0] + user_messages.TRUNCATED
    return {"type": "markdown", "text": disable_mentions(safe)}


def _mrkdwn(text: str, limit: int, links: frozenset[str]) -> str:
    """Return text for a place where Slack links every address: addresses not in ``links`` are defanged."""
    return text_limits.mrkdwn(output_filter.plain(text.strip(), links).strip(), limit)


def disable_mentions(text: str) -> str:
    """Return the text, at the same length, with ``<@U1>``, ``<!channel>``, ``<!subteam^S1>`` and ``<#C1>`` disabled."""
    return _MENTION_START.sub(_FULLWIDTH_LESS_THAN, text)


def fallback(text: str, links: frozenset[str] = frozenset()) -> str:
    """Return the plain text that notifications and screen readers use in place of the blocks."""
    return _mrkdwn(as_plain_text(text[: 2 * FALLBACK_CHARS]), FALLBACK_CHARS, links) or user_messages.PENDING


def sources(cited: Sequence[Citation], room: int = MESSAGE_SIZE) -> list[Block]:
    """Return one block with title, heading and quote for each source, as many as fit into ``room``."""
    blocks = [_context(_source(citation)) for citation in cited[:MAX_SOURCES]]
    while blocks and _size_of([*blocks, *_hidden_sources(len(cited) - len(blocks))]) > room:
        blocks.pop()
    return [*blocks, *_hidden_sources(len(cited) - len(blocks))]


def _hidden_sources(count: int) -> list[Block]:
    return [_context(user_messages.hidden_sources(count))] if count > 0 else []


def _size_of(blocks: Sequence[Block]) -> int:
    """Return how much of a message the Markdown and the small print of these blocks take."""
    small_print = (element["text"] for block in blocks for element in block.get("elements", ()))
    return sum(size(block.get("text", "")) for block in blocks) + sum(map(utf16_units, small_print))


def _source(citation: Citation) -> str:
    """Return a source as ``mrkdwn``. A link that is too long opens the top of the page, or is left out."""
    title = _without_formatting(citation.title or citation.source, TITLE_CHARS)
    place = [
        _without_formatting(heading, HEADING_CHARS) for heading in citation.heading[-2:] if heading != citation.title
    ]
    if citation.page is not None:
        place.append(user_messages.page_number(citation.shown_page))
    path = "".join(f" › {piece}" for piece in place)
    quote = _without_formatting(citation.quote, QUOTE_CHARS)
    rest = path + (f"\n“{quote}”" if quote else "")
    url = link(citation)
    linked = [f"<{_escape_url(one)}|{title.replace('|', '¦')}>" for one in (url, url.partition("#")[0]) if one]
    shown = (f"*[{citation.n}]* {name}{rest}" for name in (*linked, title))
    return next(text for text in shown if utf16_units(text) <= ELEMENT_SIZE)


def _escape_url(url: str) -> str:
    unsafe = {"|": "%7C", "<": "%3C", ">": "%3E", " ": "%20", "&": "&amp;"}
    return "".join(unsafe.get(char, char) for char in url)


def _without_formatting(text: str, limit: int) -> str:
    """Return text on one line in which ``mrkdwn`` sees no emphasis or code, escaped and cut to ``limit``."""
    return _plain_mrkdwn(
        truncated(" ".join(visible(text).split()), limit, lambda shown: utf16_units(_plain_mrkdwn(shown)))
    )


def _plain_mrkdwn(text: str) -> str:
    word_joiner = "\u2060"
    return re.sub(r"[*_~`]", lambda match: word_joiner + match.group() + word_joiner, escape(text))


def notes(lines: Sequence[str]) -> list[Block]:
    """Return one block with all notes in small print."""
    text = text_limits.mrkdwn(visible("\n".join(lines)).strip(), NOTES_CHARS)
    return [_context(text)] if text else []


def _context(text: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text, "verbatim": True}]}


def buttons(actions: Sequence[Action], turn_id: str) -> Block:
    """Return a row of buttons. Their value is the turn ID, so that they work after a restart."""
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
    """Return a table of at most 100 rows including the header, with numbers aligned right."""
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
    return {"type": "raw_text", "text": _cell_text(value) or "–"}


def _cell_text(value: Cell) -> str:
    return f"{value:,}" if isinstance(value, int | float) else visible(disable_mentions(value or ""))


def _rows_that_fit(answer: Reply, full: Table) -> tuple[list[tuple[Cell, ...]], int]:
    """Return the first rows that Slack accepts below the text, and the number of rows left out."""
    room = min(TABLE_SIZE, MESSAGE_SIZE - NOTES_CHARS - _size_of(_reply_text(answer)))
    room -= sum(size(column) for column in full.columns[:TABLE_COLUMNS])
    shown: list[tuple[Cell, ...]] = []
    for row in full.rows[: TABLE_ROWS - 1]:
        cells = tuple(row[:TABLE_COLUMNS])
        room -= sum(size(_cell_text(cell)) or 1 for cell in cells)
        if room < 0:
            break
        shown.append(cells)
    return shown, len(full.rows) - len(shown)


def turns_of(message: Mapping[str, Any]) -> list[str]:
    """Return the IDs of the turns that a message of the bot answers, read from its buttons."""
    elements = [element for block in message.get("blocks") or [] for element in block.get("elements") or []]
    own_buttons = [element for element in elements if str(element.get("action_id", "")).startswith("parley_")]
    turn_ids = [str(button["value"]) for button in own_buttons if button["action_id"] not in _WITHOUT_TURN]
    return list(dict.fromkeys(turn_ids))
