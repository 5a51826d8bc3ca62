"""Every command of the command line, found by walking it: its JSON, and outputs that cannot be written."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.cli import standard_streams
from tests.cli.conftest import Parley, Ran
from tests.cli.every_command import INTERACTIVE, ON_A_CLUSTER, ONCE, SERVERS, every_command, working_arguments

UNWRITTEN = "parley: The output cannot be written ("


class Unasked(io.RawIOBase):
    """An input that no command may read unless it asks questions."""

    def readable(self) -> bool:
        return True

    def readinto(self, _: object, /) -> int:
        raise AssertionError("the command reads its input")


@contextmanager
def full_output(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the output fail like that of a full disk."""
    with Path("/dev/full").open("w") as device, monkeypatch.context() as patched:
        patched.setattr(standard_streams, "_output", None)
        patched.setattr("sys.stdout", standard_streams.watched(device.fileno(), "utf-8", "strict"))
        try:
            yield
        finally:
            # The buffer may hold what could not be written; closing the stream would fail like the writes before.
            os.dup2(os.open(os.devnull, os.O_WRONLY), device.fileno())


def is_one_document(made: Ran, *, lines: bool) -> bool:
    """Return whether a command succeeded with one JSON document and nothing else; with ``lines``, one on each line."""
    try:
        for text in made.out.splitlines() if lines else [made.out]:
            json.loads(text)
    except ValueError:
        return False
    return made.status == 0


def test_every_command_prints_its_json_and_fails_if_the_output_cannot_be_written(
    parley: Parley, bare: Path, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(Unasked())))
    arguments = working_arguments(parley, bare, empty_database_url)
    commands = {one.name: one for one in every_command()}
    assert set(arguments) == set(commands) - {*SERVERS, *INTERACTIVE, *ON_A_CLUSTER}
    problems: dict[str, object] = {}
    for name, args in arguments.items():
        with full_output(monkeypatch):
            made = parley(*name.split(), *args)
        if made.status != 1 or not made.err.splitlines()[-1].startswith(UNWRITTEN) or "Traceback" in made.err:
            problems[name] = made
        if commands[name].has("as_json") and name not in ONCE:
            made = parley(*name.split(), *args, "--json")
            if not is_one_document(made, lines=name == "parse"):
                problems[f"{name} --json"] = made
    assert problems == {}


def test_every_command_that_prints_data_has_json() -> None:
    without = {one.name for one in every_command() if not one.has("as_json")}
    assert without == {*SERVERS, *INTERACTIVE, "completion"}
