"""Collects the lines that a reader of a Discord message sees: text, embeds, polls, stickers, files and forwards.

Alerts of apps leave the text empty and write into embeds; a forward has the text of another message. Does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Entry = Mapping[str, Any]
MAX_DEPTH = 4
"""Forwards of forwards are read to this depth."""


def lines(entry: Entry) -> list[str]:
    """Return the lines of a message, in the form of Discord's API or of DiscordChatExporter."""
    return [line for line in _message_lines(entry, 0) if line.strip()]


def _message_lines(entry: Entry, depth: int) -> Iterator[str]:
    yield from _interaction(entry)
    yield str(entry.get("content") or "")
    yield from _embeds(entry)
    yield from _poll(entry.get("poll"))
    for sticker in _objects(entry.get("sticker_items") or entry.get("stickers")):
        yield f"[sticker: {sticker.get('name')}]"
    for file in _objects(entry.get("attachments")):
        yield f"[file: {file.get('fileName') or file.get('filename')}]"
    for forwarded in _forwarded(entry) if depth < MAX_DEPTH else ():
        yield "[forwarded]"
        yield from _message_lines(forwarded, depth + 1)


def _interaction(entry: Entry) -> Iterator[str]:
    """Yield the command that the message answers."""
    interaction = entry.get("interaction") or entry.get("interactionMetadata")
    if isinstance(interaction, dict) and interaction.get("name"):
        user = interaction.get("user")
        asker = author_name({"author": user}) if isinstance(user, dict) else ""
        yield f"[/{interaction['name']}{' of ' + asker if asker else ''}]"


def author_name(entry: Entry) -> str:
    """Return the name of a message's author as an export has it."""
    author = entry.get("author") or {}
    return str(author.get("nickname") or author.get("name") or "unknown")


def _embeds(entry: Entry) -> Iterator[str]:
    for embed in _objects(entry.get("embeds")):
        author = embed.get("author")
        footer = embed.get("footer")
        yield str(author.get("name") or "") if isinstance(author, dict) else ""
        yield str(embed.get("title") or "")
        yield str(embed.get("description") or "")
        for part in _objects(embed.get("fields")):
            yield ": ".join(filter(None, (str(part.get("name") or ""), str(part.get("value") or ""))))
        yield str(footer.get("text") or "") if isinstance(footer, dict) else ""


def _poll(poll: Any) -> Iterator[str]:
    """Yield the question of a poll, and each answer with its votes."""
    if not isinstance(poll, dict):
        return
    yield f"[poll] {_media_text(poll.get('question'))}"
    results = poll.get("results")
    counts = _objects(results.get("answer_counts")) if isinstance(results, dict) else []
    votes = {count.get("id"): count.get("count") for count in counts}
    for answer in _objects(poll.get("answers")):
        count = votes.get(answer.get("answer_id"), 0)
        yield f"{_media_text(answer.get('poll_media'))}: {count} {'vote' if count == 1 else 'votes'}"


def _media_text(media: Any) -> str:
    return str(media.get("text") or "") if isinstance(media, dict) else ""


def _forwarded(entry: Entry) -> Iterator[dict[str, Any]]:
    """Yield the messages that this one forwards, as the exporter and as Discord's API write them."""
    if isinstance(entry.get("forwardedMessage"), dict):
        yield entry["forwardedMessage"]
    for snapshot in _objects(entry.get("message_snapshots") or entry.get("messageSnapshots")):
        if isinstance(snapshot.get("message"), dict):
            yield snapshot["message"]


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
