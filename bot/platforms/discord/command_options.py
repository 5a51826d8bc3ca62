"""Defines the sub-commands and typed options of each slash command, and turns filled-in options into an argument line.

Does no I/O. Discord shows the descriptions in this module next to each command and option.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bot.commands.base import Command
from bot.errors import UsageError
from bot.platforms.discord import user_messages

Kind = Literal["text", "person", "channel", "file", "switch"]
Suggested = Literal["documents", "sources", "facts"]

DESCRIPTION_CHARS = 100
"""Discord's limit for a description."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a slash command.

    ``verbatim`` text goes into the argument line as typed; other text is quoted as one word. ``choices`` are all the
    allowed values; ``suggested`` values are offered while the user types. ``keyword`` precedes the value in the
    argument line. For a ``switch`` that is on, the argument line has only the keyword.
    """

    name: str
    description: str
    kind: Kind = "text"
    required: bool = False
    verbatim: bool = False
    choices: tuple[str, ...] = ()
    suggested: Suggested | None = None
    keyword: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """The options of a command, or of one of its sub-commands if it has a ``name``.

    ``prefix`` and ``suffix`` surround the options in the argument line. A form that ``sets_limit`` needs exactly one
    of person, channel and whose.
    """

    name: str
    description: str
    options: tuple[Option, ...] = ()
    prefix: str = ""
    suffix: str = ""
    sets_limit: bool = False


_TIER = Option("tier", "The model that answers", required=True, choices=("auto", "cheap", "strong"))
_ON_OFF = Option("state", "On or off", required=True, choices=("on", "off"))
_DOCUMENT = Option("document", "The document; type a part of its title", required=True, suggested="documents")
_ANSWER = Option("answer", "ID of the answer; by default the last answer in this thread")
_PERSON = Option("person", "The person", kind="person", required=True)
_LIMIT_SUBJECTS = ("*", "here", "tenant", "role:admin", "role:member", "channel:*")
_LIMIT = (
    Option("tokens", "A number such as 200k, “unlimited” or “default”", required=True),
    Option("person", "Set the limit of this person", kind="person"),
    Option("channel", "Set the limit of this channel", kind="channel"),
    Option("whose", "Set the limit of every person (*), this channel, the team, or a role", choices=_LIMIT_SUBJECTS),
)
_SET_LIMIT = "Sets how many tokens a person, a channel or everybody may use in a day; admins only"

FORMS: Mapping[str, tuple[Form, ...]] = {
    "ask": (Form("", "", (Option("question", "Your question", required=True, verbatim=True),)),),
    "summarize": (
        Form("", "", (Option("what", "By default the thread, elsewhere the last day", choices=("thread", "day")),)),
    ),
    "ingest": (
        Form(
            "",
            "",
            (
                Option("here", "Only people in this channel can ask about it", kind="switch", keyword="--here"),
                Option("address", "Address of a page, site, feed or repository", verbatim=True),
                Option("file", "A file to add", kind="file"),
                Option("channel", "Add the messages of this channel", kind="channel"),
                Option(
                    "everybody",
                    "Let everybody ask about that channel's messages; admins only",
                    kind="switch",
                    keyword="--tenant",
                ),
                Option("stop", "Stop adding documents", kind="switch", keyword="stop"),
            ),
        ),
    ),
    "docs": (
        Form("list", "Lists the documents", (Option("text", "A part of the title or source", verbatim=True),), "list"),
        Form("show", "Shows a document", (_DOCUMENT,), "show"),
        Form(
            "preview",
            "Shows what I read of a file, without adding it",
            (Option("file", "The file", kind="file", required=True),),
            "preview",
        ),
        Form("delete", "Deletes a document; admins only", (_DOCUMENT,), "delete"),
        Form(
            "save",
            "Saves an answer to the documents of its channel; admins only",
            (
                _ANSWER,
                Option("everybody", "Let everybody ask about it", kind="switch", keyword="--tenant"),
            ),
            "save",
        ),
        Form(
            "verify",
            "Verifies an answer, which is then given first; admins, and owners of its documents",
            (
                _ANSWER,
                Option("everybody", "Give it to everybody", kind="switch", keyword="--tenant"),
                Option("until", "How long it holds: 2027-01-31, 90d, never", keyword="--until"),
            ),
            "verify",
        ),
        Form(
            "refresh",
            "Reads sources again, now or at an interval",
            (
                Option("document", "The document; by default all sources", suggested="documents"),
                Option("every", "How often from now on: 30min, 6h, 2d, never, default", keyword="every"),
            ),
            "refresh",
        ),
    ),
    "budget": (
        Form("show", "Shows the tokens used today", (Option("person", "Whose; admins only", kind="person"),), "show"),
        Form("set", _SET_LIMIT, _LIMIT, "set", sets_limit=True),
        Form("list", "Lists all limits; admins only", (), "list"),
    ),
    "costs": (
        Form(
            "",
            "",
            (
                Option("since", "A period: 12h, 30d, 4w"),
                Option("by", "Group by", choices=("user", "channel", "model", "purpose", "day"), keyword="by"),
                Option("csv", "Attach the table as a CSV file", kind="switch", keyword="csv"),
                Option("chart", "Attach a chart by day", kind="switch", keyword="chart"),
            ),
        ),
    ),
    "feedback": (
        Form(
            "",
            "",
            (
                Option("since", "A period: 12h, 7d, 4w"),
                Option("all", "List the thumbs up too", kind="switch", keyword="all"),
            ),
        ),
    ),
    "memory": (
        Form("show", "Shows the facts remembered in this thread", (), "show"),
        Form(
            "forget",
            "Forgets one fact of this thread, or all",
            (Option("fact", "Number of the fact, or “all”", required=True, suggested="facts"),),
            "forget",
        ),
    ),
    "settings": (
        Form("show", "Shows the settings of this channel", (), "show"),
        Form(
            "persona",
            "Sets how I answer in this channel; admins only",
            (
                Option(
                    "text",
                    "For example: answer in two sentences; “default” removes it",
                    required=True,
                    verbatim=True,
                ),
            ),
            "persona",
        ),
        Form("tier", "Sets the model that answers in this channel; admins only", (_TIER,), "tier"),
        Form(
            "sources",
            "Sets the sources that answers in this channel use; admins only",
            (
                Option(
                    "source",
                    "A source or the beginning of its address; “all” for every source",
                    required=True,
                    suggested="sources",
                ),
            ),
            "sources",
        ),
        Form("follow-ups", "Answers follow-ups in threads without a mention; admins only", (_ON_OFF,), "follow-ups"),
        Form(
            "auto-answer",
            "Answers without a mention when the evidence is strong; admins only",
            (_ON_OFF,),
            "auto-answer",
        ),
        Form(
            "change-notices",
            "Tells threads when documents that an answer cites have changed; admins only",
            (_ON_OFF,),
            "change-notices",
        ),
        Form(
            "external",
            "Uses all documents although people from outside read along; admins only",
            (_ON_OFF, Option("place", "The ID of another channel, such as a guest's direct messages")),
            "external",
        ),
        Form("reset", "Resets this channel to the defaults; admins only", (), "reset"),
    ),
    "admin": (
        Form("show", "Shows the settings that apply everywhere", (), "show"),
        Form("grant", "Makes a person an admin of the bot", (_PERSON,), "grant"),
        Form("revoke", "Removes a person from the admins of the bot", (_PERSON,), "revoke"),
        Form("tier", "Sets the model that answers in channels without a setting of their own", (_TIER,), "tier"),
        Form(
            "pause",
            "Stops me from answering questions",
            (Option("note", "A note for the people who ask", verbatim=True),),
            "pause",
        ),
        Form("resume", "Lets me answer again", (), "resume"),
        Form("digest", "Posts here every week what the documents do not answer", (_ON_OFF,), "digest"),
        Form("budgets", "Lists all limits", (), "budgets"),
        Form("limit", _SET_LIMIT, _LIMIT, "budgets", sets_limit=True),
        Form("models", "Lists the available models", (), "models"),
    ),
    "privacy": (
        Form("show", "Shows how much data I store about you"),
        Form("export", "Sends you the data I store about you", (), "export"),
        Form("erase", "Erases the data I store about you, permanently", (), "erase me"),
    ),
    "why": (Form("", "", (_ANSWER,)),),
    "sources": (Form("", "", (_ANSWER,)),),
    "stop": (Form("", ""),),
    "quiet": (Form("", ""),),
    "listen": (Form("", ""),),
    "help": (Form("", ""),),
}
"""The forms of each command. A command that is missing here gets its argument line as its only option."""


def forms(command: Command) -> tuple[Form, ...]:
    """Return the forms that Discord offers for a command."""
    defined = FORMS.get(command.name)
    if defined is not None:
        return defined
    if not command.usage:
        return (Form("", ""),)
    required = bool(re.fullmatch(r"[A-Z_-]+", command.usage))
    return (Form("", "", (Option("arguments", command.usage[:DESCRIPTION_CHARS], required=required, verbatim=True),)),)


def description(command: Command, form: Form) -> str:
    """Return the description that Discord shows next to the name."""
    text = form.description or command.summary or command.name
    return (text[:1].upper() + text[1:])[:DESCRIPTION_CHARS]


def argument_line(form: Form, values: Mapping[str, str]) -> str:
    """Return the argument line for a filled-in form.

    ``values`` holds the options that were filled in: people and channels as Discord mentions, a switch as its keyword.
    Raises UsageError if the form sets a limit and not exactly one of person, channel and whose is filled in.
    """
    words = [_argument(option, values[option.name]) for option in form.options if values.get(option.name)]
    if form.sets_limit:
        subjects = [values[name] for name in ("person", "channel", "whose") if values.get(name)]
        if len(subjects) != 1:
            raise UsageError(user_messages.LIMIT_SUBJECT_MISSING)
        words = [subjects[0], shlex.quote(values["tokens"])]
    return " ".join(word for word in (form.prefix, *words, form.suffix) if word)


def _argument(option: Option, value: str) -> str:
    if option.verbatim or option.kind != "text":
        return value.strip()
    quoted = shlex.quote(value.strip())
    return f"{option.keyword} {quoted}" if option.keyword else quoted
