"""Parses ZIP archives of DiscordChatExporter files into one document with a section for each channel.

The exporter writes one JSON file per channel. Direct messages are left out, and the document says how many.
"""

from __future__ import annotations

from knowledge.errors import ParseError
from knowledge.parsing import discord_messages, zip_archives
from knowledge.parsing.document_builder import Builder, ParsedDocument


def parse(data: bytes) -> ParsedDocument:
    """Parse the archive. Raises ParseError if it is damaged or has no message of a channel."""
    builder = Builder()
    written = hidden = 0
    titles: list[str] = []
    with zip_archives.open_zip(data) as archive:
        for name in sorted(archive.namelist()):
            if not name.lower().endswith(".json"):
                continue
            export = zip_archives.read_json(archive, name)
            if not discord_messages.is_channel(export):
                continue
            if discord_messages.is_direct(export):
                hidden += 1
                continue
            titles.append(discord_messages.guild_name(export))
            written += discord_messages.write(builder, export)
    if hidden:
        builder.add("paragraph", f"{hidden} direct messages of this export were left out.")
    if not written:
        raise ParseError(
            "it is a ZIP archive without a Slack or DiscordChatExporter export; unpack it and ingest the folder"
        )
    return builder.build(f"{titles[0]} Discord export".strip())
