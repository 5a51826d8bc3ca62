"""Source that reads the history of a chat channel as one document per month. A thread belongs to the month it began in.

The first reading goes from the newest month to the oldest, and a later reading continues where it was interrupted.
After that, a reading fetches only new messages and those that may have been edited or deleted since. Earlier months are
not requested again: a message that was erased must not come back.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from knowledge.types.source_items import NOTHING_KNOWN, Fetched, Item, Known, Mark, Unchanged

LOOK_BACK = timedelta(days=30)
"""Period before a later reading in which it looks for edited and deleted messages, and for new replies."""
REREAD_WINDOW = timedelta(days=3)
"""Period after its last reply in which a thread is read again even if its state is the same, because editing a reply
does not change the state.
"""
_COMPLETE = "read to its beginning"
"""The mark of a channel whose complete history is stored."""

Entry = Mapping[str, Any]
"""A message in the form of its platform's exports."""


@dataclass(frozen=True, slots=True)
class Post:
    """A message of the channel itself, with the thread that it begins.

    ``thread`` is a string that changes when a reply is added or removed; empty if there is no thread. ``at`` and
    ``last_reply_at`` are in seconds since 1970.
    """

    key: str
    at: float
    entry: Entry
    thread: str = ""
    last_reply_at: float = 0.0
    replies: tuple[Entry, ...] = ()

    @property
    def month(self) -> str:
        """The month of the message in UTC: ``2026-11``."""
        return f"{datetime.fromtimestamp(self.at, UTC):%Y-%m}"


class ChannelReader(Protocol):
    """Reads an open channel. Every method raises SourceError, whose message says what to do."""

    def posts(self, *, after: datetime | None, before: datetime | None) -> AsyncIterator[Post]:
        """Yield the messages of the channel without replies, newest first, from ``after`` until before ``before``."""

    async def replies(self, post: Post) -> tuple[Entry, ...]:
        """Return the replies in the thread of a message, without the message itself."""

    def export(self, entries: Sequence[Entry]) -> bytes:
        """Return messages as a file in the form of the platform's exports, which the parsers read."""


class ChannelSource:
    """The history of a chat channel. ``uri`` is ``slack:ID`` or ``discord:ID``.

    ``open_channel`` opens the channel for one reading.
    """

    def __init__(
        self,
        uri: str,
        open_channel: Callable[[], AbstractAsyncContextManager[ChannelReader]],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.uri = uri
        self.kind = uri.partition(":")[0]
        self._open_channel = open_channel
        self._clock = clock

    def count(self) -> int | None:
        """Return None: the number of months is known only once the first message is reached."""
        return None

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Item]:
        """Yield the recent months, then the earlier ones, then a Mark. Raises SourceError."""
        async with self._open_channel() as reader:
            now = self._clock()
            stored = _StoredMonths(self.uri, known)
            before: datetime | None = None
            if known.read_at is not None:
                # A channel that was not read for long has messages that are older than the period.
                since = min(now - LOOK_BACK, known.read_at - REREAD_WINDOW)
                async for fetched in self._recent_months(reader, stored, since, now):
                    yield fetched
                before = _month_start(_month(since))
            if known.last_mark:
                for month in stored.months_before(before):
                    if stored.is_complete(month):
                        yield Unchanged(stored.name(month))
                    elif posts := await stored.posts(month):
                        yield await asyncio.to_thread(self._document, reader, month, posts.values())
            else:
                async for item in self._earlier_months(reader, stored, before, now):
                    yield item
            yield Mark(_COMPLETE)

    async def _recent_months(
        self, reader: ChannelReader, stored: _StoredMonths, since: datetime, now: datetime
    ) -> AsyncIterator[Fetched]:
        """Yield the months from ``since`` on. Older messages of the first month come from storage if it is stored."""
        recent = [post async for post in reader.posts(after=since, before=None)]
        first_month = _month(since)
        first_posts = await stored.posts(first_month)
        if first_posts is None and stored.known.last_mark:
            first_posts = {}
        if first_posts is None:
            earlier = [post async for post in reader.posts(after=_month_start(first_month), before=since)]
        else:
            earlier = [post for post in first_posts.values() if post.at < since.timestamp()]
        for month in _months(since, now):
            posts = [post for post in recent if post.month == month] + (earlier if month == first_month else [])
            complete = await _with_replies(reader, posts, await stored.posts(month) or {}, now)
            if complete:
                yield await asyncio.to_thread(self._document, reader, month, complete)

    async def _earlier_months(
        self, reader: ChannelReader, stored: _StoredMonths, before: datetime | None, now: datetime
    ) -> AsyncIterator[Fetched | Unchanged]:
        """Yield month by month into the past. Months that are stored are not read from the platform again."""
        newest = before is None
        while True:
            while before is not None and (posts := await stored.posts(month := _month(before - timedelta(days=1)))):
                yield await asyncio.to_thread(self._stored_month, reader, stored, month, posts)
                before = _month_start(month)
            found = await _newest_month(reader, before)
            if not found:
                return
            month = found[0].month
            month_posts = await stored.posts(month)
            if month_posts is None or newest:
                complete = await _with_replies(reader, found, month_posts or {}, now)
                yield await asyncio.to_thread(self._document, reader, month, complete)
                before = _month_start(month)
            else:
                before = _month_start(_month(_month_start(month) + timedelta(days=31)))
            newest = False

    def _stored_month(
        self, reader: ChannelReader, stored: _StoredMonths, month: str, posts: Mapping[str, Post]
    ) -> Fetched | Unchanged:
        """Return a stored month as Unchanged, or build its document from its messages if the document is incomplete."""
        if stored.is_complete(month):
            return Unchanged(stored.name(month))
        return self._document(reader, month, posts.values())

    def _document(self, reader: ChannelReader, month: str, posts: Iterable[Post]) -> Fetched:
        """Build the document of a month. Its memo stores the messages for the next reading.

        The access to the channel was checked when it was added, so that the document may be private.
        """
        ordered = sorted(posts, key=lambda post: post.at)
        entries = {json.dumps(entry): entry for post in ordered for entry in (post.entry, *post.replies) if entry}
        memo = f"[{', '.join(json.dumps(_to_stored(post)) for post in ordered)}]"
        data = reader.export(list(entries.values()))
        return Fetched(f"{self.uri}/{month}", data, content_type="application/json", memo=memo, private_chats=True)


class _StoredMonths:
    """The months of the channel that an earlier reading stored."""

    def __init__(self, uri: str, known: Known) -> None:
        self._uri = uri
        self.known = known

    def name(self, month: str) -> str:
        """Return the name of a month's document."""
        return f"{self._uri}/{month}"

    def is_complete(self, month: str) -> bool:
        """Return whether the document of the month need not be built again."""
        return self.name(month) in self.known.documents

    def months_before(self, before: datetime | None) -> list[str]:
        """Return the months before that time that have a document; all of them without one."""
        end = _month(before) if before else "9999"
        names = (name.rpartition("/") for name in self.known.names)
        return [month for uri, _, month in names if uri == self._uri and month < end]

    async def posts(self, month: str) -> dict[str, Post] | None:
        """Return the stored messages of a month by key; None if the month is not stored."""
        memo = await self.known.memo(self.name(month))
        if not memo:
            return None
        return await asyncio.to_thread(_posts_of, memo)


def _posts_of(memo: str) -> dict[str, Post]:
    posts = [_from_stored(values) for values in json.loads(memo)]
    return {post.key: post for post in posts}


def _to_stored(post: Post) -> dict[str, Any]:
    """Convert a message to the form that a month's memo stores. ``knowledge.store.message_erasure`` edits this form."""
    return {
        "key": post.key,
        "at": post.at,
        "entry": post.entry,
        "thread": post.thread,
        "lively": post.last_reply_at,
        "replies": post.replies,
    }


def _from_stored(values: Mapping[str, Any]) -> Post:
    """Convert a stored message back. Raises KeyError if the memo is not one that ``_to_stored`` wrote."""
    return Post(
        values["key"], values["at"], values["entry"], values["thread"], values["lively"], tuple(values["replies"])
    )


async def _newest_month(reader: ChannelReader, before: datetime | None) -> list[Post]:
    """Return the messages, newest first, of the newest month before that time that has any."""
    posts: list[Post] = []
    async for post in reader.posts(after=None, before=before):
        if posts and post.month != posts[0].month:
            break
        posts.append(post)
    return posts


async def _with_replies(
    reader: ChannelReader, posts: Sequence[Post], stored: Mapping[str, Post], now: datetime
) -> list[Post]:
    """Return the messages with their replies. A thread is read from the platform only if it may have changed."""
    complete = []
    for post in posts:
        earlier = stored.get(post.key)
        if not post.thread:
            complete.append(post)
        elif (
            earlier is not None
            and earlier.thread == post.thread
            and post.last_reply_at < (now - REREAD_WINDOW).timestamp()
        ):
            complete.append(replace(post, replies=earlier.replies))
        else:
            complete.append(replace(post, replies=await reader.replies(post)))
    return complete


def _month(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m}"


def _month_start(month: str) -> datetime:
    return datetime.fromisoformat(f"{month}-01T00:00:00+00:00")


def _months(since: datetime, now: datetime) -> list[str]:
    """Return the months from the newest back to the one that ``since`` is in."""
    months = [_month(now)]
    while months[-1] != _month(since):
        months.append(_month(_month_start(months[-1]) - timedelta(days=1)))
    return months
