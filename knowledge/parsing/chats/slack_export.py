"""Parses Slack export archives (ZIP) into one document with a section for each channel that may be read.

``knowledge.parsing.chats.chat_visibility`` decides which these are. The document says how many others were left
out, and which days could not be read.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

from knowledge.errors import ParseError, PrivateChatError
from knowledge.parsing import zip_archives
from knowledge.parsing.chats import chat_messages, slack_messages
from knowledge.parsing.chats.chat_messages import Message
from knowledge.parsing.chats.chat_visibility import may_read, slack_visibility
from knowledge.parsing.chats.slack_export_layout import CHANNEL_LISTS, SlackExport, find_exports, member_lists
from knowledge.parsing.document_builder import Builder, ParsedDocument
from knowledge.parsing.parse_options import NO_OPTIONS, ParseOptions
from knowledge.text.counted_nouns import counted

MAX_NAMED_DAYS = 10


def parse(data: bytes, options: ParseOptions = NO_OPTIONS) -> ParsedDocument:
    """Parse the archive. Raises ParseError if it is damaged or has no message in a channel that may be read.

    ``options.private_chats`` reads private channels too.
    """
    builder = Builder()
    broken: list[str] = []
    with zip_archives.open_zip(data) as archive:
        names = _member_names(archive)
        exports = find_exports(archive.namelist())
        channels = [(export, channel) for export in exports for channel in _readable(archive, export, options)]
        hidden = sum(len(export.days) for export in exports) - len(channels)
        if hidden:
            builder.add("paragraph", _left_out(hidden))
        written = 0
        for export, channel in channels:
            title = f"#{channel} ({export.workspace})" if len(exports) > 1 and export.workspace else f"#{channel}"
            messages = list(_messages(archive, export.days[channel], names, broken))
            written += chat_messages.write_channel(builder, title, messages)
    if not written and broken:
        raise ParseError(f"the file {broken[0]} in this archive is not a valid list of messages. Export it again")
    if not written:
        raise PrivateChatError(
            "it is a Slack export without a message in a public channel that channels.json lists (left out: "
            f"{counted(hidden, 'other')}). Export a public channel, or add a private one for its members with "
            "--audience CHANNEL"
        )
    if broken:
        shown = ", ".join(broken[:MAX_NAMED_DAYS]) + (", ..." if len(broken) > MAX_NAMED_DAYS else "")
        builder.add("paragraph", f"{counted(len(broken), 'day')} of this export could not be read: {shown}")
    return builder.build("Slack export")


def _left_out(count: int) -> str:
    hidden = counted(count, "private channel or direct message", "private channels and direct messages")
    return f"{hidden} of this export {'was' if count == 1 else 'were'} left out."


def _member_names(archive: zipfile.ZipFile) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in member_lists(archive.namelist()):
        found |= slack_messages.names_by_id(_read_list(archive, name))
    return found


def _readable(archive: zipfile.ZipFile, export: SlackExport, options: ParseOptions) -> list[str]:
    """Return the channels of an export that may be read."""
    lists = {name: _read_list(archive, export.lists[name]) for name in CHANNEL_LISTS if name in export.lists}
    return [
        name for name in export.days if may_read(slack_visibility(name, lists), private_chats=options.private_chats)
    ]


def _read_list(archive: zipfile.ZipFile, name: str) -> object:
    """Return a list of channels or members. One that is damaged counts as missing, so that fewer channels are read."""
    try:
        return zip_archives.read_json(archive, name)
    except ParseError:
        return None


def _messages(archive: zipfile.ZipFile, days: list[str], names: dict[str, str], broken: list[str]) -> Iterator[Message]:
    """Yield the messages of a channel. The names of days that cannot be read are added to ``broken``."""
    deleted: set[str] = set()
    messages: list[Message] = []
    for day in days:
        try:
            entries = zip_archives.read_json(archive, day)
        except ParseError:
            entries = None
        if isinstance(entries, list):
            deleted |= slack_messages.deleted_keys(entries)
            messages += slack_messages.messages(entries, names)
        else:
            broken.append(day)
    return (message for message in messages if message.key not in deleted)
