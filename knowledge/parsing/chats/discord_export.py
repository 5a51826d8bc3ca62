"""Parses ZIP archives of DiscordChatExporter files into one document with a section for each channel.

The exporter writes one JSON file per channel, or several numbered ones, which are joined.
``knowledge.parsing.chats.chat_visibility`` decides which channels are read, and the document says how many were left
out.
"""

from __future__ import annotations

import re
from typing import Any

from knowledge.errors import ParseError, PrivateChatError
from knowledge.parsing import zip_archives
from knowledge.parsing.chats import discord_messages
from knowledge.parsing.chats.chat_export_forms import refuse_json
from knowledge.parsing.chats.chat_visibility import may_read
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.parsing.parse_options import NO_OPTIONS, ParseOptions
from knowledge.text.counted_nouns import counted

_PARTITION = re.compile(r"(?P<name>.*?)(?: \[part (?P<number>[0-9]{1,9})\])?\.json", re.IGNORECASE | re.DOTALL)


def parse(data: bytes, options: ParseOptions = NO_OPTIONS) -> ParsedDocument:
    """Parse the archive. Raises ParseError if it is damaged or has no message of a channel that may be read.

    ``options.private_chats`` reads private threads too.
    """
    channels: dict[str, list[dict[str, Any]]] = {}
    hidden: set[str] = set()
    broken: list[str] = []
    with zip_archives.open_zip(data) as archive:
        for name in sorted(filter(_PARTITION.fullmatch, archive.namelist()), key=partition):
            try:
                export = zip_archives.read_json(archive, name)
            except ParseError:
                broken.append(name)
                continue
            if not discord_messages.is_channel(export):
                refuse_json(export, name)
                continue
            key = discord_messages.channel_key(export)
            if may_read(discord_messages.visibility(export), private_chats=options.private_chats):
                channels.setdefault(key, []).append(export)
            else:
                hidden.add(key)
    return _document(list(channels.values()), len(hidden), broken)


def partition(name: str) -> tuple[str, int]:
    """Return the name of a file without ``[part 2]``, and the number of the part; the first part has no number."""
    match = _PARTITION.fullmatch(name)
    return (match["name"], int(match["number"] or 1)) if match else (name, 1)


def _left_out(count: int) -> str:
    hidden = counted(count, "direct message or private thread", "direct messages and private threads")
    return f"{hidden} of this export {'was' if count == 1 else 'were'} left out."


def _document(channels: list[list[dict[str, Any]]], hidden: int, broken: list[str]) -> ParsedDocument:
    builder = Builder()
    if hidden:
        builder.add("paragraph", _left_out(hidden))
    written = sum([discord_messages.write(builder, parts) for parts in channels])
    if broken:
        builder.add(
            "paragraph", f"{counted(len(broken), 'file')} of this export could not be read: {', '.join(broken[:10])}"
        )
    if written:
        return builder.build(f"{discord_messages.guild_name(channels[0][0])} Discord export".strip())
    if hidden:
        raise PrivateChatError(discord_messages.PRIVATE)
    if broken:
        raise ParseError(f"the file {broken[0]} in this archive is not valid JSON. Export the archive again")
    raise ParseError("it is a ZIP archive without a Slack or DiscordChatExporter export. Add its documents one by one")
