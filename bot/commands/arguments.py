"""Parses the argument lines of commands: options, words with quotes, channels, periods, intervals and token counts.

Chat clients replace what people type: macOS and iOS turn ``--`` into a dash and straight quotes into curly ones.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import click

from bot.commands import user_messages
from bot.errors import UsageError
from bot.types.conversation import Platform
from knowledge.whole_numbers import whole_number

_CHANNEL_MENTION = re.compile(r"<#(\w+)(?:\|[^>]*)?>")
_SLACK_CHANNEL_ID = re.compile(r"[CG][A-Z0-9]{7,31}")
_PERIOD = re.compile(r"([0-9]+)([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}
_INTERVAL = re.compile(r"([0-9]{1,6})(min|h|d|w)")
_SECONDS = {"min": 60, "h": 3600, "d": 86_400, "w": 604_800}

_TYPED_DASHES = re.compile(
    r"[-\u2010-\u2015\u2212\ufe58\ufe63\uff0d]*[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]-*(?=[^\W\d_])"
)
_CURLY_DOUBLE = re.compile(r"(?<!\S)[\u201c\u201d\u201e\u201f]|[\u201c\u201d\u201f](?!\S)")
_CURLY_SINGLE = re.compile(r"(?<!\S)[\u2018\u2019\u201a\u201b]|[\u2018\u2019\u201b](?!\S)")


@dataclass(frozen=True, slots=True)
class Line:
    """A parsed argument line: its words in order, and its options by the names that click gives them."""

    words: list[str]
    options: Mapping[str, str | bool | None]

    def flag(self, name: str) -> bool:
        """Return whether the option without a value is set."""
        return bool(self.options.get(name.replace("-", "_")))

    def value(self, name: str) -> str | None:
        """Return the value of the option; None if it is not set."""
        found = self.options.get(name.replace("-", "_"))
        return found if isinstance(found, str) else None


def parse(line: str, *, flags: Sequence[str] = (), values: Sequence[str] = ()) -> Line:
    """Parse an argument line with the options ``--FLAG`` and ``--VALUE TEXT``, which may stand anywhere in it.

    Quotes keep words together; a lone apostrophe is taken literally. After ``--`` everything is a word. Raises
    UsageError for an option that the command does not have, so that a misspelled one never changes what is done.
    """
    options = [
        *(click.Option([f"--{name}"], is_flag=True) for name in flags),
        *(click.Option([f"--{name}"]) for name in values),
    ]
    command = click.Command(None, params=[*options, click.Argument(["words"], nargs=-1)], add_help_option=False)
    try:
        found = command.make_context(None, [*map(with_plain_dashes, _split(line))]).params
    except click.NoSuchOption as error:
        similar = difflib.get_close_matches(error.option_name, [f"--{name}" for name in (*flags, *values)], 1)
        raise UsageError(user_messages.unknown_option(error.option_name, similar[0] if similar else "")) from None
    except click.UsageError as error:
        raise UsageError(error.format_message()) from None
    return Line([*found.pop("words")], found)


def words(line: str) -> list[str]:
    """Return the words of the line of a command without options. Raises UsageError for an option."""
    return parse(line).words


def with_plain_dashes(word: str) -> str:
    """Return a word with the typographic dashes before its first letter as ``--``: ``—here`` becomes ``--here``."""
    return _TYPED_DASHES.sub("--", word) if _TYPED_DASHES.match(word) else word


def _split(line: str) -> list[str]:
    straight = _CURLY_SINGLE.sub("'", _CURLY_DOUBLE.sub('"', line))
    try:
        return shlex.split(straight)
    except ValueError:
        return line.split()


def first_word(line: str) -> tuple[str, str]:
    """Return the first word of the text and what follows it. Any white space separates them, also a line break."""
    word, *rest = line.split(None, 1) or [""]
    return word, rest[0].strip() if rest else ""


def take_word(remaining: list[str], name: str) -> bool:
    """Remove ``name`` from the words and return whether it was there."""
    if name in remaining:
        remaining.remove(name)
        return True
    return False


def mentioned_channel(text: str, platform: Platform) -> str:
    """Return the ID of the mentioned channel, or an empty string. Slack passes mentions as bare IDs."""
    mention = _CHANNEL_MENTION.fullmatch(text.strip())
    if mention:
        return mention[1]
    return text if platform == "slack" and is_slack_channel(text) else ""


def is_slack_channel(word: str) -> bool:
    """Return whether a word has the form of the ID of a Slack channel."""
    return _SLACK_CHANNEL_ID.fullmatch(word) is not None


def start_of(period: str, now: datetime) -> datetime:
    """Return the moment that is ``30d``, ``12h`` or ``2w`` before ``now``. Raises UsageError."""
    match = _PERIOD.fullmatch(period.strip().lower())
    if match is None:
        raise UsageError(user_messages.not_a_period(period))
    try:
        return now - timedelta(hours=int(match[1]) * _HOURS[match[2]])
    except (OverflowError, ValueError):
        raise UsageError(user_messages.period_too_long(period)) from None


def interval(period: str) -> int | None:
    """Return the seconds of ``30min``, ``6h``, ``2d`` or ``1w``; 0 for ``never``, None for ``default``.

    Raises UsageError for anything else, for less than 5 minutes and for more than a year.
    """
    period = period.strip().lower()
    if period in ("never", "default"):
        return 0 if period == "never" else None
    match = _INTERVAL.fullmatch(period)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 300 <= seconds <= 31_536_000:
        raise UsageError(user_messages.not_an_interval(period))
    return seconds


def is_interval(word: str) -> bool:
    """Return whether a word has the form of an interval, even of one that is too short or too long."""
    word = word.lower()
    return word in ("never", "default") or _INTERVAL.fullmatch(word) is not None


def tokens_from_1(text: str) -> int:
    """Parse a number of tokens; thousands separators and the suffixes k and M are allowed.

    Raises UsageError, for 0 too.
    """
    cleaned = text.replace(",", "").replace("_", "").lower()
    factor = {"k": 1_000, "m": 1_000_000}.get(cleaned[-1:], 1)
    digits = cleaned[:-1] if factor > 1 else cleaned
    tokens = whole_number(digits)
    if not tokens or len(digits) > 15:
        raise UsageError(user_messages.not_a_limit(text))
    return tokens * factor
