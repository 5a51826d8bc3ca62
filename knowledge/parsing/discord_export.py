"""Archives of DiscordChatExporter: a JSON file a channel. Read as one document, a section a channel.

Direct messages are left out, and the document says how many.
"""

from __future__ import annotations

from knowledge.errors import ParseError
from knowledge.parsing import archives, discord_messages
from knowledge.parsing.document_builder import Builder, Parsed


def parse(data: bytes) -> Parsed:
    """Raises ParseError: no channel in it, broken members."""
    builder = Builder()
    written = hidden = 0
    titles: list[str] = []
    with archives.opened(data) as archive:
        for name in sorted(archive.namelist()):
            if not name.lower().endswith(".json"):
                continue
            value = archives.read_json(archive, name)
            if not discord_messages.is_channel(value):
                continue
            if discord_messages.is_direct(value):
                hidden += 1
                continue
            titles.append(discord_messages.guild_of(value))
            written += discord_messages.write(builder, value)
    if hidden:
        builder.add("paragraph", f"{hidden} direct messages of this export were left out.")
    if not written:
        raise ParseError(
            "it is a ZIP archive without an export of Slack or of DiscordChatExporter; unpack it and ingest the folder"
        )
    return builder.build(f"{titles[0]} Discord export".strip())
