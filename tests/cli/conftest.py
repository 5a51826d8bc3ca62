"""Fixtures that run the command line in this process, on a fresh database, without keys and tokens."""

from __future__ import annotations

import gc
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bot import cli
from bot.config import Settings, environment_name
from bot.store.embedded import server as embedded_server

FOREIGN = ("HTTP_PROXY", "HTTPS_PROXY")
TIME_WITH_SPACE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


@dataclass(frozen=True)
class Ran:
    """The result of one command."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Return the JSON document on stdout. Every time in it is in ISO 8601."""
        document = json.loads(self.out)
        assert [text for text in _texts(document) if TIME_WITH_SPACE.match(text)] == []
        return document


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a JSON document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


Parley = Callable[..., Ran]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Change to an empty folder and unset all settings of this machine."""
    for field in Settings.model_fields:
        monkeypatch.delenv(environment_name(field), raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """Restore logging, because the command line logs to a stderr that exists only during the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def unfrozen() -> Iterator[None]:
    """Return the objects that a command froze to the garbage collector, since other tests run in this process."""
    yield
    gc.unfreeze()


@pytest.fixture
def parley(
    bare: Path,
    logging_restored: None,
    unfrozen: None,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Parley:
    """Return a function that runs ``parley ARGS`` on the test's database."""
    monkeypatch.setenv("DATABASE_URL", database_url)

    def run(*args: str) -> Ran:
        return ran_in_process(capsys, *args)

    return run


def ran_in_process(capsys: pytest.CaptureFixture[str], *args: str) -> Ran:
    """Run ``parley ARGS`` in this process."""
    capsys.readouterr()
    status = cli.run(list(args))
    shown = capsys.readouterr()
    return Ran(status, shown.out, shown.err)


@pytest.fixture
def web(bare: Path) -> Iterator[str]:
    """Serve the files of the current folder. Return the address."""

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(bare))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def bundled(bare: Path, logging_restored: None, capsys: pytest.CaptureFixture[str]) -> Iterator[Parley]:
    """Yield a function that runs ``parley ARGS`` with the bundled PostgreSQL in the current folder."""

    def run(*args: str) -> Ran:
        return ran_in_process(capsys, *args)

    yield run
    embedded_server.start(bare / ".parley").stop()
