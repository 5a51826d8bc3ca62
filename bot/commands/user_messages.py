"""Text that the slash commands show to users: replies and errors.

Text about documents, ingestion, budgets and settings is in ``docs_user_messages``, ``ingest_user_messages``,
``budget_user_messages`` and ``settings_user_messages``. The summaries and arguments of the commands are in
``help_text``. The trace of ``/why`` and the summary of ``/costs`` are laid out next to their figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# --- all commands


def number(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 page``, ``2 pages``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def unknown_command(name: str, nearest: str) -> str:
    """Return the error for a command that does not exist; ``nearest`` is empty if no name is similar."""
    hint = f"Did you mean /{nearest}?" if nearest else "Write /help to see all commands."
    return f"There is no command “{name}”. {hint}"


def did_you_mean(command: str, word: str) -> str:
    return f" Did you mean /{command} {word}?"


def admin_command(name: str) -> str:
    return f"Only an admin can use /{name}."


def wrong_usage(name: str, usage: str) -> str:
    return f"Write /{name} {usage}."


# --- arguments


def unknown_option(name: str, nearest: str) -> str:
    """Return the error for an option that a command does not have; ``nearest`` is empty if none is similar."""
    hint = f"Did you mean {nearest}?" if nearest else "Write it without the dash if it is text."
    return f"There is no option {name}. {hint} Nothing was done."


def not_a_period(text: str) -> str:
    return f"“{text}” is not a period. Write 12h, 30d or 4w."


def period_too_long(text: str) -> str:
    return f"“{text}” is too long. Write a shorter period, such as 30d."


def not_an_interval(text: str) -> str:
    return f"“{text}” is not an interval. Write 30min, 6h, 2d, never or default. The shortest interval is 5min."


def not_a_limit(text: str) -> str:
    return f"“{text}” is not a limit. Write a whole number of tokens, such as 200k, or unlimited, blocked or default."


# --- quiet and listen

FOLLOWING_IN_THREAD = "Write /quiet or /listen in a thread."
NOT_FOLLOWED = "I do not follow this thread. Mention me with a question first."
QUIET = "In this thread, I answer only when you mention me. /listen ends that."
LISTENING = "I answer follow-up questions in this thread again."


# --- ask

NOTHING_TO_SHARE = "This answer can no longer be shared. Ask again."
ALREADY_SHARED = "This answer is already in the channel."
ASKER_SHARES = "Only the asker can share this answer."


# --- answers that /why and /sources look up

TO_BE_SHOWN = "Not shown yet, because the platform cannot be reached. I keep trying."
NOTHING_ANSWERED = "Nothing has been answered in this thread yet."
MEMBERS_COMMAND = "Only members of the team can add documents."
OTHER_CHANNEL = "That answer was given in another channel. Use the command there, or ask an admin."


def answer_outdated(documents: Sequence[str]) -> str:
    """Return the message to a thread whose answer cites what has changed."""
    named = ", ".join(f"“{title}”" for title in documents)
    return (
        f"What my answer above cites has changed since: {named}. Press “Ask again” for an answer from what it says now."
    )


def outdated_since(outdated: Mapping[str, Any]) -> str:
    """Return the line of the trace about an answer that cites what has changed."""
    return f"Outdated since {outdated['since']}: what it cites of {', '.join(outdated['documents'])} has changed"


def verified_by(verified: Mapping[str, Any]) -> str:
    """Return the line about a verified answer, from the trace."""
    return (
        f"Verified answer {verified['id'][:8]}: {verified['owner']} verified it on {verified['verified_at'][:10]} for "
        f"“{verified['question']}”"
    )


def shown_late(seconds: float) -> str:
    """Return the line about a reply that was shown ``seconds`` after its end."""
    return f"Shown {seconds:,.0f} s late: the platform could not be reached."


def searched_database(use: str) -> str:
    """Return the line about the database that a search read. ``use`` is a ``StandbyUse``."""
    if use == "used":
        return "Searched the standby of the database."
    reasons = {
        "behind": "the standby did not have the newest documents yet",
        "away": "the standby did not answer",
        "promoted": "the server of PARLEY_SEARCH_DATABASE_URL is not a standby",
    }
    return f"Searched the primary database: {reasons.get(use, use)}."


def which_answer(name: str) -> str:
    return f"Which answer? Use this command in the answer's thread, or write /{name} with the ID of the answer."


def unknown_answer(turn_id: str) -> str:
    return f"No answer has the ID “{turn_id}”. /why shows the ID of an answer in its first line."


STILL_WRITING = "That answer is still being written. Look again when it is done."
NOTHING_CITED = "This answer cites no sources."
DOCUMENT_CHANGED = "_The document has changed since. This is what it said:_"
DOCUMENT_GONE = "_The document is no longer available here. This is what it said:_"


# --- feedback


def feedback(down: int, up: int, *, unanswered: int) -> str:
    """Return the line above the list of ratings."""
    ups = f", {number(up, 'thumb')} up" if up else ""
    rated = f"{number(down, 'thumb')} down{ups}"
    return f"{rated}, {number(unanswered, 'question')} that no document answers. /why ID shows how an answer was made."


# --- memory

MEMORY_COLUMNS = ("#", "kind", "fact", "author", "when", "said in turn")
MEMORY_SUMMARY_HEADING = "**Summary so far**"
MEMORY_IN_THREAD = "Use this command in a thread. Each thread has its own memory."
MEMORY_EMPTY = (
    "I remember no facts from this thread. "
    "To have me remember a fact, write “remember that …”, “we decided …”, “I prefer …” or “call me …”."
)
MEMORY_NOT_YOURS = "Only the person who stated this fact, or an admin, can delete it."


def forgotten(count: int, others: int) -> str:
    """Return how many facts were deleted; ``others`` is the number kept because other people stated them."""
    kept = f" Kept {number(others, 'fact')} of other people. Only they or an admin can delete those." if others else ""
    return f"Deleted {number(count, 'fact')}.{kept} The messages stay in the thread. Delete them there too if you want."


def unknown_fact(index: str, count: int) -> str:
    existing = f"This thread has {number(count, 'fact')}." if count else "This thread has no facts."
    return f"There is no fact {index} here. {existing} /memory shows the facts with their numbers."


def remembered(count: int) -> str:
    return f"{number(count, 'fact')} remembered in this thread."


# --- privacy

PRIVACY_EXPORTED = "This file contains all data stored about you."


def stored_data(questions: int, ratings: int, calls: int) -> str:
    return (
        f"Stored about you: {number(questions, 'question')} with answers, {number(ratings, 'rating')} and "
        f"{number(calls, 'cost record')}. "
        "`/privacy export` sends you the data, `/privacy erase me` erases it. Cost records are kept, anonymized."
    )


ERASE_NEEDS = (
    "Write `/privacy erase me` to erase the data stored about you. If you uploaded documents, write "
    "`/privacy erase me delete` to delete them too, or `/privacy erase me keep` to hand them to the admins."
)


def undecided_documents(count: int) -> str:
    return (
        f"You uploaded {number(count, 'document')}. Write `/privacy erase me delete` to delete them too, or "
        "`/privacy erase me keep` to hand them to the admins. Nothing was erased yet."
    )


def erased(questions: int) -> str:
    return f"Erased {number(questions, 'question')} with answers, and all data derived from them."


# --- stop

STOP_IN_THREAD = "Use this command in the thread of the answer, or press its Stop button."
STOPPED = "Stopped."
