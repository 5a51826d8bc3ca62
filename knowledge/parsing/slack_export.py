"""Export archives of Slack: a folder a channel, a JSON file a day. Read as one document, a section a channel.

Public channels only: private ones and direct messages are left out, and the document says how many.
"""

from __future__ import annotations

import html
import re
import zipfile
from typing import Any

from knowledge.errors import ParseError
from knowledge.parsing import archives, conversation
from knowledge.parsing.builder import Builder, Parsed
from knowledge.parsing.conversation import Message

_DAY = re.compile(r"(?P<root>[^/]+/)??(?P<channel>[^/]+)/\d{4}-\d\d-\d\d\.json")
_LISTS = ("channels.json", "groups.json", "mpims.json", "dms.json", "users.json")
_MARK = re.compile(r"<([^<>|]+)(?:\|([^<>]*))?>")
_NO_CONTENT = frozenset(
    """channel_join channel_leave channel_topic channel_purpose channel_name channel_archive channel_unarchive
    channel_convert_to_private channel_posting_permissions group_join group_leave group_topic group_purpose group_name
    bot_add bot_remove pinned_item unpinned_item reminder_add tombstone""".split()
)


def parse(data: bytes) -> Parsed:
    """Raises ParseError: no public channel in it, broken members."""
    builder = Builder()
    with archives.opened(data) as archive:
        days = [match for name in sorted(archive.namelist()) if (match := _DAY.fullmatch(name))]
        root = _root(archive)
        people = _people(archives.read_json(archive, f"{root}users.json"))
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
            written += conversation.write(builder, f"#{channel}", messages)
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


def _people(users: Any) -> dict[str, str]:
    """Names by id."""
    known = [user for user in users if isinstance(user, dict)] if isinstance(users, list) else []
    return {str(user.get("id")): _name(user) for user in known}


def _name(user: dict[str, Any]) -> str:
    profile = user.get("profile")
    shown = profile if isinstance(profile, dict) else {}
    return str(shown.get("display_name") or shown.get("real_name") or user.get("real_name") or user.get("name") or "")


def _day(archive: zipfile.ZipFile, name: str, people: dict[str, str]) -> list[Message]:
    entries = archives.read_json(archive, name)
    if not isinstance(entries, list):
        raise ParseError(f"{name} in it is no list of messages; export it again")
    told = [_message(entry, people) for entry in entries if isinstance(entry, dict)]
    return [message for message in told if message is not None]


def _message(entry: dict[str, Any], people: dict[str, str]) -> Message | None:
    """None for what no person wrote, such as joining a channel, and for entries without a time."""
    if entry.get("subtype") in _NO_CONTENT:
        return None
    try:
        key = str(entry["ts"])
        time = conversation.moment(float(key))
    except (KeyError, ValueError):
        return None
    files = [file for file in entry.get("files") or [] if isinstance(file, dict) and file.get("name")]
    lines = [_text(str(entry.get("text") or ""), people), *(f"[file: {file['name']}]" for file in files)]
    thread = entry.get("thread_ts")
    return Message(key, _author(entry, people), time, "\n".join(filter(None, lines)), str(thread) if thread else None)


def _author(entry: dict[str, Any], people: dict[str, str]) -> str:
    user = str(entry.get("user") or "")
    profile = entry.get("user_profile")
    shown = _name({"profile": profile}) if isinstance(profile, dict) else ""
    return people.get(user) or shown or str(entry.get("username") or "") or user or "unknown"


def _text(text: str, people: dict[str, str]) -> str:
    """Slack's own marks as a person reads them."""

    def plain(mark: re.Match[str]) -> str:
        target, label = mark[1], mark[2] or ""
        if target.startswith("@"):
            return "@" + (label or people.get(target[1:]) or target[1:])
        if target.startswith(("#", "!")):
            return target[0].replace("!", "@") + (label.lstrip("@") or target[1:].split("^")[0])
        return f"{label} ({target})" if label and label != target else target

    return html.unescape(_MARK.sub(plain, text))
