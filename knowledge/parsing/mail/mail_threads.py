"""Orders the mails of a mailbox by threads, which Message-ID, In-Reply-To and References tell. Does no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.parser import BytesHeaderParser
from email.utils import parsedate_to_datetime

_ID = re.compile(r"<[^<>\s]+>")
_PARSER = BytesHeaderParser()
_FIRST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ThreadHeaders:
    """What a mail says about its thread. ``message_id`` is empty, ``sent`` the first moment there is, if it is unknown.

    ``references`` are the mails that it answers, the oldest first.
    """

    message_id: str
    references: tuple[str, ...]
    sent: datetime


def read_headers(raw: bytes) -> ThreadHeaders:
    """Return the headers of a raw mail."""
    message = _PARSER.parsebytes(raw)
    own, answered, earlier = (
        _ID.findall(str(message.get(name, ""))) for name in ("Message-ID", "In-Reply-To", "References")
    )
    references = dict.fromkeys((*earlier, *(one for one in answered if one not in earlier)))
    return ThreadHeaders(own[0] if own else "", tuple(references), _moment(str(message.get("Date", ""))))


def in_thread_order(mails: Sequence[ThreadHeaders]) -> list[int]:
    """Return the places of the mails, thread by thread as in ``threads_of``."""
    return [place for thread in threads_of(mails) for place in thread]


def threads_of(mails: Sequence[ThreadHeaders]) -> list[list[int]]:
    """Return the places of the mails of each thread: each mail once, after the mail that it answers, else by date.

    Threads are in the order of their first mails in the mailbox. A mail whose Message-ID occurred before is left out.
    """
    places = {mail.message_id: place for place, mail in reversed(list(enumerate(mails))) if mail.message_id}
    once = [place for place, mail in enumerate(mails) if places.get(mail.message_id, place) == place]
    threads: dict[str, list[int]] = {}
    thread_of = _thread_names(mails)
    for place in once:
        threads.setdefault(thread_of[place], []).append(place)
    return [list(_parents_first(thread, mails, places)) for thread in threads.values()]


def _thread_names(mails: Sequence[ThreadHeaders]) -> list[str]:
    """Return a name of each mail's thread: mails that name each other, or the same third mail, share one."""
    above: dict[str, str] = {}

    def name_of(one: str) -> str:
        path = []
        while one in above:
            path.append(one)
            one = above[one]
        above.update(dict.fromkeys(path, one))
        return one

    own = [mail.message_id or f"mail {place}" for place, mail in enumerate(mails)]
    for mail, one in zip(mails, own, strict=True):
        for reference in mail.references:
            known, other = name_of(reference), name_of(one)
            if known != other:
                above[other] = known
    return [name_of(one) for one in own]


def _parents_first(thread: Sequence[int], mails: Sequence[ThreadHeaders], places: dict[str, int]) -> Iterator[int]:
    done: set[int] = set()
    for place in sorted(thread, key=lambda one: mails[one].sent):
        chain = [place]
        while (parent := _parent(mails[chain[-1]], places)) is not None and parent not in (*chain, *done):
            chain.append(parent)
        yield from (one for one in reversed(chain) if one not in done)
        done.update(chain)


def _parent(mail: ThreadHeaders, places: dict[str, int]) -> int | None:
    """Return the place of the nearest mail that a mail answers; None if the mailbox has none of them."""
    return next((places[one] for one in reversed(mail.references) if one in places), None)


def _moment(date: str) -> datetime:
    try:
        moment = parsedate_to_datetime(date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return _FIRST
