"""All texts of the engine for users: statuses, refusals, failures and notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from bot.errors import OverBudget
from bot.types.audience import Audience, Readers
from bot.types.usage import BudgetOwner, BudgetState
from knowledge.text.counted_nouns import counted

# --- while an answer is made

SEARCHING = "_Searching the documents…_"
IS_SEARCHING = "is searching the documents…"
IS_WRITING = "is writing…"
STOPPED = "_Stopped._"
INTERRUPTED = "_Interrupted by a restart. The answer continues here in a moment._"
STORE_AWAY = "_The database is not responding. The answer continues here as soon as it responds again._"

_ORDINALS = ("next", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


def is_reading(passages: int) -> str:
    """Return what the bot does with so many passages, as it follows its name."""
    if not passages:
        return "is thinking…"
    return f"is reading {passages} {'passage' if passages == 1 else 'passages'}…"


def is_searching_again(searches: int) -> str:
    """Return what the bot does in a second round of so many searches, as it follows its name."""
    return f"is searching for {searches} more {'thing' if searches == 1 else 'things'}…"


def queued(place: int) -> str:
    """Return the status of a question that waits in the queue; ``place`` 1 is next."""
    position = _ORDINALS[place - 1] if place <= len(_ORDINALS) else f"number {place}"
    return f"_Many questions at once. You are {position} in the queue…_"


# --- summaries of messages

SUMMARIZE_THREAD = (
    "Summarize the messages of this thread: what it is about, what was decided, and what is open and with whom."
)
SUMMARIZE_DAY = (
    "Summarize the messages in this channel of the last 24 hours, by subject: what was decided, and what is open and "
    "with whom."
)
MESSAGES_TOO_SLOW = "Reading the messages took too long. Try again, or ask for the summary of one thread."
NO_MESSAGES_HERE = (
    "There are no messages to summarize here. Write summarize in a thread or a channel of Slack or Discord."
)


def nothing_to_summarize(extent: str) -> str:
    """Return the refusal if people wrote nothing; ``extent`` is ``thread`` or ``day``."""
    where = "in this thread" if extent == "thread" else "in this channel in the last 24 hours"
    return f"Nobody but me wrote anything {where}, so there is nothing to summarize."


def older_left_out(count: int) -> str:
    """Return the note for messages that did not fit into the prompt."""
    return f"{count} older {'message is' if count == 1 else 'messages are'} left out, because there was no room."


def said_by(author: str, at: datetime) -> str:
    """Return the title of a message: its author and its time."""
    return f"{author}, {at:%d %B %H:%M} UTC"


# --- instead of an answer

THROTTLED = "The rate limit of the platform is reached. Try again in a moment."
TOO_LATE_TO_SHOW = (
    "I could not write here for more than a day, so your answer may be out of date and is not shown. Ask again."
)

NOT_SHOWABLE = (
    "Your answer is ready, but I could not show it here after several attempts. Ask again. "
    "The operator can find the cause in the log."
)

GIVEN_UP = (
    "I could not finish this answer after several attempts, so I stopped trying. Rephrase your question and ask again. "
    "The operator can find the cause in the log."
)
BROKEN = "Something went wrong while answering. Ask again. The operator can find the cause in the log."
FORGOTTEN = "_The question was deleted, so this answer was removed too._"
NO_ANSWER = "The model returned an empty answer twice. Ask again, or rephrase your question."
BARE_ANSWER = "The model twice answered with one word and named no source. Ask again, or rephrase your question."
DECLINED = "The model declined to answer this. Rephrase your question."
EMPTY_QUESTION = "Your message contains no question. Ask me something about the team's documents."
UNKNOWN_TURN = "I no longer have that answer. Please ask again."
TOO_LATE_TO_STOP = "This answer is already finished, so there is nothing to stop."
NOT_YOURS_TO_STOP = "Only the asker or an admin can stop this answer."
NOT_YOURS_TO_CHANGE = "Only the asker can edit the question."
NOT_YOURS_TO_FORGET = "Only the asker or an admin can delete this."
NOT_A_MEMBER = (
    "I answer direct messages only to members of the team. Ask me in a channel of the team, or ask its admins to let "
    "you in."
)
MEMBERSHIP_UNKNOWN = (
    "I could not check that you are a member of the team, so I cannot answer direct messages from you now. "
    "Try again in a minute."
)
PRIVATE_AGAIN = "That answer was private. Use /ask to ask again."
ASKED_AGAIN = "I am already answering this question again. The new answer appears in this thread."


LOST = "Another process is answering this question now."
SHUTTING_DOWN = "the process stopped before the platform could show it"


def not_shown(reason: object) -> str:
    """Return the line of the trace that says why a reply was never shown."""
    return f"Not shown: {reason}"


def not_direct(audience: Audience) -> str:
    """Return the refusal of a direct message by a person who is not known to be a member."""
    return NOT_A_MEMBER if audience.readers == "outsider" else MEMBERSHIP_UNKNOWN


def too_long(limit: int) -> str:
    """Return the refusal of a question longer than ``limit`` characters."""
    return (
        f"Your message is longer than {limit:,} characters. Shorten it, or upload the text as a document with /ingest."
    )


_OWNERS: Mapping[BudgetOwner, str] = {
    "user": "You have",
    "channel": "This channel has",
    "tenant": "Your team has",
}


def over_budget(error: OverBudget, now: datetime) -> str:
    """Return the refusal of a question that does not fit a daily token limit: a person's, a channel's or the team's."""
    return (
        f"{_OWNERS[error.whose]} reached today's token limit ({error.used:,} of {error.limit:,} used). "
        f"It resets {when(error.resets_at, now)}. An admin can raise it with /budget."
    )


def failed(reason: str, turn_id: str) -> str:
    """Return the message of an answer that failed, with the ID that finds its trace."""
    return f"{reason.rstrip('.')}. (Trace ID {turn_id})"


# --- whose documents an answer uses

_ALLOW_COMMAND = "/settings external on"
_ALLOW = f"An admin can allow all of the team's documents here with {_ALLOW_COMMAND}."
_WITHOUT_TENANT: Mapping[Readers, str] = {
    "shared": f"This channel is shared with people outside the team, so I use only documents added to it. {_ALLOW}",
    "guests": f"There are guests in this channel, so I use only documents added to it. {_ALLOW}",
    "public": f"Anybody can join this server and read this channel, so I use only documents added to it. {_ALLOW}",
    "guest": f"You are a guest of the team, so I use only documents added to this channel. {_ALLOW}",
    "outsider": f"You are not a member of the team, so I use only documents added to this channel. {_ALLOW}",
    "unknown": (
        "I could not check who reads this channel, so I use only documents added to it. Ask again in a minute."
    ),
}
TEAM_ANSWER = "That answer uses documents that not everybody here may read."


def without_tenant(readers: Readers, channel_id: str = "") -> str:
    """Return why only the documents of the channel are used.

    A guest may ask in direct messages, where no admin can write, so for them the command names the channel.
    """
    told = _WITHOUT_TENANT.get(readers, _WITHOUT_TENANT["unknown"])
    named = f"{_ALLOW_COMMAND} {channel_id}".rstrip() if readers == "guest" else _ALLOW_COMMAND
    return told.replace(_ALLOW_COMMAND, named)


def team_answer(readers: Readers) -> str:
    """Return the refusal to show an answer that may use documents of the whole tenant."""
    return f"{TEAM_ANSWER} {without_tenant(readers)}"


# --- notes below an answer

PRESS_AGAIN = " Press “Ask again” for a new answer."
CONTINUE = " Ask me to continue."
CUT = f"This answer was cut off at the length limit.{CONTINUE}"
REST_IN_FILE = "This answer is too long to show here. The attached file has the full text."
NOT_DISPLAYABLE = (
    "The platform does not accept my answer as a message. Ask again in other words, or for a shorter answer."
)
REST_CUT = "This answer is too long to show here, so its end is missing."
WHOLE_ANSWER = "answer.md"
NO_KNOWLEDGE = "The document search is not available, so this answer does not use the documents."
FROM_CACHE = f"Answered earlier from the same documents.{PRESS_AGAIN}"
READ_TOO_SLOWLY = "Reading the attachments took too long, so this answer does not use all of them."
NOT_READ_ABOVE = "I could not read the messages above, so this answer uses only your question."
ASKED_CHARS = 160
CLOSEST = 3
MOST_WARNINGS = 3
"""Maximum number of notes about what was left out of one attached file."""


def verified(owner: str, at: datetime) -> str:
    """Return the note for an answer that a person verified; ``owner`` is their name, empty if nobody is named."""
    by = f" by {owner}" if owner else ""
    return f"✅ Verified{by} on {at:%Y-%m-%d}.{PRESS_AGAIN}"


def without_thread(note: str) -> str:
    """Return a note without what needs a button or a thread, for answers that have neither."""
    return note.removesuffix(PRESS_AGAIN).removesuffix(CONTINUE)


def budget_warning(state: BudgetState, now: datetime) -> str:
    """Return the note for a daily token limit that is mostly used."""
    share = 100 * state.used // max(state.limit, 1)
    return f"{_OWNERS[state.whose]} used {share}% of today's token limit. It resets {when(state.resets_at, now)}."


def not_read(name: str, reason: str) -> str:
    """Return the note for an attached file that could not be read."""
    message = reason if reason.startswith(name) else f"{name} could not be read: {reason}"
    return f"{message.rstrip('.')}."


def warnings_of(name: str, warnings: Sequence[str]) -> list[str]:
    """Return the notes about what was left out of an attached file."""
    notes = [f"{name}: {warning}." for warning in warnings[:MOST_WARNINGS]]
    more = len(warnings) - MOST_WARNINGS
    return [*notes, f"{name}: {counted(more, 'more part')} left out."] if more > 0 else notes


def not_in_files(names: Sequence[str]) -> str:
    """Return the note for attached files that seem to say nothing about the question."""
    return f"I found nothing about this in {' or '.join(names)}."


def more_files(count: int) -> str:
    """Return the note for attached files beyond those that are read."""
    return (
        f"I did not read {count} more attached {'file' if count == 1 else 'files'}. Attach fewer files to one question."
    )


def incomplete_files(left_out: Sequence[str], shortened: Sequence[str]) -> list[str]:
    """Return the notes for attached files that are too long for one question, by their names."""
    notes = []
    if left_out:
        notes.append(f"{', '.join(left_out)}: did not fit into this question. Attach fewer or shorter files.")
    if shortened:
        notes.append(f"{', '.join(shortened)}: only the beginning was read. Attach the part that you ask about.")
    return notes


def nothing_found(query: str, documents: int, places: Sequence[str], people: Sequence[str] = ()) -> str:
    """Return the note for a question that no document seems to answer.

    ``places`` are the closest passages, ``people`` wrote about the subject in channels that were read.
    """
    if not documents:
        return "There are no documents here yet. Add some with /ingest."
    asked = query if len(query) <= ASKED_CHARS else f"{query[:ASKED_CHARS]}…"
    searched = "the only document" if documents == 1 else f"{documents:,} documents"
    closest = list(dict.fromkeys(places))[:CLOSEST]
    hint = f" Closest documents: {'; '.join(closest)}." if closest else ""
    if people:
        hint += f" {' and '.join(people)} wrote about something similar and may know more."
    elif closest:
        hint += " Their owner may know more."
    return f"I searched {searched} for “{asked}” and found no answer.{hint}"


# --- questions without text


def what_is_in(files: Sequence[str]) -> str:
    """Return the question that files without text stand for."""
    return f"What is in {', '.join(files)}, in short?"


def when(resets_at: datetime, now: datetime) -> str:
    """Return a future moment as a time of day with its zone and the wait until then."""
    left = max(resets_at - now.astimezone(resets_at.tzinfo), timedelta(0))
    hours, minutes = divmod(int(left.total_seconds()) // 60, 60)
    wait = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return f"at {resets_at:%H:%M} ({resets_at.tzinfo}), in {wait}"
