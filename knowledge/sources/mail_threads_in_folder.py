"""Finds, for each mail among the files of a folder, the earlier mails of its thread, which it may quote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from knowledge.parsing.mail.mail_threads import ThreadHeaders, read_headers, threads_of

MAIL_EXTENSION = ".eml"
MAX_EARLIER = 12
"""Earlier mails that are read again for a mail. The nearest ones quote those before them."""
MAX_EARLIER_BYTES = 2**19
"""Bytes of all earlier mails that are read again for a mail."""
BEGINNING_BYTES = 2**17
"""Bytes that are read of an earlier mail. Its text comes before its attachments."""


class MailThreads:
    """The threads of the mails among ``paths``. Reads the beginning of each mail; one that cannot be read is left out.

    The mails of one thread may be in several folders, such as those of received and of sent mails.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        mails = {path: read_headers(_beginning(path)) for path in paths if path.suffix.lower() == MAIL_EXTENSION}
        self._earlier = dict(_earlier_by_mail(mails))

    def earlier_mails(self, path: Path) -> tuple[bytes, ...]:
        """Return the beginnings of the mails that come before a mail in its thread, oldest first; of others nothing."""
        found: list[bytes] = []
        left = MAX_EARLIER_BYTES
        for earlier in reversed(self._earlier.get(path, ())):
            data = _beginning(earlier)
            if not data or len(data) > left:
                continue
            found.append(data)
            left -= len(data)
        return tuple(reversed(found))


def _earlier_by_mail(mails: Mapping[Path, ThreadHeaders]) -> Iterator[tuple[Path, list[Path]]]:
    paths, headers = list(mails), list(mails.values())
    for thread in threads_of(headers):
        for number, place in enumerate(thread):
            before = thread[:number]
            answered = [one for one in before if headers[one].message_id in headers[place].references]
            nearest = list(dict.fromkeys((*reversed(answered), *reversed(before))))[:MAX_EARLIER]
            yield paths[place], [paths[one] for one in before if one in nearest]


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(BEGINNING_BYTES)
    except OSError:
        return b""
