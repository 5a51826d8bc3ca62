"""The commands as Discord offers them: sub-commands with typed options, and the argument line they stand for. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bot.commands.base import Command
from bot.errors import UsageError

Kind = Literal["text", "person", "channel", "file", "switch"]
Suggested = Literal["documents", "sources", "facts"]

DESCRIPTION_CHARS = 100
"""Discord's limit of a description."""


@dataclass(frozen=True, slots=True)
class Option:
    """One field of a form. ``free`` text goes into the line as it was typed, other text as one word.

    ``choices`` are all that may be chosen, ``suggested`` is what is offered while somebody types. ``word`` stands
    before a text, and alone for a ``switch`` that is on.
    """

    name: str
    told: str
    kind: Kind = "text"
    required: bool = False
    free: bool = False
    choices: tuple[str, ...] = ()
    suggested: Suggested | None = None
    word: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """A command, or one of its sub-commands where it has a ``name``.

    ``before`` and ``after`` stand around the options in the argument line; ``needs_one`` says what to do where no
    option was filled in and one must be.
    """

    name: str
    told: str
    options: tuple[Option, ...] = ()
    before: str = ""
    after: str = ""
    needs_one: str = ""


_TIER = Option("tier", "Which model answers", required=True, choices=("auto", "cheap", "strong"))
_SWITCH = Option("state", "On or off", required=True, choices=("on", "off"))
_DOCUMENT = Option("document", "The document; type a part of its title", required=True, suggested="documents")
_ANSWER = Option("answer", "Its id; the last answer of this thread without one")
_PERSON = Option("person", "The person", kind="person", required=True)
_SUBJECTS = ("*", "here", "tenant", "role:admin", "role:member", "channel:*")
_LIMIT = (
    Option("tokens", "A number such as 200k, “unlimited” or “default”", required=True),
    Option("person", "For this person", kind="person"),
    Option("channel", "For this channel", kind="channel"),
    Option("whose", "For everybody (*), this channel, the team, or a role", choices=_SUBJECTS),
)
_WHOSE = "Whose limit? Choose a person, a channel, or one of whose."
_SET_LIMIT = "Sets how many tokens a day somebody, a channel or everybody may use; admins"

FORMS: Mapping[str, tuple[Form, ...]] = {
    "ask": (Form("", "", (Option("question", "Your question", required=True, free=True),)),),
    "ingest": (
        Form(
            "",
            "",
            (
                Option("here", "Only people in this channel may ask about it", kind="switch", word="--here"),
                Option("address", "A page, site, feed or repository", free=True),
                Option("file", "A file to take in", kind="file"),
                Option("channel", "Take in what was said in a channel", kind="channel"),
                Option("everybody", "Open that channel to everybody; admins", kind="switch", word="--tenant"),
                Option("stop", "Stop what is being taken in", kind="switch", word="stop"),
            ),
        ),
    ),
    "docs": (
        Form("list", "Lists what I have read", (Option("text", "A part of title or source", free=True),), "list"),
        Form("show", "Shows a document", (_DOCUMENT,), "show"),
        Form("delete", "Deletes a document; admins", (_DOCUMENT,), "delete"),
        Form(
            "refresh",
            "Reads sources again, now or from time to time",
            (
                Option("document", "The document; all sources without one", suggested="documents"),
                Option("every", "How often from now on: 30min, 6h, 2d, never, default", word="every"),
            ),
            "refresh",
        ),
    ),
    "budget": (
        Form("show", "Shows the tokens of today", (Option("person", "Of whom; admins", kind="person"),), "show"),
        Form("set", _SET_LIMIT, _LIMIT, "set", needs_one=_WHOSE),
        Form("list", "Lists all limits; admins", (), "list"),
    ),
    "costs": (
        Form(
            "",
            "",
            (
                Option("since", "A period: 12h, 30d, 4w"),
                Option("by", "Grouped by", choices=("user", "channel", "model", "purpose", "day"), word="by"),
                Option("csv", "With the table as a file", kind="switch", word="csv"),
                Option("chart", "With a chart of the days", kind="switch", word="chart"),
            ),
        ),
    ),
    "memory": (
        Form("show", "Shows what this thread remembers", (), "show"),
        Form(
            "forget",
            "Forgets a fact of this thread, or all",
            (Option("fact", "Its number, or “all”", required=True, suggested="facts"),),
            "forget",
        ),
    ),
    "settings": (
        Form("show", "Shows how I behave in this channel", (), "show"),
        Form(
            "persona",
            "Says how I should answer in this channel; admins",
            (Option("text", "For example: answer in two sentences; “default” undoes it", required=True, free=True),),
            "persona",
        ),
        Form("tier", "Says which model answers in this channel; admins", (_TIER,), "tier"),
        Form(
            "sources",
            "Says which sources answers in this channel draw on; admins",
            (
                Option(
                    "source", "A source or its beginning; “all” for every source", required=True, suggested="sources"
                ),
            ),
            "sources",
        ),
        Form("follow-ups", "Answers in threads without a new mention; admins", (_SWITCH,), "follow-ups"),
        Form(
            "auto-answer", "Answers without a mention where the evidence is strong; admins", (_SWITCH,), "auto-answer"
        ),
        Form("reset", "Puts this channel back to the defaults; admins", (), "reset"),
    ),
    "admin": (
        Form("show", "Shows what holds everywhere", (), "show"),
        Form("grant", "Makes somebody an admin of the bot", (_PERSON,), "grant"),
        Form("revoke", "Takes that back", (_PERSON,), "revoke"),
        Form("tier", "Says which model answers where a channel says nothing else", (_TIER,), "tier"),
        Form("pause", "Has me answer no questions", (Option("note", "What askers are told", free=True),), "pause"),
        Form("resume", "Has me answer again", (), "resume"),
        Form("budgets", "Lists all limits", (), "budgets"),
        Form("limit", _SET_LIMIT, _LIMIT, "budgets", needs_one=_WHOSE),
        Form("models", "Shows which models there are", (), "models"),
    ),
    "privacy": (
        Form("show", "Shows how much is kept of you"),
        Form("export", "Hands over what is kept of you", (), "export"),
        Form("erase", "Erases what is kept of you, for good", (), "erase me"),
    ),
    "why": (Form("", "", (_ANSWER,)),),
    "sources": (Form("", "", (_ANSWER,)),),
    "stop": (Form("", ""),),
    "help": (Form("", ""),),
}
"""The forms by command. A command that is not here is offered with its argument line as one option."""


def forms(command: Command) -> tuple[Form, ...]:
    """What Discord offers of a command."""
    known = FORMS.get(command.name)
    if known is not None:
        return known
    if not command.usage:
        return (Form("", ""),)
    needed = bool(re.fullmatch(r"[A-Z_-]+", command.usage))
    return (Form("", "", (Option("arguments", command.usage[:DESCRIPTION_CHARS], required=needed, free=True),)),)


def description(command: Command, form: Form) -> str:
    """What Discord shows beside the name."""
    told = form.told or command.summary or command.name
    return (told[:1].upper() + told[1:])[:DESCRIPTION_CHARS]


def line(form: Form, given: Mapping[str, str]) -> str:
    """The argument line that a filled-in form stands for.

    Raises UsageError with ``needs_one`` where that is set and not one of person, channel and whose is chosen. ``given``
    has the options that were filled in, people and channels as Discord's mentions, a switch as ``word``.
    """
    words = [_word(option, given[option.name]) for option in form.options if given.get(option.name)]
    if form.needs_one:
        subjects = [given[name] for name in ("person", "channel", "whose") if given.get(name)]
        if len(subjects) != 1:
            raise UsageError(form.needs_one)
        words = [subjects[0], shlex.quote(given["tokens"])]
    return " ".join(word for word in (form.before, *words, form.after) if word)


def _word(option: Option, value: str) -> str:
    if option.free or option.kind != "text":
        return value.strip()
    quoted = shlex.quote(value.strip())
    return f"{option.word} {quoted}" if option.word else quoted
