"""The process that parses files: its limits, its end, its answers, and what it says about its isolation."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import get_args

import psutil
import pytest

from knowledge.errors import ParseError
from knowledge.parsing.format_detection import Format
from knowledge.parsing.isolation import process_isolation, sandbox, worker_process
from knowledge.parsing.isolation.process_isolation import CAPABILITIES, LIMITS, Isolation
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.parsing.ocr.text_recognition import is_installed
from knowledge.types.source_items import Fetched
from tests.knowledge.parsing import test_chats as test_parsing_chats
from tests.knowledge.parsing import test_formats as test_parsing
from tests.knowledge.parsing import test_office as test_parsing_office
from tests.knowledge.parsing import test_other_formats as test_parsing_other_formats
from tests.knowledge.parsing.hostile_parser import CANARY, HERE, HostileParser, linux, needs_both
from tests.knowledge.parsing.outlook_files import compound_file, message


@linux
async def test_threads_work(hostile: HostileParser) -> None:
    assert "0 1 2 3" in await hostile.attack("use_threads")


async def test_endless_loop_is_killed_in_time() -> None:
    parser = HostileParser(seconds=2)
    await parser.isolation()
    process = parser._process
    assert process is not None
    started = time.monotonic()
    with pytest.raises(ParseError, match="took longer than 2 seconds"):
        await parser.attack("spin")
    assert time.monotonic() - started < 10
    assert not psutil.pid_exists(process.pid)


@linux
async def test_process_has_no_secrets_no_descriptors_and_limits_that_it_cannot_raise(
    hostile: HostileParser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)
    with (Path(__file__)).open() as kept:
        os.set_inheritable(kept.fileno(), True)
        found = json.loads(await hostile.attack("facts"))
    assert CANARY not in json.dumps(found["environment"])
    assert len(found["descriptors"]) <= 5, "stdin, stdout, stderr, the responses and statm"
    limits = found["limits"]
    assert limits["CORE"] == limits["FSIZE"] == [0, 0]
    assert limits["NOFILE"] == [process_isolation.MAX_OPEN_FILES] * 2
    assert limits["CPU"] == [process_isolation.MAX_CPU_SECONDS] * 2
    recognition = worker_process.RECOGNITION_MEMORY_BYTES if is_installed() else 0
    assert 0 < limits["AS"][1] < 2**30 + recognition


@linux
async def test_process_has_its_own_session_and_no_powers(hostile: HostileParser) -> None:
    await hostile.isolation()
    assert hostile._process is not None
    pid = hostile._process.pid
    assert os.getsid(pid) == pid
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    read_only = 1 << 2 if os.geteuid() == 0 and HERE.landlock else 0
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == read_only
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == ("2" if HERE.seccomp else "0")
    assert status["Threads"].strip() == "1"


@linux
async def test_the_process_with_its_libraries_and_a_file_stays_within_its_memory(hostile: HostileParser) -> None:
    await hostile.unavailable_formats()  # This imports every parser that is installed.
    filled = int((await hostile.attack("fill_memory")).split()[-2])
    assert hostile._process is not None
    status = Path(f"/proc/{hostile._process.pid}/status").read_text()
    peak = next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    assert filled > 300
    assert filled < peak <= worker_process.MAX_MEMORY_BYTES // 2**20


@linux
@pytest.mark.parametrize(("kept", "continues"), [(8, True), (200, False)])
async def test_a_process_in_which_a_file_left_much_memory_ends(
    hostile: HostileParser, kept: int, continues: bool
) -> None:
    await hostile.isolation()
    process = hostile._process
    await hostile.attack("keep_memory", megabytes=kept)
    assert (hostile._process is process) == continues
    assert "MB" in await hostile.attack("fill_memory")


@linux
async def test_process_dies_with_the_bot(tmp_path: Path) -> None:
    """Even in the middle of a file, and when the bot has no time to end it."""
    code = """
import asyncio
from tests.knowledge.parsing.hostile_parser import HostileParser
from tests.knowledge.parsing.outlook_files import compound_file, message
async def main():
    parser = HostileParser(seconds=100)
    await parser.isolation()
    print(parser._process.pid, flush=True)
    await parser.attack("spin")
asyncio.run(main())
"""
    bot = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(sandbox.PROJECT_ROOT)},
        cwd=sandbox.PROJECT_ROOT,
    )
    assert bot.stdout is not None
    worker = psutil.Process(int(bot.stdout.readline()))
    time.sleep(0.2)
    bot.kill()
    bot.wait()
    bot.stdout.close()
    worker.wait(5)


DATE = b"Mon, 01 Jan 2024 10:00:00 +0100"
SAMPLES: dict[Format, tuple[str, Callable[[], bytes]]] = {
    "pdf": ("a.pdf", lambda: test_parsing.pdf("fine words")),
    "docx": ("a.docx", test_parsing.docx_file),
    "pptx": ("a.pptx", test_parsing_office.slides),
    "xlsx": ("a.xlsx", lambda: test_parsing_office.saved(test_parsing_office.workbook())),
    "xls": ("a.xls", lambda: test_parsing_other_formats.XLS),
    "opendocument": (
        "a.odt",
        lambda: test_parsing_other_formats.opendocument("<text:p>Fine words.</text:p>", "text"),
    ),
    "epub": ("a.epub", test_parsing_other_formats.book),
    "rtf": ("a.rtf", lambda: rb"{\rtf1\ansi Fine words.\par}"),
    "msg": ("a.msg", lambda: compound_file(message(subject="Fine", body="Fine words."))),
    "rst": ("a.rst", lambda: b"Fine\n====\n\nWords.\n"),
    "asciidoc": ("a.adoc", lambda: b"= Fine\n\nWords.\n"),
    "org": ("a.org", lambda: b"* Fine\nWords.\n"),
    "latex": ("a.tex", lambda: b"\\section{Fine} Words."),
    "slack": ("a.zip", test_parsing_chats.slack),
    "discord": ("a.zip", lambda: test_parsing_chats.archive({"a/ops.json": test_parsing_chats.channel()})),
    "html": ("a.html", lambda: b"<!doctype html><title>A</title><h1>Head</h1><p>Fine words of a page.</p>"),
    "mail": (
        "a.eml",
        lambda: b"From: a@b.example\nTo: c@d.example\nSubject: Words\nDate: " + DATE + b"\n\nFine words.\n",
    ),
    "mbox": ("a.mbox", lambda: b"From a@b.example Mon Jan  1 00:00:00 2024\nFrom: a@b.example\nSubject: A\n\nWords.\n"),
    "json": ("b.json", lambda: b'{"fine": {"words": [1, 2]}}'),
    "csv": ("a.csv", lambda: b"name,words\na,fine\nb,good\n"),
    "markdown": ("a.md", lambda: b"# Head\n\nFine words."),
    "code": ("a.py", lambda: b"def fine():\n    return 'words'\n"),
    "plain": ("a.txt", lambda: b"Gr\xfc\xdfe aus K\xf6ln, feine Worte. " * 20),
}


def test_samples_are_of_every_format() -> None:
    """Pictures need an extra; test_text_recognition reads them in the sandbox."""
    assert {*SAMPLES, "image"} == set(get_args(Format))


@needs_both
@pytest.mark.parametrize("kind", SAMPLES)
async def test_files_of_every_format_are_parsed_in_the_whole_sandbox(parser: Parser, kind: Format) -> None:
    """The first file of a process, which imports the parser in the sandbox."""
    assert (await parser.isolation()).complete
    name, made = SAMPLES[kind]
    document = await parser.parse(Fetched(name, made()))
    assert document.metadata["format"] == kind
    assert document.blocks


async def test_every_parser_can_be_imported_in_the_sandbox(parser: Parser) -> None:
    assert await parser.unavailable_formats() == []


async def test_missing_library_is_reported_by_format(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {**sandbox._environment(), "PARLEY_TEST_HIDE": "pptx"}
    monkeypatch.setattr(sandbox, "_environment", lambda: environment)
    parser = HostileParser()
    assert await parser.unavailable_formats() == ["pptx"]
    await parser.aclose()


def test_readable_files_leave_out_the_project_and_the_home_folder() -> None:
    readable = process_isolation.readable_files()
    for kept in (sandbox.PROJECT_ROOT, sandbox.PROJECT_ROOT / ".env", Path.home(), Path("/etc/passwd"), Path("/proc")):
        assert not any(kept.resolve().is_relative_to(path) for path in readable), kept


TEXT = "a fine text"
GOOD_DOCUMENT = {"title": "t", "text": TEXT, "blocks": [["paragraph", 0, 5, [], None]], "metadata": {}}


@pytest.mark.parametrize(
    "response",
    [
        "no JSON",
        "[" * 200_000,
        "[]",
        "null",
        '"text"',
        "{}",
        json.dumps({**GOOD_DOCUMENT, "text": "\ud800"}),
        json.dumps({**GOOD_DOCUMENT, "text": ["a"] * 100}),
        json.dumps({**GOOD_DOCUMENT, "title": {}}),
        json.dumps({**GOOD_DOCUMENT, "metadata": [1]}),
        json.dumps({**GOOD_DOCUMENT, "blocks": [["paragraph", 0, 500, [], None]]}),
        json.dumps({**GOOD_DOCUMENT, "blocks": [["paragraph", 0.5, 3, [], None]]}),
        json.dumps({**GOOD_DOCUMENT, "blocks": [["paragraph", False, True, [], None]]}),
        json.dumps({**GOOD_DOCUMENT, "blocks": [["<script>", 0, 5, [], None]]}),
        json.dumps({**GOOD_DOCUMENT, "blocks": [["paragraph", 0, 5, [7], None]]}),
        json.dumps({**GOOD_DOCUMENT, "blocks": [["paragraph", 0, 5, [], "1"]]}),
        json.dumps({**GOOD_DOCUMENT, "blocks": [["paragraph", 0, 5, [], 2**80]]}),
        json.dumps({**GOOD_DOCUMENT, "blocks": [["paragraph", 0, 5]]}),
        json.dumps({**GOOD_DOCUMENT, "blocks": [[["paragraph"], 0, 5, [], None]]}),
        json.dumps({**GOOD_DOCUMENT, "blocks": 5}),
        json.dumps({**GOOD_DOCUMENT, "title": "half of a pair \ud800"}),
        json.dumps({**GOOD_DOCUMENT, "metadata": {"nothing \0": "x"}}),
    ],
)
async def test_response_of_a_process_under_control_is_checked(hostile: HostileParser, response: str) -> None:
    with pytest.raises(ParseError, match="invalid result"):
        await hostile.attack("garbage", head=response)
    assert hostile._process is None


async def test_characters_that_cannot_be_stored_are_replaced(parser: Parser) -> None:
    parsed = await parser.parse(Fetched("a.json", b'{"fine": "half of a pair: \\ud800, nothing: \\u0000"}'))
    assert "half of a pair: \ufffd, nothing: \ufffd" in parsed.text
    assert "Grüße 👋 你好" in (await parser.parse(Fetched("a.txt", "Grüße 👋 你好".encode()))).text


async def test_start_that_is_cancelled_leaves_no_process_and_no_unread_frame(parser: Parser) -> None:
    starting = asyncio.create_task(parser.isolation())
    while parser._process is None:
        await asyncio.sleep(0.001)
    process = parser._process
    starting.cancel()
    with suppress(asyncio.CancelledError):
        await starting
    assert process.returncode is not None
    assert (await parser.parse(Fetched("a.md", b"# Words"))).text == "# Words"


async def test_error_of_a_process_under_control_is_one_short_line(hostile: HostileParser) -> None:
    with pytest.raises(ParseError) as raised:
        await hostile.attack("garbage", head=json.dumps({"error": "a\n\x1b[31m\u202eb" * 1000}))
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) <= 300
    await hostile.aclose()


async def test_start_is_logged_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_logged", set())
    caplog.set_level(logging.INFO)
    for _ in range(2):
        parser = Parser()
        assert await parser.isolation() == HERE
        await parser.parse(Fetched("a.md", b"# Words"))
        await parser.aclose()
    assert caplog.text.count("Parser sandbox: ") == 1
    assert str(HERE) in caplog.text


async def test_parsers_work_where_the_kernel_has_no_layer(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS and old kernels. A warning says what that means."""
    monkeypatch.setattr(sandbox, "_logged", set())
    environment = {**sandbox._environment(), "PARLEY_TEST_REAL_PARSERS": "1"}
    monkeypatch.setattr(sandbox, "_environment", lambda: environment)
    parser = HostileParser((CAPABILITIES, LIMITS))
    assert await parser.isolation() == Isolation(0, False)
    for name, made in SAMPLES.values():
        assert (await parser.parse(Fetched(name, made()))).blocks
    await parser.aclose()
    assert "missing: Landlock and seccomp. A malicious file could read files" in caplog.text


@pytest.mark.parametrize(
    ("isolation", "shown", "risk"),
    [
        (Isolation(7, True), "Landlock ABI 7, seccomp, separate process with memory and time limits", ""),
        (Isolation(0, True), "; missing: Landlock", "could read files that Parley can read"),
        (Isolation(2, False), "; missing: seccomp", "could use TCP, UDP and local sockets"),
        (Isolation(4, False), "; missing: seccomp", "could use UDP and local sockets"),
        (Isolation(), "; missing: Landlock and seccomp", "could read files and use the network like Parley itself"),
    ],
)
def test_isolation_says_what_is_missing_and_what_that_means(isolation: Isolation, shown: str, risk: str) -> None:
    assert str(isolation).endswith(shown)
    assert isolation.risk == risk
