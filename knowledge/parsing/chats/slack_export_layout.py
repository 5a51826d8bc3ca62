"""Finds the channels and lists of Slack exports among the names of files in an archive or a folder. Does no I/O.

An export has a folder for each channel with a JSON file for each day, and lists of the channels and members beside the
folders. An export of an organization has one such export for each workspace in ``teams/``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

CHANNEL_LISTS = ("channels.json", "groups.json", "mpims.json", "dms.json")
MEMBER_LISTS = ("users.json", "org_users.json")
LIST_FILES = CHANNEL_LISTS + MEMBER_LISTS
_DAY = re.compile(r"(?P<root>(?:[^/]+/)*)(?P<channel>[^/]+)/\d{4}-\d\d-\d\d\.json")
_UPLOADS = ("__uploads", "attachments", "files", "canvases")
"""Folders with files of all channels, beside those of the channels."""
_SINGLE_MEMBER = frozenset({"channels", "dms"})
"""The folders of an export of one member's conversations as text files."""


@dataclass(slots=True)
class SlackExport:
    """One export. ``root`` is empty or ends with a slash; ``lists`` and the ``days`` of each channel are file names."""

    root: str
    lists: dict[str, str] = field(default_factory=dict)
    days: dict[str, list[str]] = field(default_factory=dict)

    @property
    def workspace(self) -> str:
        """The name of the export's folder; empty for the top."""
        return self.root.rstrip("/").rpartition("/")[2]


def normalized(name: str) -> str:
    """Return a name with forward slashes. Archives made on Windows may have backslashes."""
    return name.replace("\\", "/")


def is_day(name: str) -> bool:
    """Return whether the name is that of a channel's day."""
    return _DAY.fullmatch(normalized(name)) is not None


def find_exports(names: Iterable[str]) -> list[SlackExport]:
    """Return the exports, with their channels and days in order."""
    exports: dict[str, SlackExport] = {}
    lists: dict[str, dict[str, str]] = {}
    for name in sorted(names):
        if match := _DAY.fullmatch(normalized(name)):
            export = exports.setdefault(match["root"], SlackExport(match["root"]))
            export.days.setdefault(match["channel"], []).append(name)
        folder, _, file = normalized(name).rpartition("/")
        if file in LIST_FILES:
            lists.setdefault(f"{folder}/" if folder else "", {})[file] = name
    for root, export in exports.items():
        export.lists = lists.get(root, {})
    return [exports[root] for root in sorted(exports)]


def member_lists(names: Iterable[str]) -> list[str]:
    """Return the names of all lists of members."""
    return sorted(name for name in names if normalized(name).rpartition("/")[2] in MEMBER_LISTS)


def belongs_to_export(name: str, exports: Iterable[SlackExport]) -> bool:
    """Return whether a file is a part of one of the exports that have a list of channels: a list, day or upload."""
    path = normalized(name)
    for export in exports:
        if not export.lists or not path.startswith(export.root):
            continue
        first, slash, _ = path.removeprefix(export.root).partition("/")
        if not slash:
            return first.endswith(".json")
        if first in export.days or first in _UPLOADS:
            return True
    return False


def of_single_member(names: Iterable[str]) -> set[str]:
    """Return the text files of exports of one member's conversations, which have a folder ``dms``."""
    folders: dict[str, set[str]] = {}
    files: dict[str, list[str]] = {}
    for name in names:
        parts = normalized(name).split("/")
        if len(parts) >= 2 and parts[-1].lower().endswith(".txt") and parts[-2] in _SINGLE_MEMBER:
            root = "/".join(parts[:-2])
            folders.setdefault(root, set()).add(parts[-2])
            files.setdefault(root, []).append(name)
    return {name for root, found in folders.items() if "dms" in found for name in files[root]}
