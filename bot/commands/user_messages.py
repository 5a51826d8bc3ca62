"""Text that the slash commands show to users: replies and errors.

The summaries and arguments of the commands are in ``help_text``. Text about ingestion, which the command line prints
too, is in ``ingest_user_messages``. The trace of ``/why`` and the summary of ``/costs`` are laid out next to their
figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from bot.engine.user_messages import when
from bot.types.usage import UNLIMITED, BudgetOwner, BudgetState, Tier

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
    return f"Nothing was done, because there is no option {name}. {hint}"


def not_a_period(text: str) -> str:
    return f"“{text}” is not a period. Write 12h, 30d or 4w."


def period_too_long(text: str) -> str:
    return f"“{text}” is too long a period. Write 12h, 30d or 4w."


def not_an_interval(text: str) -> str:
    return f"“{text}” is not an interval. Write 30min, 6h, 2d, never or default. The shortest interval is 5min."


def not_a_limit(text: str) -> str:
    return (
        f"“{text}” is not a limit. Write a whole number of tokens from 1 on, such as 200000 or 200k, or one of the "
        "words unlimited, blocked and default."
    )


# --- quiet and listen

FOLLOWING_IN_THREAD = "Write /quiet or /listen in a thread."
NOT_FOLLOWED = "I do not follow this thread. Mention me with a question first."
QUIET = "In this thread, I answer only when you mention me. /listen ends that."
LISTENING = "I answer follow-up questions in this thread again."

# --- admin

ADMIN_SETTINGS = (
    "Settings for the whole workspace. See also /settings for this channel and /budget list for the limits."
)
ADMIN_COLUMNS = ("setting", "value")
DEFAULT_PAUSE_NOTE = "An admin has paused me. Ask again later."
RESUMED = "I answer questions again."
MODELS = (
    "The operator sets the models with PARLEY_CHEAP_MODEL, PARLEY_STRONG_MODEL and PARLEY_EMBEDDING_MODEL. "
    "/admin tier chooses whether the cheap or the strong model answers."
)


def workspace_tier(tier: Tier | None) -> str:
    return f"{_tier(tier)} from now on, except in channels with their own tier."


def _tier(tier: Tier | None) -> str:
    return f"The {tier} model answers" if tier else "I choose the model for each question"


def granted(person: str) -> str:
    return f"{person} is now an admin here."


def revoked(person: str) -> str:
    return f"{person} is no longer an admin here."


def not_granted(person: str) -> str:
    return (
        f"{person} was not made an admin with /admin grant. Admin rights that come from the platform's roles or from "
        "PARLEY_ADMINS must be changed there."
    )


def paused(note: str) -> str:
    return f"I do not answer questions until an admin writes /admin resume. Askers see this note: {note}"


def note_too_long(limit: int) -> str:
    return f"The note can have at most {limit} characters."


# --- ask

NOTHING_TO_SHARE = "This answer can no longer be shared. Ask again."
ALREADY_SHARED = "This answer is already in the channel."
ASKER_SHARES = "Only the asker can share this answer."


# --- answers that /why and /sources look up

TO_BE_SHOWN = "Not shown yet: the platform could not be reached. It is shown as soon as the platform is back."
NOTHING_ANSWERED = "Nothing has been answered in this thread yet."
MEMBERS_COMMAND = "Only members of the team can add documents."
OTHER_CHANNEL = "That answer was given in another channel. Use the command there, or ask an admin."


def shown_late(seconds: float) -> str:
    """Return the line about a reply that was shown ``seconds`` after its end."""
    return f"Shown {seconds:,.0f} s late: the platform could not be reached."


def which_answer(name: str) -> str:
    return f"Which answer? Use this command in the answer's thread, or write /{name} with the ID of the answer."


def unknown_answer(turn_id: str) -> str:
    return f"No answer has the ID “{turn_id}”. /why shows the ID of an answer in its first line."


STILL_WRITING = "That answer is still being written. Look again when it is done."
NOTHING_CITED = "This answer cites no sources."
DOCUMENT_CHANGED = "_The document has changed since. This is what it said:_"
DOCUMENT_GONE = "_The document is no longer available here. This is what it said:_"

# --- budget

BUDGET_SUBJECTS = (
    "SUBJECT is a person, a channel, here, role:admin, role:member, * for everyone, channel:* for every channel, or "
    "tenant for the whole team."
)
BUDGET_COLUMNS = ("subject", "limit")
OTHERS_BUDGET = "Only an admin can see or set the budget of others. Write /budget to see yours."
_OWNERS: Mapping[BudgetOwner, str] = {"channel": "This channel has", "tenant": "The whole team has"}


def id_missing(text: str) -> str:
    return f"The ID is missing in “{text}”. Write the ID of a person such as U1, or channel:ID."


NO_BUDGET_OF_GROUP = "Only a person, a channel and the team have a budget. Name a person, channel:ID or tenant."


def unknown_role(role: str) -> str:
    return f"“{role}” is not a role. Write role:admin or role:member."


def own_budget(states: Sequence[BudgetState], now: datetime) -> str:
    """Return the asker's usage today, with the channel's and the team's where they are limited."""
    own, *shared_budgets = states
    lines = [_usage("You have", own)]
    lines += [_usage(_OWNERS[state.whose], state) for state in shared_budgets if not state.unlimited]
    if not all(state.unlimited for state in states):
        lines.append(f"Every budget resets {when(own.resets_at, now)}.")
    return "\n".join(lines)


def budget_of(user_id: str, state: BudgetState, now: datetime) -> str:
    reset = "" if state.unlimited else f" The budget resets {when(state.resets_at, now)}."
    return f"{_usage(f'{user_id} has', state)}{reset}"


def _usage(subject: str, state: BudgetState) -> str:
    reserved = f", with {state.reserved:,} reserved for answers in progress" if state.reserved else ""
    if state.unlimited:
        return f"{subject} used {state.used:,} tokens today{reserved}. There is no limit."
    return f"{subject} used {state.used:,} of {state.limit:,} tokens today{reserved}. {state.left:,} are left."


def daily_limit(tokens: int) -> str:
    if not tokens:
        return "blocked"
    return "no limit" if tokens >= UNLIMITED else f"{tokens:,} tokens a day"


def default_limits(*, person: int, channel: int, team: int) -> str:
    """Return the default limits in tokens per day; 0 means no limit."""
    limits = (("a person", person), ("a channel", channel), ("the whole team", team))
    listed = "; ".join(f"{subject}: {daily_limit(tokens or UNLIMITED)}" for subject, tokens in limits)
    return f"Defaults: {listed}. The limits below take precedence."


def limit_changed(subject: str, tokens: int | None) -> str:
    """Return what changed; ``tokens`` is None if the subject has the default again."""
    if tokens is None:
        return f"{subject} has the default limit again."
    if not tokens:
        return f"{subject} may use no tokens from now on."
    allowed = "any number of tokens" if tokens >= UNLIMITED else f"{tokens:,} tokens"
    return f"{subject} may use {allowed} a day from now on."


# --- docs

NO_DOCUMENTS = "No documents yet. Add some with /ingest."
ACCEPT_REMOVALS_ADMIN = "Only an admin can let a refresh remove many documents."
REFRESH_ADMIN = "Only an admin can change how often a source is refreshed."
DELETE_ADMIN = "Only the person who added this document, or an admin, can delete it. Ask an admin to delete it."


def documents(total: int, *, first: int, last: int, page: int) -> str:
    """Return the line above a page of the list of documents, which shows those from ``first`` to ``last``."""
    if last < first:
        return f"{number(total, 'document')}, but none on page {page}. Write /docs list to see the first page."
    if last - first + 1 == total:
        return f"{number(total, 'document')}."
    following = f" /docs list page {page + 1} shows the next ones." if last < total else ""
    return f"{total:,} documents. These are {first:,} to {last:,}.{following} Narrow the list with /docs list TEXT."


def no_match(text: str) -> str:
    return f"No document matches “{text}”."


def deleted(title: str) -> str:
    return f"Deleted {title}."


PREVIEW_NEEDS_FILE = "Attach a file to see what I read of it, without adding it."


def preview(name: str, title: str, form: str, blocks: int, warnings: Sequence[str]) -> str:
    """Return the heading of a preview: what was read of a file, and what was left out."""
    heading = f"**{name}**: {title} ({form}, {number(blocks, 'block')}). Nothing was stored."
    return "\n".join([heading, *(f"- {warning}" for warning in warnings)])


def no_preview(name: str, error: str) -> str:
    return f"**{name}**: {error}."


def unknown_document(document_id: str) -> str:
    return f"No document in this channel has the ID {document_id}. /docs lists the documents."


def uploaded_source(uri: str) -> str:
    return f"{uri} was uploaded, so it cannot be fetched again. Upload the file again."


def skipped_uploads(count: int) -> str:
    return f"{number(count, 'uploaded file')} cannot be fetched again. Upload the files that changed."


def refresh_interval(uri: str, period: str, seconds: int | None) -> str:
    """Return how often a source is refreshed; ``seconds`` is None for the default and 0 for never."""
    if seconds is None:
        return f"{uri} is refreshed at the default interval (PARLEY_REFRESH_HOURS)."
    return f"{uri} is refreshed every {period}." if seconds else f"{uri} is not refreshed automatically."


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
        f"Stored about you: {questions} questions with their answers, {ratings} ratings and {calls} cost records. "
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
    return f"Erased {questions} questions with their answers, and all data derived from them."


# --- settings

SETTINGS_ADMIN = "Only an admin can change the settings of a channel. Write /settings to see them."
SETTINGS_RESET = "This channel has the default settings again."
SETTINGS_SHOWN = "My settings in this channel."
PERSONA_USAGE = (
    "Write how I should behave here, for example: /settings persona Answer in two sentences. "
    "“default” restores the default."
)
PERSONA_RESET = "I use my default persona in this channel again."
SOURCES_USAGE = "Name the sources as /docs lists them, or write /settings sources all."
ALL_SOURCES = "Answers in this channel use every source again."
FOLLOW_UPS = {
    True: "I answer follow-ups in threads of this channel without a mention.",
    False: "I answer follow-ups in threads of this channel only when someone mentions me.",
}
EXTERNAL = {
    True: (
        "I use all of the team's documents in this channel, although guests and people from other organizations may "
        "read my answers."
    ),
    False: "While guests or people from other organizations read this channel, I use only documents added to it.",
}
EXTERNAL_USAGE = (
    "Write /settings external on or off, then, for another place, the ID of its channel, such as C0123 or D0123 in "
    "Slack and a number in Discord."
)


def refused_in(days: int) -> str:
    """Return the name of the row with the refusals of the last days."""
    return f"refused in the last {days} days"


def in_place(channel_id: str, confirmation: str) -> str:
    """Return the confirmation of a setting that was changed for another channel."""
    return f"In {channel_id}: {confirmation}"


AUTO_ANSWER = {
    True: (
        "I answer questions in this channel without a mention if the documents clearly contain the answer. "
        "Otherwise I do not reply."
    ),
    False: "I answer in this channel only when someone mentions me.",
}


def channel_tier(tier: Tier | None) -> str:
    return f"{_tier(tier)} in this channel from now on."


def persona_set(persona: str) -> str:
    return f"My persona in this channel: {persona}"


def persona_too_long(limit: int, length: int) -> str:
    return f"A persona can have at most {limit:,} characters. This one has {length:,}."


def sources_set(prefixes: Sequence[str]) -> str:
    return "Answers in this channel use only these sources: " + ", ".join(prefixes)


def unknown_source(prefix: str) -> str:
    return f"No source or document begins with “{prefix}”. /docs lists the sources."


def paused_everywhere(note: str) -> str:
    return f" I am paused in the whole workspace: {note}"


def unknown_tier(value: str) -> str:
    return f"“{value}” is not a tier. Write cheap, strong or auto."


def not_a_switch(name: str) -> str:
    return f"Write /settings {name} on, or /settings {name} off."


# --- stop

STOP_IN_THREAD = "Use this command in the thread of the answer, or press its Stop button."
STOPPED = "Stopped."
