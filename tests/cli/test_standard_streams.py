"""Outputs that cannot be written and inputs that are closed: one line and status 1, at once."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from tests.cli.conftest import Parley

LIMIT = 120.0
"""Seconds that a command may take on a slow machine; a hang takes longer."""


@pytest.fixture
def document(bare: Path) -> Path:
    made = bare / "hotels.md"
    made.write_text("# Hotels\n\nA hotel may cost 180 EUR a night.\n")
    return made


@pytest.fixture
def full() -> Iterator[TextIO]:
    with Path("/dev/full").open("w") as device:
        yield device
        # The buffer still holds what could not be written; closing the stream would fail like the writes before.
        os.dup2(os.open(os.devnull, os.O_WRONLY), device.fileno())


@pytest.fixture
def unread() -> Iterator[TextIO]:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        yield pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), pipe.fileno())


@pytest.mark.parametrize("output", ["full", "unread"])
@pytest.mark.parametrize(
    "args", [("ask", "What may a hotel cost?"), ("ask", "What may a hotel cost?", "--json"), ("docs",), ("--help",)]
)
def test_an_output_that_cannot_be_written_is_a_failure(
    parley: Parley,
    document: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    output: str,
    args: tuple[str, ...],
) -> None:
    parley("ingest", str(document))
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", request.getfixturevalue(output))
        made = parley(*args)
    *logged, line = made.err.strip().splitlines()
    assert made.status == 1
    assert all("cannot be shown" in one for one in logged)
    assert line.startswith("parley: The output cannot be written (")


def test_an_answer_that_cannot_be_written_is_stored_and_not_tried_again(
    parley: Parley, document: Path, monkeypatch: pytest.MonkeyPatch, full: TextIO
) -> None:
    parley("ingest", str(document))
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", full)
        assert parley("ask", "What may a hotel cost?", "--thread", "t1").status == 1
    assert parley("ask", "What may a hotel cost?", "--thread", "t2", "--json").document["cached"]


def test_a_chat_without_input_ends(parley: Parley, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert parley("chat").status == 0


def test_a_chat_adds_an_address_without_a_worker(
    parley: Parley, document: Path, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_FETCH_ALLOW", "127.0.0.1")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"/ingest {web}/hotels.md\n/docs\n"))
    made = parley("chat")
    assert made.status == 0
    assert "Added 1 document" in made.out
    assert "hotels.md" in made.out


SHELL = """
{parley} docs --json >/dev/full; echo full $?
{parley} docs --json >&-; echo closed $?
{parley} docs --json <&- >/dev/null; echo no-input $?
{parley} docs --json 2>&- >/dev/null; echo no-errors $?
{parley} ingest hotels.md 2>/dev/full >/dev/null; echo messages-full $?
{parley} docs list 2> >(true) >/dev/null; echo messages-unread $?
{parley} erase --user nobody <&-; echo erase $?
{parley} docs --json | true; echo pipe ${{PIPESTATUS[0]}}
"""


def test_the_status_of_the_process_with_closed_streams(bare: Path, database_url: str, document: Path) -> None:
    """Each command runs in a process of its own, because Python handles its streams at the start and at the exit."""
    environment = {**os.environ, "DATABASE_URL": database_url, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = f"{sys.executable} -m bot"
    made = subprocess.run(
        ["bash", "-c", SHELL.format(parley=command)],
        env=environment,
        cwd=bare,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    statuses = dict(line.split() for line in made.stdout.splitlines() if line.split()[0] in SHELL and " " in line)
    assert statuses.pop("pipe") in ("0", "1"), "true may end before or after the output is written"
    assert statuses == {
        "full": "1",
        "closed": "1",
        "no-input": "0",
        "no-errors": "0",
        "messages-full": "0",
        "messages-unread": "0",
        "erase": "1",
    }
    assert "Nothing is stored about the user nobody" in made.stderr
    assert "Traceback" not in made.stderr
    assert "Exception ignored" not in made.stderr
    told = [line for line in made.stderr.splitlines() if "cannot be written" in line]
    assert len(told) in (2, 3), made.stderr
