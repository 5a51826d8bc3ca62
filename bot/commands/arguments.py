"""Reading a command's argument line, as a shell would split it."""

from __future__ import annotations

import re
import shlex
from datetime import datetime, timedelta

from bot.errors import UsageError

_PERIOD = re.compile(r"(\d+)([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}
_INTERVAL = re.compile(r"(\d{1,6})(min|h|d|w)")
_SECONDS = {"min": 60, "h": 3600, "d": 86_400, "w": 604_800}


def words(line: str) -> list[str]:
    """The words of the line; quotes keep words together. A lone apostrophe is an apostrophe."""
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def take_flag(given: list[str], name: str) -> bool:
    """Take ``name`` out of the words; whether it was there."""
    if name in given:
        given.remove(name)
        return True
    return False


def start_of(period: str, now: datetime) -> datetime:
    """The start of ``30d``, ``12h`` or ``2w`` before now. Raises UsageError."""
    match = _PERIOD.fullmatch(period.strip().lower())
    if match is None:
        raise UsageError(f"“{period}” is not a period; write 12h, 30d or 4w.")
    try:
        return now - timedelta(hours=int(match[1]) * _HOURS[match[2]])
    except OverflowError:
        raise UsageError(f"“{period}” is too long a period; write 12h, 30d or 4w.") from None


def interval(period: str) -> int | None:
    """The seconds of ``30min``, ``6h``, ``2d`` or ``1w``; 0 for ``never``, None for ``default``. Raises UsageError."""
    period = period.strip().lower()
    if period in ("never", "default"):
        return 0 if period == "never" else None
    match = _INTERVAL.fullmatch(period)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 300 <= seconds <= 31_536_000:
        raise UsageError(f"“{period}” is no interval; write 30min, 6h, 2d, never or default; 5min at least.")
    return seconds


def whole_number(text: str, what: str) -> int:
    """A number of tokens or the like, thousands separators and k/M allowed. Raises UsageError."""
    cleaned = text.replace(",", "").replace("_", "").lower()
    factor = {"k": 1_000, "m": 1_000_000}.get(cleaned[-1:], 1)
    digits = cleaned[:-1] if factor > 1 else cleaned
    if not digits.isdecimal() or len(digits) > 15:
        raise UsageError(f"“{text}” is not {what}; write a whole number such as 200000 or 200k.")
    return int(digits) * factor
