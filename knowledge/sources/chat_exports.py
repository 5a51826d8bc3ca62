"""Splits the files of a Slack or Discord export, in a folder or an archive, into documents of one channel each.

Each document is a small archive for the parser, so that an export of any size is read a channel or month at a time.
``knowledge.parsing.chats.chat_visibility`` decides which channels are read.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from knowledge.parsing.chats.chat_visibility import may_read, slack_visibility
from knowledge.parsing.chats.discord_export import partition
from knowledge.parsing.chats.slack_export_layout import (
    CHANNEL_LISTS,
    SlackExport,
    belongs_to_export,
    find_exports,
    member_lists,
    normalized,
    of_single_member,
)
from knowledge.parsing.zip_archives import DAMAGED

MAX_CHANNEL_BYTES = 8 * 2**20
"""A channel with more bytes is split into months."""
_EMPTY_DAY = b"[]"


@dataclass(frozen=True, slots=True)
class ExportPart:
    """A document to make from ``messages``, the names of its files. ``lists`` are files about channels and people.

    ``hidden`` are days that it names but never reads. The parser counts the channels of ``hidden`` as left out.
    """

    name: str
    title: str
    messages: tuple[str, ...]
    lists: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

    @property
    def members(self) -> tuple[str, ...]:
        """The names of all files that are read for the document."""
        return (*self.lists, *self.messages)

    def archive(self, contents: Mapping[str, bytes]) -> bytes:
        """Return the files that could be read as an uncompressed archive."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as made:
            for member, content in contents.items():
                made.writestr(zipfile.ZipInfo(member), content)
            for member in self.hidden:
                made.writestr(zipfile.ZipInfo(member), _EMPTY_DAY)
        return buffer.getvalue()


@dataclass(slots=True)
class ExportPlan:
    """The documents of all exports, and the names of all files that belong to the exports, read or not."""

    parts: list[ExportPart] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    private_files: set[str] = field(default_factory=set)
    """Files of exports of one member's conversations, which are not read."""
    private_channels: set[str] = field(default_factory=set)
    """Names of the documents that channels would have that must not be read."""
    unreadable_lists: list[str] = field(default_factory=list)
    """Lists without which nobody knows which channels of their export are public. The export is not read."""

    def is_private(self, name: str) -> bool:
        """Return whether a document is that of a channel, or of its month, that must not be read."""
        return name in self.private_channels or name.rpartition("/")[0] in self.private_channels


def plan(
    sizes: Mapping[str, int], read: Callable[[str], bytes], *, private_chats: bool, discord: bool = True
) -> ExportPlan:
    """Return how to read the exports among the files, whose sizes in bytes ``sizes`` has by name.

    ``read`` returns the content of a list of channels; it raises what a damaged archive or file raises. ``discord``
    also joins the numbered files of a Discord channel.
    """
    exports = [export for export in find_exports(sizes) if export.lists]
    made = ExportPlan(taken={name for name in sizes if belongs_to_export(name, exports)})
    made.private_files = of_single_member(sizes)
    made.taken |= made.private_files
    for export in exports:
        lists = {name: _json_list(read, export.lists[name]) for name in CHANNEL_LISTS if name in export.lists}
        if unreadable := [export.lists[name] for name, value in lists.items() if value is None]:
            made.unreadable_lists += unreadable
            continue
        readable = {
            channel: may_read(slack_visibility(channel, lists), private_chats=private_chats) for channel in export.days
        }
        made.private_channels |= {f"{export.root}{channel}" for channel in export.days if not readable[channel]}
        made.parts += _slack_parts(export, sizes, readable)
    for name, members in _discord_channels(sizes).items() if discord else ():
        if made.taken.isdisjoint(members):
            made.taken.update(members)
            made.parts.append(ExportPart(f"{name}.json", "", tuple(members)))
    return made


def _slack_parts(export: SlackExport, sizes: Mapping[str, int], readable: Mapping[str, bool]) -> Iterator[ExportPart]:
    hidden = tuple(days[0] for channel, days in export.days.items() if not readable[channel])
    # Lists of the top of an organization's export name the members of all its workspaces.
    lists = (*export.lists.values(), *(name for name in member_lists(sizes) if name not in export.lists.values()))
    for channel, days in export.days.items():
        if readable[channel]:
            for name, some in _split(f"{export.root}{channel}", days, sizes).items():
                yield ExportPart(name, f"Slack export #{channel}", tuple(some), lists, hidden)
                hidden = ()
    if hidden:
        yield ExportPart(export.root.rstrip("/"), "Slack export", (), tuple(export.lists.values()), hidden)


def _split(name: str, days: Sequence[str], sizes: Mapping[str, int]) -> dict[str, list[str]]:
    """Return the days by the name of their document: one for the channel, or one for each month of a large one."""
    if sum(sizes[day] for day in days) <= MAX_CHANNEL_BYTES:
        return {name: list(days)}
    months: dict[str, list[str]] = {}
    for day in days:
        months.setdefault(f"{name}/{normalized(day).rpartition('/')[2][:7]}", []).append(day)
    return months


def _json_list(read: Callable[[str], bytes], name: str) -> Any:
    """Return the content of a list of channels; None if it cannot be read."""
    try:
        return json.loads(read(name))
    except DAMAGED:
        return None


def _discord_channels(sizes: Mapping[str, int]) -> dict[str, list[str]]:
    """Return the files of each channel that has more than one, in order."""
    found: dict[str, list[str]] = {}
    for name in sorted((name for name in sizes if name.lower().endswith(".json")), key=partition):
        found.setdefault(partition(name)[0], []).append(name)
    return {name: members for name, members in found.items() if any(partition(one)[1] > 1 for one in members)}
