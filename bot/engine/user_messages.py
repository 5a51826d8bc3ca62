"""What the bot says when it does not answer: every refusal and failure in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from bot.errors import OverBudget
from bot.types.usage import BudgetOwner, BudgetState

SEARCHING = "_Looking through the documents…_"
STOPPED = "_Stopped._"
INTERRUPTED = "_Interrupted by a restart; the answer goes on here in a moment._"
GIVEN_UP = (
    "I broke off several times over this question, so I have stopped trying. Ask it in other words; "
    "the operator finds the cause in the log."
)
FORGOTTEN = "_The question was deleted, and so was this answer._"
STORE_AWAY = "_My database does not answer just now; the answer goes on here once it does._"
EMPTY_QUESTION = "There is no question in that message. Ask me something about the team's documents."
BROKEN = "Something went wrong while answering. The operator can find the cause in the log."
NO_ANSWER = "The model returned nothing, twice. Ask again, or ask the stronger model."
UNKNOWN_TURN = "That answer is no longer known here. Ask again."
TOO_LATE_TO_STOP = "There is nothing to stop: that answer has ended."
NOT_YOURS_TO_STOP = "Only the person who asked, or an admin, can stop this answer."
REST_IN_FILE = "The answer is longer than fits here: the whole of it is in the file."
REST_CUT = "The answer is longer than fits here: its end is left out."
WHOLE_ANSWER = "answer.md"
NOT_YOURS_TO_CHANGE = "Only the person who asked can change the question."
NOT_YOURS_TO_FORGET = "Only the person who asked, or an admin, can have this forgotten."
CUT = "Cut off at the length limit; ask me to go on."
DECLINED = "The model declined to answer this."
NO_KNOWLEDGE = "The documents could not be searched just now, so this answer does not rest on them."
READ_TOO_SLOWLY = "Reading what was attached took too long, so this answer does without some of it."
NOT_READ_ABOVE = "I could not read the messages above, so I only know your question."
ASKED_CHARS = 160
CLOSEST = 3
FROM_CACHE = "Answered before from the same documents; press “Ask again” for a fresh answer."


_ORDINALS = ("next", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


def queued(place: int) -> str:
    """For somebody whose question waits; ``place`` 1 is the next one."""
    if place <= len(_ORDINALS):
        return f"_Many questions at once: you are {_ORDINALS[place - 1]}…_"
    return f"_Many questions at once: you are number {place}…_"


def too_long(limit: int) -> str:
    """For a question that is longer than the bot reads."""
    return f"That is longer than the {limit:,} characters I read. Shorten it, or upload it as a document with /ingest."


def what_is_in(files: Sequence[str]) -> str:
    """The question that files ask which came without a word."""
    named = ", ".join(files)
    return f"What is in {named}, in short?"


def not_read(name: str, reason: str) -> str:
    """For a file beside the question that could not be read."""
    told = reason if reason.startswith(name) else f"{name} could not be read: {reason}"
    return f"{told.rstrip('.')}."


def not_in_files(names: Sequence[str]) -> str:
    """For a question to which the files beside it seem to say nothing."""
    return f"I found nothing about this in {' or '.join(names)}."


def more_files(count: int) -> str:
    """For files of a question beyond those that are read."""
    return f"{count} more {'file was' if count == 1 else 'files were'} attached than I read for one question."


def nothing_found(query: str, documents: int, near: Sequence[str], people: Sequence[str] = ()) -> str:
    """For a question to which no document seems to hold an answer; ``near`` are the places that came closest, and
    ``people`` wrote about it."""
    if not documents:
        return "There are no documents here that could hold an answer; bring some in with /ingest."
    asked = query if len(query) <= ASKED_CHARS else f"{query[:ASKED_CHARS]}…"
    searched = "the one document" if documents == 1 else f"{documents:,} documents"
    closest = list(dict.fromkeys(near))[:CLOSEST]
    hint = f" Closest, but not about this: {'; '.join(closest)}." if closest else ""
    if people:
        hint += f" {' and '.join(people)} wrote about something like it and may know."
    elif closest:
        hint += " Whoever keeps these may know."
    return f"I looked for “{asked}” in {searched} and found nothing that answers it.{hint}"


_WHOSE: Mapping[BudgetOwner, tuple[str, str]] = {
    "user": ("Your", "You have"),
    "channel": ("This channel's", "This channel has"),
    "tenant": ("The whole team's", "The whole team has"),
}


def over_budget(spent: OverBudget, now: datetime) -> str:
    """For a person whose question does not fit into a day's tokens, their own, the channel's or the team's."""
    return (
        f"{_WHOSE[spent.whose][0]} token budget for today does not suffice for this "
        f"({spent.used:,} of {spent.limit:,} used). "
        f"It resets {when(spent.resets_at, now)}; an admin can raise it with /budget."
    )


def budget_warning(state: BudgetState, now: datetime) -> str:
    """For a person after whose question most of a day's tokens are used."""
    share = 100 * state.used // max(state.limit, 1)
    return f"{_WHOSE[state.whose][1]} used {share} % of today's tokens; they reset {when(state.resets_at, now)}."


def failed(reason: str, turn_id: str) -> str:
    """For a turn that ended without an answer; the id leads to its trace."""
    return f"{reason.rstrip('.')}. (Trace {turn_id})"


def when(resets_at: datetime, now: datetime) -> str:
    """A moment to come, as a time of day with its zone and the wait until then."""
    left = max(resets_at - now.astimezone(resets_at.tzinfo), timedelta(0))
    hours, minutes = divmod(int(left.total_seconds()) // 60, 60)
    wait = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return f"at {resets_at:%H:%M} ({resets_at.tzinfo}), in {wait}"
