"""What Slack users read from the bot itself: labels, short confirmations and refusals."""

from __future__ import annotations

from bot.types.display import Action

LABELS: dict[Action, str] = {
    "stop": "Stop",
    "again": "Ask again",
    "strong": "Stronger model",
    "up": "👍",
    "down": "👎",
    "why": "Why?",
    "sources": "Sources",
}

HINTS: dict[Action, str] = {
    "stop": "Stop this answer",
    "again": "Answer the question once more",
    "strong": "Answer the question with the stronger model",
    "up": "This answer helped",
    "down": "This answer did not help",
    "why": "How this answer came about",
    "sources": "What this answer rests on, each quote in its place",
}

PENDING = "…"
CUT = "\n\n_Cut here: a Slack message holds no more. The file has all of it._"
THANKS = "Thanks, noted."
REASON_TITLE = "What was wrong?"
REASON_LABEL = "What should the answer have said?"
WORKING = "I am on it…"
IN_DIRECT_MESSAGE = "I am on it. You can watch the progress in our direct messages."
INTERRUPTED = "I was restarted in the middle of this. Please run it again."
NOT_STORED = "I cannot take your message in right now. I will try again within a few minutes."

NOT_INSTALLED = "Parley is not installed in this workspace any more; install it again."

SHARE = "Share with the channel"
HALT = "Stop reading"
ABOUT_MENU = "Ask Parley about this"
FORGET_MENU = "Forget this"
ABOUT_TITLE = "Ask about this message"
ABOUT_LABEL = "Your question"
FORGOTTEN = "Forgotten: the question, its answer, and what was made of them."
NOT_YOURS_TO_FORGET = "Only the person who asked, or an admin, can have this forgotten."
NOTHING_TO_FORGET = "That message is neither a question to me nor an answer of mine, so there is nothing to forget."


def more_sources(count: int) -> str:
    """The line under a list of sources that was cut."""
    return f"and {count} more {'source' if count == 1 else 'sources'}"


def more_rows(count: int) -> str:
    """The line under a table that was cut."""
    return f"{count} more {'row is' if count == 1 else 'rows are'} not shown here; the file has them."


def told_of_files(count: int) -> str:
    """Where the files of a private reply are."""
    return f"The {'file is' if count == 1 else 'files are'} in our direct messages."


def broken(trace: str) -> str:
    """An unexpected failure, with the id under which the log tells more."""
    return f"Something went wrong on my side. Please try again; the operator finds the cause in the log under {trace}."
