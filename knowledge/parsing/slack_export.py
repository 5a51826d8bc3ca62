"""Export archives of Slack: a folder a channel, a JSON file a day. Read as one document, a section a channel.

Public channels only: private ones and direct messages are left out, and the document says how many.
"""

from __future__ import annotations

import re
import zipfile

from knowledge.errors import ParseError
from knowledge.parsing import archives, chat_messages, slack_messages
from knowledge.parsing.chat_messages import Message
from knowledge.parsing.document_builder import Builder, Parsed

_DAY = re.compile(r"(?P<root>[^/]+/)??(?P<channel>[^/]+)/\d{4}-\d\d-\d\d\.json")
_LISTS = ("channels.json", "groups.json", "mpims.json", "dms.json", "users.json")


def parse(data: bytes) -> Parsed:
    """Raises ParseError: no public channel in it, broken members."""
    builder = Builder()
    with archives.opened(data) as archive:
        days = [match for name in sorted(archive.namelist()) if (match := _DAY.fullmatch(name))]
        root = _root(archive)
        people = slack_messages.people_of(archives.read_json(archive, f"{root}users.json"))
        folders: dict[str, list[str]] = {}
        for match in days:
            if (match["root"] or "") == root:
                folders.setdefault(match["channel"], []).append(match.string)
        public, hidden = _public(archive, root, folders)
        if hidden:
            builder.add("paragraph", f"{hidden} private channels and direct messages of this export were left out.")
        written = 0
        for channel in public:
            messages = [told for name in folders[channel] for told in _day(archive, name, people)]
            written += chat_messages.write(builder, f"#{channel}", messages)
    if not written:
        raise ParseError("it is an export of Slack without a message in a public channel")
    return builder.build("Slack export")


def _root(archive: zipfile.ZipFile) -> str:
    """The folder that holds the lists of users and channels; it is the archive's own where there are none."""
    names = sorted((name for name in archive.namelist() if name.rpartition("/")[2] in _LISTS), key=len)
    return names[0].rpartition("/")[0] + "/" if names and "/" in names[0] else ""


def _public(archive: zipfile.ZipFile, root: str, folders: dict[str, list[str]]) -> tuple[list[str], int]:
    """The folders of public channels, and how many others there are."""
    channels = archives.read_json(archive, f"{root}channels.json")
    if isinstance(channels, list):
        named = {str(channel.get("name")) for channel in channels if isinstance(channel, dict)}
    else:
        named = folders.keys() - {
            str(entry.get(key))
            for list_name in ("groups.json", "mpims.json", "dms.json")
            for entry in archives.read_json(archive, root + list_name) or []
            if isinstance(entry, dict)
            for key in ("name", "id")
        }
    public = sorted(name for name in folders if name in named)
    return public, len(folders) - len(public)


def _day(archive: zipfile.ZipFile, name: str, people: dict[str, str]) -> list[Message]:
    entries = archives.read_json(archive, name)
    if not isinstance(entries, list):
        raise ParseError(f"{name} in it is no list of messages; export it again")
    return slack_messages.messages(entries, people)
