"""Collects the lines that a reader of a Slack message sees: text, blocks, attachments, shared messages and files.

Many apps leave ``text`` empty or short and write the message into blocks and attachments. Does no I/O.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

MAX_DEPTH = 12
"""Nested blocks and shared messages are read to this depth."""
_MARKUP = re.compile(r"<[^<>]*>")
_FILE_TEXTS = ("plain_text", "preview_plain_text", "preview")
"""The text of a snippet or post, the best first. A preview may be only its beginning."""
_TEXT_KEYS = ("pretext", "author_name", "title", "text")


def lines(entry: Mapping[str, Any]) -> list[str]:
    """Return the lines of a message, each once. They may contain Slack's markup."""
    return list(_unrepeated(_message_lines(entry, 0)))


def _message_lines(entry: Mapping[str, Any], depth: int) -> Iterator[str]:
    yield str(entry.get("text") or "")
    yield from _blocks(entry.get("blocks"), depth)
    for attachment in _objects(entry.get("attachments")):
        yield from _attachment(attachment, depth + 1)
    for file in _objects(entry.get("files")):
        yield from _file(file)


def _unrepeated(found: Iterable[str]) -> Iterator[str]:
    """Yield the texts that are not repeated by an earlier one. ``text`` often has what the blocks have."""
    seen = ""
    for text in found:
        compared = [_compared(line) for line in text.splitlines() if line.strip()]
        if not all(line in seen for line in compared):
            seen += "\n".join((*compared, ""))
            yield text.strip()


def _compared(text: str) -> str:
    """Return the letters and digits of a line without markup, which the blocks and the text write differently."""
    plain = _MARKUP.sub(" ", html.unescape(text))
    return "".join(character for character in plain.casefold() if character.isalnum()) or text.strip()


def _attachment(attachment: Mapping[str, Any], depth: int) -> Iterator[str]:
    """Yield the lines of an attachment: a card of an app, the preview of a link, or a message that was shared."""
    if depth > MAX_DEPTH:
        return
    found = [str(attachment[key]) for key in _TEXT_KEYS if attachment.get(key)]
    found += map(_field, _objects(attachment.get("fields")))
    found += _blocks(attachment.get("blocks"), depth)
    for shared in _objects(attachment.get("message_blocks")):
        message = shared.get("message")
        if isinstance(message, dict):
            found += _blocks(message.get("blocks"), depth)
    for file in _objects(attachment.get("files")):
        found += _file(file)
    for nested in _objects(attachment.get("attachments")):
        found += _attachment(nested, depth + 1)
    if not any(map(str.strip, found)):
        found.append(str(attachment.get("fallback") or ""))
    found.append(str(attachment.get("footer") or ""))
    yield from found


def _field(field: Mapping[str, Any]) -> str:
    return ": ".join(filter(None, (str(field.get("title") or ""), str(field.get("value") or ""))))


def _file(file: Mapping[str, Any]) -> Iterator[str]:
    """Yield the title and name of a file, and the text of a snippet, a post or a clip."""
    title, name = str(file.get("title") or ""), str(file.get("name") or "")
    shown = f"{title} ({name})" if title and name and _compared(title) != _compared(name) else name or title
    if shown:
        yield f"[file: {shown}]"
    yield next((file[key] for key in _FILE_TEXTS if isinstance(file.get(key), str) and file[key].strip()), "")
    yield _transcript(file.get("transcription"))
    comment = file.get("initial_comment")
    if isinstance(comment, dict):
        yield str(comment.get("comment") or "")


def _transcript(transcription: Any) -> str:
    """Return what Slack heard in a voice or video clip, or its beginning."""
    preview = transcription.get("preview") if isinstance(transcription, dict) else None
    return str(preview.get("content") or "") if isinstance(preview, dict) else ""


def _blocks(value: Any, depth: int) -> Iterator[str]:
    for block in _objects(value):
        yield _block_text(block, depth)


def _block_text(block: Mapping[str, Any], depth: int) -> str:
    """Return the text of a block and the blocks in it: one line for each section, item or field."""
    if depth > MAX_DEPTH:
        return ""
    match block.get("type"):
        case "rich_text" | "rich_text_list" | "context" | "actions":
            parts = (_block_text(one, depth + 1) for one in _objects(block.get("elements")))
            return "\n".join(filter(None, parts))
        case "rich_text_section" | "rich_text_quote" | "rich_text_preformatted":
            return "".join(_inline(one) for one in _objects(block.get("elements")))
        case "table":
            return "\n".join(_row(row, depth) for row in _lists(block.get("rows")))
        case _:
            found = [_text_object(block.get(key)) for key in ("title", "text", "alt_text", "description", "label")]
            found += [_text_object(one) for one in _objects(block.get("fields"))]
            if isinstance(block.get("accessory"), dict):
                found.append(_block_text(block["accessory"], depth + 1))
            return "\n".join(filter(None, found))


def _row(row: list[Any], depth: int) -> str:
    return " | ".join(_block_text(cell, depth + 1) for cell in _objects(row))


def _inline(element: Mapping[str, Any]) -> str:
    """Return an inline element in the markup of Slack's texts."""
    match element.get("type"):
        case "user":
            return f"<@{element.get('user_id')}>"
        case "channel":
            return f"<#{element.get('channel_id')}>"
        case "usergroup":
            return f"<!subteam^{element.get('usergroup_id')}>"
        case "broadcast":
            return f"<!{element.get('range')}>"
        case "emoji":
            return f":{element.get('name')}:"
        case "link":
            url, label = str(element.get("url") or ""), str(element.get("text") or "")
            return f"<{url}|{label}>" if label else f"<{url}>"
        case "date":
            label = f"|{element['fallback']}" if element.get("fallback") else ""
            return f"<!date^{element.get('timestamp')}^{element.get('format')}{label}>"
        case _:
            return str(element.get("text") or "")


def _text_object(value: Any) -> str:
    """Return the text of a text object, which may be a plain string."""
    if isinstance(value, dict):
        return str(value.get("text") or "") if isinstance(value.get("text"), str) else ""
    return value if isinstance(value, str) else ""


def _lists(value: Any) -> list[list[Any]]:
    return [item for item in value if isinstance(item, list)] if isinstance(value, list) else []


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
