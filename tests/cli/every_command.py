"""The commands of the command line, found by walking it, each with arguments with which it works."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from bot.cli import cli
from tests.cli.conftest import Parley

SERVERS = ("up", "slack", "discord", "web", "worker")
"""Commands that run until they are stopped."""
INTERACTIVE = ("init", "chat")
"""Commands that ask for their input."""
ON_A_CLUSTER = ("db distribute",)
"""Commands that fail on a database without Citus."""
ONCE = ("docs delete", "erase", "verified remove", "db move")
"""Commands that work only once with the same arguments."""


@dataclass(frozen=True)
class Command:
    """A command with the options of its groups."""

    name: str
    click: click.Command

    def has(self, parameter: str) -> bool:
        """Return whether the command has an option or argument of this name."""
        return any(one.name == parameter for one in self.click.params)


def every_command() -> list[Command]:
    """Return all commands, also groups that do something without a command."""
    return list(_walk(cli, ()))


def _walk(command: click.Command, path: tuple[str, ...]) -> Iterator[Command]:
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield Command(" ".join(path), command)
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from _walk(below, (*path, name))


def with_value(command: Command, working: Sequence[str], parameter: click.Parameter, value: str) -> list[str]:
    """Return the command line of ``working`` arguments in which one option or argument has another value."""
    args = list(working)
    if isinstance(parameter, click.Option):
        option = parameter.opts[0]
        if option in args:
            args[args.index(option) + 1] = value
        else:
            args += [option, value]
        return [*command.name.split(), *args]
    place = [one.name for one in command.click.params if isinstance(one, click.Argument)].index(parameter.name)
    args[place : place + 1] = [value]
    return [*command.name.split(), "--", *args]


def working_arguments(parley: Parley, folder: Path, other_database: str) -> Mapping[str, Sequence[str]]:
    """Return arguments with which each command that ends by itself works. Stores documents and an answer."""
    files = _data_files(folder)
    assert parley("ingest", files["travel.md"], files["spare.md"], "--json").status == 0
    (spare,), (shown,) = (parley("docs", "list", name, "--json").document for name in ("spare.md", "travel.md"))
    asked = parley("ask", "What is the hotel limit in Oslo?", "--user", "U1", "--json").document["turn_id"]
    verified = parley("verified", "add", "Who feeds the cat?", "--answer", "Sam.", "--json").document
    return {
        "ask": ("What is the hotel limit in Oslo?",),
        "why": (asked,),
        "ingest": (files["travel.md"],),
        "docs": (),
        "docs list": (),
        "docs show": (shown["id"],),
        "docs delete": (spare["id"],),
        "docs refresh": (shown["id"],),
        "parse": (files["travel.md"],),
        "search": ("hotel",),
        "costs": (),
        "feedback": (),
        "gaps": (),
        "slo": (),
        "verified list": (),
        "verified add": ("Who waters the ferns?", "--answer", "Kim does.", "--source", "travel.md"),
        "verified remove": (verified["id"],),
        "budget show": (),
        "budget set": ("ann", "5k"),
        "export": ("--user", "U1"),
        "erase": ("--user", "U1"),
        "eval retrieval": ("--data", str(folder)),
        "eval routing": ("--data", files["routing.jsonl"]),
        "eval followups": ("--data", str(folder)),
        "eval cache": ("--data", files["pairs.jsonl"]),
        "eval abstention": ("--data", files["abstention.jsonl"]),
        "eval memory": ("--data", files["memory.json"]),
        "eval answers": ("--cases", files["cases.jsonl"], "--documents", files["travel.md"]),
        "doctor": (),
        "manifest slack": (),
        "db upgrade": (),
        "db url": (),
        "db programs": (),
        "db move": (other_database,),
        "completion": ("bash",),
    }


def _data_files(folder: Path) -> Mapping[str, str]:
    """Write documents, and a small data set of each kind that ``parley eval`` reads. Return the path of each file."""
    question = {"last_turn": "What does it eat?", "user_turns": ["Tell me of the lemur."], "standalone": "Lemur food?"}
    conversation = {
        "id": "c",
        "turns": [{"id": "D1", "author": "Ann", "time": "2026-03-01T10:00", "text": "The zebra escaped."}],
        "questions": [{"text": "Who escaped?", "evidence": ["D1"]}],
    }
    texts = {
        "travel.md": "# Travel\n\nThe hotel limit in Oslo is 180 EUR a night.\n",
        "spare.md": "# Bicycles\n\nThe bicycle is called Gustav.\n",
        "qrels.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t1\n",
        "memory.json": json.dumps({"conversations": [conversation]}),
    }
    rows: dict[str, list[dict[str, object]]] = {
        "corpus.jsonl": [{"_id": "d1", "title": "Lemurs", "text": "The lemur eats fruit."}],
        "queries.jsonl": [{"_id": "q1", "text": "What does the lemur eat?", **question}],
        "routing.jsonl": [
            {"prompt": "When may dogs come?", "strong_correct": True, "weak_correct": True},
            {"prompt": "Compare the schemes.", "strong_correct": True, "weak_correct": False},
        ],
        "pairs.jsonl": [{"a": "What may a hotel cost?", "b": "What can a hotel cost?", "same": True}],
        "abstention.jsonl": [
            {"question": "Since when?", "passages": ["Since May."], "answerable": True},
            {"question": "What is a lemur?", "passages": ["Since May."], "answerable": False},
        ],
        "cases.jsonl": [
            {"id": "limit", "kind": "direct", "question": "What is the hotel limit in Oslo?", "facts": ["180 EUR"]}
        ],
    }
    texts |= {name: "\n".join(map(json.dumps, lines)) for name, lines in rows.items()}
    for name, text in texts.items():
        (folder / name).write_text(text)
    return {name: str(folder / name) for name in texts}
