"""Parses Slack export archives (ZIP) into one document with a section for each public channel.

An export has a folder for each channel and a JSON file for each day. Private channels and direct messages are left out,
and the document says how many.
"""

from __future__ import annotations

import re
import zipfile

from knowledge.errors import ParseError
from knowledge.parsing import chat_messages, slack_messages, zip_archives
from knowledge.parsing.chat_messages import Message
from knowledge.parsing.document_builder import Builder, ParsedDocument

_DAY = re.compile(r"(?P<root>[^/]+/)??(?P<channel>[^/]+)/\d{4}-\d\d-\d\d\.json")
_LIST_FILES = ("channels.json", "groups.json", "mpims.json", "dms.json", "users.json")


def parse(data: bytes) -> ParsedDocument:
    """Parse the archive. Raises ParseError if it is damaged or has no message in a public channel."""
    builder = Builder()
    with zip_archives.open_zip(data) as archive:
        days = [match for name in sorted(archive.namelist()) if (match := _DAY.fullmatch(name))]
        root = _root(archive)
        names = slack_messages.names_by_id(zip_archives.read_json(archive, f"{root}users.json"))
        folders: dict[str, list[str]] = {}
        for match in days:
            if (match["root"] or "") == root:
                folders.setdefault(match["channel"], []).append(match.string)
        public, hidden = _public_channels(archive, root, folders)
        if hidden:
            builder.add("paragraph", f"{hidden} private channels and direct messages of this export were left out.")
        written = 0
        for channel in public:
            messages = [message for day in folders[channel] for message in _day(archive, day, names)]
            written += chat_messages.write_channel(builder, f"#{channel}", messages)
    if not written:
        raise ParseError("it is a Slack export without a message in a public channel; export a public channel")
    return builder.build("Slack export")


def _root(archive: zipfile.ZipFile) -> str:
    """Return the prefix of the folder with the lists of users and channels; empty for the top of the archive."""
    names = sorted((name for name in archive.namelist() if name.rpartition("/")[2] in _LIST_FILES), key=len)
    return names[0].rpartition("/")[0] + "/" if names and "/" in names[0] else ""


def _public_channels(archive: zipfile.ZipFile, root: str, folders: dict[str, list[str]]) -> tuple[list[str], int]:
    """Return the folders of the public channels, and how many other folders there are."""
    channels = zip_archives.read_json(archive, f"{root}channels.json")
    if isinstance(channels, list):
        public_names = {str(channel.get("name")) for channel in channels if isinstance(channel, dict)}
    else:
        public_names = folders.keys() - {
            str(entry.get(key))
            for list_name in ("groups.json", "mpims.json", "dms.json")
            for entry in zip_archives.read_json(archive, root + list_name) or []
            if isinstance(entry, dict)
            for key in ("name", "id")
        }
    public = sorted(name for name in folders if name in public_names)
    return public, len(folders) - len(public)


def _day(archive: zipfile.ZipFile, name: str, names: dict[str, str]) -> list[Message]:
    entries = zip_archives.read_json(archive, name)
    if not isinstance(entries, list):
        raise ParseError(f"the file {name} in this archive is not a list of messages; export the archive again")
    return slack_messages.messages(entries, names)
