"""Texts about what the documents do not answer: the weekly digest, and its switch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.commands.user_messages import number
from bot.reports.contradictions import Contradiction
from bot.reports.gaps import Gap

DIGEST_OFF = "I post no weekly digest any more."
DIGEST_NEEDS_CHANNEL = "Write this in the channel of Slack or Discord that is to get the digest."
DIGEST_OUTSIDERS = (
    "People from outside the team read this channel, so I do not post the questions of the team here. Choose another."
)
DIGEST_READERS_UNKNOWN = "It could not be checked who reads the channel. It is tried again in an hour."
_WHY = {
    "unanswered": "without an answer",
    "down": "with a thumb down",
    "low": "with low confidence",
    "repeated": "asked often",
}
NO_GAPS = "**This week's questions**: no gaps. Every question from the public channels was answered."


def digest_on(next_at: datetime) -> str:
    return (
        f"Every week I post here what the documents do not answer, first on {next_at:%A, %d %B at %H:%M}. It has only "
        "questions from this channel and from public channels."
    )


def digest_held_back(platform: str, channel_id: str) -> str:
    channel = f"<#{channel_id}>" if platform in ("slack", "discord") else channel_id
    return (
        f"I did not post this week's digest in {channel}: people from outside the team read that channel. Write "
        "/admin digest on in another one."
    )


def digest(found: Sequence[tuple[str, Gap]], total: int, disagreeing: Sequence[Contradiction]) -> str:
    """Return the digest: the named gaps, the most asked first, of ``total``, and documents that seem to disagree."""
    if not total and not disagreeing:
        return NO_GAPS
    lines = ["**This week's questions that the documents do not answer well**", ""] if total else []
    for name, gap in found:
        why = ", ".join(f"{count} {_WHY[reason]}" for reason, count in gap.why.items())
        asked = f"{number(gap.times, 'question')} by {gap.askers} {'person' if gap.askers == 1 else 'people'}"
        lines.append(f"- **{name}**: {asked} ({why}). For example: “{gap.questions[0]}”")
        if gap.best_source:
            stale = ", which is out of date" if gap.stale else ""
            lines.append(f"  - Closest document: {gap.best_source}{stale}")
    if total > len(found):
        lines.append(f"- and {total - len(found)} more. The admin page and parley gaps show all.")
    if disagreeing:
        lines += ["", "**Documents that seem to contradict each other**", ""]
        lines += [
            f"- {pair.one.title}: “{pair.one.sentence}” but {pair.other.title}: “{pair.other.sentence}”"
            for pair in disagreeing
        ]
    return "\n".join(lines)
