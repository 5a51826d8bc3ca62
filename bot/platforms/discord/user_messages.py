"""What the bot says on Discord, and the labels of its buttons."""

from __future__ import annotations

from collections.abc import Sequence

from bot.types.display import Action

NAMED = 10
"""Channels that are named where there may be many."""

LABELS: dict[Action, str] = {
    "stop": "Stop",
    "again": "Ask again",
    "strong": "Stronger model",
    "up": "👍",
    "down": "👎",
    "why": "Why?",
    "sources": "Sources",
}

SOURCES = "Sources"
LOGIN_MISSING = (
    "DISCORD_TOKEN is not set; copy the bot's token from the Discord Developer Portal (your application > Bot)."
)
LOGIN_REFUSED = (
    "DISCORD_TOKEN is not accepted by Discord; in the Developer Portal open your application > Bot, "
    "press Reset Token and put the new token into DISCORD_TOKEN."
)
NO_INTENT = (
    "Without the Message Content Intent the bot hears mentions and direct messages only: no follow-ups in threads, no "
    "answers without a mention. In the Developer Portal open your application > Bot, turn on MESSAGE CONTENT INTENT, "
    "save, and start again."
)
TOO_FAST = (
    "That is more than I answer in one conversation: I stay silent here until it slows down. "
    "Programs should use the command line instead."
)
NOT_STORED_YET = (
    "I cannot take your message in right now. I keep trying for a few minutes; there is no need to repeat it."
)
STOPPED = "Stopped."
THANKS_UP = "Thanks, noted."
THANKS_DOWN = "Thanks, your reason is noted for whoever keeps the documents."
REASON_TITLE = "What was wrong with the answer?"
REASON_LABEL = "Reason"
REASON_HINT = "Wrong, out of date, not what I asked, a source is missing ..."
GIVE_RIGHTS = (
    "In Discord open the channel's settings > Permissions and allow this to the bot's role, or invite the bot anew "
    "with the link above; the table in docs/discord.md says what each is for."
)
SENT_PRIVATELY = "I sent you the answer as a direct message."
DM_CLOSED = "That answer is for you alone, but you do not take direct messages here; use the slash command instead."
SHARED = "Done; the answer is in the channel."
SHARE = "Share with the channel"
HALT = "Stop reading"
ABOUT_MENU = "Ask Parley about this"
FORGET_MENU = "Forget this"
ABOUT_TITLE = "Ask about this message"
ABOUT_LABEL = "Your question"
ABOUT_MESSAGE = "The message"
FORGOTTEN = "Forgotten: the question, its answer and what came of them. What it cost stays in the ledger as numbers."
NOTHING_TO_FORGET = (
    "I keep nothing of this message. Choose a question that somebody asked me, or the last message of my answer."
)
NOT_YOURS_TO_FORGET = "Only the person who asked, or an admin, can have this forgotten."
NOTHING_TO_SHARE = "There is nothing to share in this message any more; ask again."
COMMANDS_CHANGED = "My commands have changed since Discord showed them to you; reload Discord (Ctrl-R) and try again."
UNREADABLE_OPTION = "I cannot read one of the options; choose it again from what Discord offers."
FULL_TEXT = "... (the rest is in the file)"


def unreachable(where: str, fault: object) -> str:
    """Discord does not answer at ``where``."""
    return f"Discord cannot be reached at {where} ({fault}); check the network and DISCORD_API_URL."


def closed(code: int) -> str:
    """Discord ended the session for good."""
    return f"Discord closed the connection for good (code {code}); check the application in the Developer Portal."


def shut_out(channel_id: str, why: str) -> str:
    """Said in a direct message, because it cannot be said where the question stands."""
    return f"I cannot answer you in <#{channel_id}>: {why}. Please tell an admin of the server."


def cannot_write(channel_id: str) -> str:
    """Stands before a reply that comes as a direct message because the bot may not write, or attach files, there."""
    return f"I may not show this in <#{channel_id}>, so you get it here."


def seen(count: int, hidden: Sequence[str]) -> str:
    """How many channels the bot sees, and the first of those that it does not, for the doctor."""
    told = f"{count} {'channel' if count == 1 else 'channels'} seen"
    named = ", ".join(f"#{name}" for name in hidden[:NAMED])
    more = f" and {len(hidden) - NAMED} more" if len(hidden) > NAMED else ""
    return f"{told}, not {named}{more}" if hidden else told


def missing_in(channel: str, missing: str) -> str:
    """What the bot may not do in a channel, for the doctor."""
    return f"#{channel}: {missing}"


def failed(trace: str) -> str:
    """Something broke that the person cannot mend."""
    return f"Something went wrong on my side; please try again. If it stays, tell your admin this trace: {trace}"


def more(count: int) -> str:
    """Further sources that do not fit."""
    return f"... and {count} more"


def shared_by(name: str) -> str:
    """Stands below an answer that was private at first."""
    return f"{name} asked this in private and shares the answer."


def about(question: str, message: str) -> str:
    """The question that somebody asks about a message."""
    quoted = "\n".join(f"> {line}" for line in message.splitlines())
    return f"{question}\n\nThe question is about this message:\n{quoted}"
