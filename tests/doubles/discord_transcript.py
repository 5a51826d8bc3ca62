"""Formats everything in the Discord double as text: each channel with its messages, edits, files and buttons."""

from __future__ import annotations

from tests.doubles.discord_models import THREAD, Channel, Message
from tests.doubles.discord_world import World


def transcript(world: World) -> str:
    """Return every channel with its messages, and how often each message was edited."""
    lines: list[str] = []
    for channel in world.channels.values():
        if channel.messages:
            lines += ["", _title(channel)]
        for message in channel.messages.values():
            lines += _lines(message)
    return "\n".join(lines)


def _title(channel: Channel) -> str:
    if channel.recipient is not None:
        return f"== direct messages with {channel.recipient.name}"
    return f"== thread: {channel.name}" if channel.kind == THREAD else f"== #{channel.name}"


def _lines(message: Message) -> list[str]:
    marks = [f"{message.edits} edits"] if message.edits else []
    marks += ["deleted"] if message.deleted else []
    marks += [f"visible only to {message.seen_by.name}"] if message.seen_by else []
    head = f"{message.author.name}{' (' + ', '.join(marks) + ')' if marks else ''}:"
    body = [*message.content.split("\n"), *message.embed_text().split("\n")]
    body += [f"[file {file.name}, {len(file.data)} bytes]" for file in message.attachments]
    body += [f"[{'] ['.join(message.buttons())}]"] if message.components else []
    return [head, *(f"    {line}" for line in body if line)]
