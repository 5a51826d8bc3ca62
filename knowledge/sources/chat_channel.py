"""The history of a chat channel, a document a month: what was said, threads together under the month they began in.

A first reading goes from the newest month to the oldest, and a later one goes on where it was broken off. After that
only what is new is read, and what may have been edited or deleted since.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from knowledge.types import NOTHING_KNOWN, Fetched, Item, Known, Mark, Unchanged

LOOK_BACK = timedelta(days=30)
"""How far back a later reading looks for edits, deletions and replies to what stands in the channel."""
LIVELY = timedelta(days=3)
"""How long after its last message a thread is read again though it looks the same: an edited reply does not show."""
_WHOLE = "read to its beginning"

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Post:
    """A message that stands in the channel itself; ``entry`` is it in the form of its platform's exports.

    ``thread`` tells the state of the thread that begins with it: another one when a reply came or went; empty where
    there is none. ``lively`` is when the thread was last written in, in seconds since 1970.
    """

    key: str
    at: float
    entry: Entry
    thread: str = ""
    lively: float = 0.0
    replies: tuple[Entry, ...] = ()

    @property
    def month(self) -> str:
        """``2026-11``, in UTC."""
        return f"{datetime.fromtimestamp(self.at, UTC):%Y-%m}"


class Reading(Protocol):
    """An open channel. Everything raises SourceError, in words that say what to do."""

    def posts(self, *, after: datetime | None, before: datetime | None) -> AsyncIterator[Post]:
        """What stands in the channel, newest first, from ``after`` to just before ``before``; without replies."""

    async def replies(self, post: Post) -> tuple[Entry, ...]:
        """The thread of a post, without the post."""

    def export(self, entries: Sequence[Entry]) -> bytes:
        """Messages as an export of the channel holds them, in a form that the parsers know."""


class ChannelSource:
    """``opened`` opens the channel for one reading. ``uri`` is ``slack:ID`` or ``discord:ID``."""

    def __init__(
        self,
        uri: str,
        opened: Callable[[], AbstractAsyncContextManager[Reading]],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.uri = uri
        self.kind = uri.partition(":")[0]
        self._opened = opened
        self._clock = clock

    def count(self) -> int | None:
        """How far a channel goes back shows only at its end."""
        return None

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Item]:
        async with self._opened() as reading:
            now = self._clock()
            shelf = _Shelf(self.uri, known)
            before: datetime | None = None
            if known.documents:
                since = now - LOOK_BACK
                async for fetched in self._recent(reading, shelf, since, now):
                    yield fetched
                before = _start(_month(since))
            if known.mark:
                for name in shelf.older(before):
                    yield Unchanged(name)
            else:
                async for item in self._back(reading, shelf, before, now):
                    yield item
            yield Mark(_WHOLE)

    async def _recent(self, reading: Reading, shelf: _Shelf, since: datetime, now: datetime) -> AsyncIterator[Fetched]:
        """The months from ``since`` on: what is new, what was read before where it lies further back."""
        fresh = [post async for post in reading.posts(after=since, before=None)]
        first = _month(since)
        kept = await shelf.posts(first)
        if kept is None and shelf.known.mark:
            kept = {}
        if kept is None:
            older = [post async for post in reading.posts(after=_start(first), before=since)]
        else:
            older = [post for post in kept.values() if post.at < since.timestamp()]
        for month in _months(since, now):
            posts = [post for post in fresh if post.month == month] + (older if month == first else [])
            whole = await _with_replies(reading, posts, await shelf.posts(month) or {}, now)
            if whole:
                yield self._document(reading, month, whole)

    async def _back(
        self, reading: Reading, shelf: _Shelf, before: datetime | None, now: datetime
    ) -> AsyncIterator[Fetched | Unchanged]:
        """Month by month into the past; months that were read before are not read again."""
        newest = before is None
        while True:
            while before is not None and (kept := await shelf.posts(month := _month(before - timedelta(days=1)))):
                yield self._kept(reading, shelf, month, kept)
                before = _start(month)
            posts = await _newest_month(reading, before)
            if not posts:
                return
            month = posts[0].month
            stored = await shelf.posts(month)
            if stored is None or newest:
                yield self._document(reading, month, await _with_replies(reading, posts, stored or {}, now))
                before = _start(month)
            else:
                before = _start(_month(_start(month) + timedelta(days=31)))
            newest = False

    def _kept(self, reading: Reading, shelf: _Shelf, month: str, posts: Mapping[str, Post]) -> Fetched | Unchanged:
        """A month that needs no look at the channel; it is cut anew where its document is no longer whole."""
        name = shelf.name(month)
        return Unchanged(name) if name in shelf.known.documents else self._document(reading, month, posts.values())

    def _document(self, reading: Reading, month: str, posts: Iterable[Post]) -> Fetched:
        ordered = sorted(posts, key=lambda post: post.at)
        entries = {json.dumps(entry): entry for post in ordered for entry in (post.entry, *post.replies) if entry}
        memo = json.dumps([asdict(post) for post in ordered])
        data = reading.export(list(entries.values()))
        return Fetched(f"{self.uri}/{month}", data, content_type="application/json", memo=memo)


class _Shelf:
    """The months that were read before."""

    def __init__(self, uri: str, known: Known) -> None:
        self._uri = uri
        self.known = known

    def name(self, month: str) -> str:
        return f"{self._uri}/{month}"

    def older(self, before: datetime | None) -> list[str]:
        """The documents of the months before that moment."""
        end = _month(before) if before else "9999"
        return [name for name in self.known.documents if name.rpartition("/")[2] < end]

    async def posts(self, month: str) -> dict[str, Post] | None:
        """What was read of a month, by key; None where it was not read."""
        memo = await self.known.memo(self.name(month))
        if not memo:
            return None
        found = [Post(**{**values, "replies": tuple(values["replies"])}) for values in json.loads(memo)]
        return {post.key: post for post in found}


async def _newest_month(reading: Reading, before: datetime | None) -> list[Post]:
    """The posts of the newest month in which something was said before that moment, newest first."""
    posts: list[Post] = []
    async for post in reading.posts(after=None, before=before):
        if posts and post.month != posts[0].month:
            break
        posts.append(post)
    return posts


async def _with_replies(reading: Reading, posts: Sequence[Post], kept: Mapping[str, Post], now: datetime) -> list[Post]:
    """The posts with their threads; a thread is read only where it changed, or may have."""
    whole = []
    for post in posts:
        before = kept.get(post.key)
        if not post.thread:
            whole.append(post)
        elif before is not None and before.thread == post.thread and post.lively < (now - LIVELY).timestamp():
            whole.append(replace(post, replies=before.replies))
        else:
            whole.append(replace(post, replies=await reading.replies(post)))
    return whole


def _month(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m}"


def _start(month: str) -> datetime:
    return datetime.fromisoformat(f"{month}-01T00:00:00+00:00")


def _months(since: datetime, now: datetime) -> list[str]:
    """From the newest to the one that ``since`` lies in."""
    months = [_month(now)]
    while months[-1] != _month(since):
        months.append(_month(_start(months[-1]) - timedelta(days=1)))
    return months
