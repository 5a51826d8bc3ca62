"""Hostile code in the real worker process reaches nothing, and each layer stops its attacks without the others.

Every attack also runs without any layer, to show that it works and that the layer is what stops it.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import psutil
import psycopg
import pytest
from sqlalchemy.engine import make_url

from knowledge.errors import ParseError
from knowledge.parsing import process_isolation, sandbox
from knowledge.parsing.format_detection import Format
from knowledge.parsing.process_isolation import CAPABILITIES, LANDLOCK, LAYERS, LIMITS, SECCOMP, Isolation
from knowledge.parsing.sandbox import Parser
from knowledge.types import Fetched
from tests.knowledge import test_parsing, test_parsing_chats, test_parsing_office
from tests.knowledge.hostile_worker import DONE

CANARY = "canary-7f3a"
HIDDEN = "hidden"
"""The layer in the parent process, which hides its environment and memory."""
EVERYTHING = frozenset({*LAYERS, HIDDEN})
DUMPABLE = 4
LOOT = ctypes.create_string_buffer(CANARY.encode())
"""What lies in the memory of the parent process."""


def isolation_of_this_system() -> Isolation:
    worker = subprocess.run(
        [sys.executable, "-m", "knowledge.parsing.worker_process"],
        input=b"",
        capture_output=True,
        check=True,
        cwd=sandbox.PROJECT_ROOT,
    )
    return Isolation.from_json(json.loads(worker.stdout[16:]))


HERE = isolation_of_this_system()
linux = pytest.mark.skipif(sys.platform != "linux", reason="this system is not Linux")
needs_both = pytest.mark.skipif(not HERE.complete, reason=f"the kernel does not have all layers: {HERE}")


class HostileParser(Parser):
    """Starts the hostile worker with some layers only."""

    def __init__(self, layers: Collection[str] = EVERYTHING, *, seconds: float = 60) -> None:
        super().__init__(seconds=seconds)
        self._worker_command = ("-m", "tests.knowledge.hostile_worker", *(set(LAYERS) - set(layers)))

    async def attack(self, name: str, /, **arguments: object) -> str:
        """Return the loot. Raises ParseError if the attack failed."""
        data = json.dumps({"attack": name, "arguments": arguments}).encode()
        return (await self.parse(Fetched("attack.txt", data))).text


@dataclass(slots=True)
class World:
    """What an attack may aim at: canary files, canary servers, a canary process."""

    folder: Path
    victim: subprocess.Popen[bytes]
    tcp: socket.socket
    udp: socket.socket
    unix: socket.socket
    abstract: socket.socket

    def traces(self) -> set[str]:
        """Return what an attack changed or reached: files, connections, the process."""
        found = {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")} ^ {"data", "data/secret", "s"}
        secret = self.folder / "data" / "secret"
        if not secret.exists() or secret.read_text() != CANARY or secret.stat().st_mode & 0o777 != 0o600:
            found.add("changed secret")
        for name in ("tcp", "unix", "abstract"):
            with suppress(BlockingIOError):
                getattr(self, name).accept()[0].close()
                found.add(name)
        with suppress(BlockingIOError):
            self.udp.recv(10)
            found.add("udp")
        with suppress(subprocess.TimeoutExpired):
            self.victim.wait(0.2)
            found.add("ended process")
        return found


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    folder = tmp_path / "w"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "secret").write_text(CANARY)
    (folder / "data" / "secret").chmod(0o600)
    with ExitStack() as stack:
        victim = subprocess.Popen(["sleep", "100"], env={"SECRET": CANARY})
        stack.callback(victim.wait)
        stack.callback(victim.kill)
        places: list[tuple[int, Any]] = [
            (socket.AF_INET, ("127.0.0.1", 0)),
            (socket.AF_UNIX, str(folder / "s")),
            (socket.AF_UNIX, f"\0{CANARY}{os.getpid()}"),
        ]
        listeners = []
        for family, address in places:
            listener = stack.enter_context(socket.socket(family))
            listener.bind(address)
            listener.listen()
            listener.setblocking(False)
            listeners.append(listener)
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        yield World(folder, victim, listeners[0], udp, listeners[1], listeners[2])


@pytest.fixture
async def hostile() -> AsyncIterator[HostileParser]:
    parser = HostileParser()
    yield parser
    await parser.aclose()


Arguments = Callable[[World], dict[str, object]]


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack, what it needs, the layers of which each stops it alone, and what it leaves if nothing does."""

    name: str
    arguments: Arguments
    stopped_by: tuple[str, ...]
    loot: str = DONE
    trace: str = ""
    landlock_abi: int = 1
    works: Callable[[], bool] = lambda: True
    """Whether the attack can work on this system without the sandbox."""


def secret(world: World) -> dict[str, object]:
    return {"path": str(world.folder / "data" / "secret")}


def new(world: World) -> dict[str, object]:
    return {"path": str(world.folder / "made")}


def port(name: str) -> Arguments:
    return lambda world: {"port": getattr(world, name).getsockname()[1]}


def at(path: str) -> Arguments:
    return lambda world: {"path": path}


def victim(world: World) -> dict[str, object]:
    return {"pid": world.victim.pid}


def nothing(world: World) -> dict[str, object]:
    return {}


def _is_root() -> bool:
    return os.geteuid() == 0


def _may_trace() -> bool:
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    return not scope.exists() or scope.read_text().strip() == "0"


ATTACKS = {
    "environment of the parent": Attack("read_parent", lambda _: {"name": "environ"}, (LANDLOCK, HIDDEN), "PATH="),
    "memory map of the parent": Attack("read_parent", lambda _: {"name": "maps"}, (LANDLOCK, HIDDEN), "r-xp"),
    "environment of another process": Attack(
        "read_file", lambda world: {"path": f"/proc/{world.victim.pid}/environ"}, (LANDLOCK,), CANARY
    ),
    "users": Attack("read_file", at("/etc/passwd"), (LANDLOCK,), "root:"),
    "hosts": Attack("read_file", at("/etc/hosts"), (LANDLOCK,), "localhost"),
    "settings of the project": Attack(
        "read_file", at(str(sandbox.PROJECT_ROOT / "pyproject.toml")), (LANDLOCK,), "parley"
    ),
    "data folder": Attack("read_file", secret, (LANDLOCK,), CANARY),
    "list of the data folder": Attack(
        "list_folder", lambda world: {"path": str(world.folder / "data")}, (LANDLOCK,), "secret"
    ),
    "list of processes": Attack("list_folder", at("/proc"), (LANDLOCK,), "1"),
    "new file": Attack("create_file", new, (LANDLOCK, SECCOMP), trace="made"),
    "new folder": Attack("make_folder", new, (LANDLOCK, SECCOMP), trace="made"),
    "new link": Attack("link_file", new, (LANDLOCK, SECCOMP), trace="made.link"),
    "emptied file": Attack("empty_file", secret, (LANDLOCK, SECCOMP), trace="changed secret", landlock_abi=3),
    "removed file": Attack("remove_file", secret, (LANDLOCK, SECCOMP), trace="changed secret"),
    "renamed file": Attack("rename_file", secret, (LANDLOCK, SECCOMP), trace="changed secret"),
    "changed mode": Attack("change_mode", secret, (SECCOMP,), trace="changed secret"),
    "large file": Attack("write_much", new, (LANDLOCK, SECCOMP, LIMITS), trace="made"),
    "TCP": Attack("connect_tcp", port("tcp"), (LANDLOCK, SECCOMP), trace="tcp", landlock_abi=4),
    "TCP server": Attack("listen_tcp", nothing, (LANDLOCK, SECCOMP), landlock_abi=4),
    "UDP": Attack("send_udp", port("udp"), (SECCOMP,), trace="udp"),
    "Unix socket": Attack("connect_unix", lambda world: {"path": str(world.folder / "s")}, (SECCOMP,), trace="unix"),
    "abstract Unix socket": Attack(
        "connect_unix",
        lambda world: {"path": f"@{CANARY}{os.getpid()}"},
        (LANDLOCK, SECCOMP),
        trace="abstract",
        landlock_abi=6,
    ),
    "fork": Attack("fork", nothing, (SECCOMP,)),
    "shell": Attack("run_shell", new, (LANDLOCK, SECCOMP), trace="made"),
    "program": Attack("run_program", new, (LANDLOCK, SECCOMP), trace="made"),
    "exec": Attack("become_program", new, (LANDLOCK, SECCOMP), "", trace="made"),
    "signal": Attack("signal_process", victim, (LANDLOCK, SECCOMP), trace="ended process", landlock_abi=6),
    "signal through a pipe": Attack("signal_by_pipe", victim, (SECCOMP,)),
    "ptrace": Attack("trace", victim, (LANDLOCK, SECCOMP), works=_may_trace),
    "ptrace of the parent": Attack(
        "trace", lambda _: {"pid": os.getpid()}, (LANDLOCK, SECCOMP, HIDDEN), works=_may_trace
    ),
    "memory of the parent": Attack(
        "read_memory",
        lambda _: {"pid": os.getpid(), "address": ctypes.addressof(LOOT)},
        (LANDLOCK, SECCOMP, HIDDEN),
        works=_may_trace,
    ),
    "user namespace": Attack("unshare", nothing, (SECCOMP,)),
    "io_uring": Attack("io_uring", nothing, (SECCOMP,)),
    "bpf": Attack("bpf", nothing, (SECCOMP, CAPABILITIES), works=_is_root),
    "much memory": Attack("use_memory", lambda _: {"megabytes": 1024}, (LIMITS,)),
}  # fmt: skip


def skip_without(attack: Attack, layers: Collection[str]) -> None:
    """Skip the test if the kernel lacks a layer."""
    if sys.platform != "linux":
        pytest.skip("this system is not Linux")
    if LANDLOCK in layers and attack.landlock_abi > HERE.landlock:
        pytest.skip(f"the kernel has Landlock ABI {HERE.landlock}, and this needs {attack.landlock_abi}")
    if SECCOMP in layers and not HERE.seccomp:
        pytest.skip("the kernel has no seccomp filters")


async def attack_with(layers: Collection[str], attack: Attack, world: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the attack with some layers only. Return its loot, or the error with ``!`` before it."""
    monkeypatch.setattr(sandbox, "hide_memory_and_environment", lambda: set_dumpable(HIDDEN not in layers))
    parser = HostileParser(layers)
    try:
        return await parser.attack(attack.name, **attack.arguments(world))
    except ParseError as error:
        return f"!{error}"
    finally:
        await parser.aclose()
        set_dumpable(True)


def set_dumpable(allowed: bool) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DUMPABLE, int(allowed), 0, 0, 0)


@pytest.mark.parametrize("name", ATTACKS)
async def test_attack_fails_in_the_whole_sandbox(name: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    attack = ATTACKS[name]
    skip_without(attack, attack.stopped_by)
    loot = await attack_with(EVERYTHING, attack, world, monkeypatch)
    assert loot.startswith("!"), loot
    assert CANARY not in loot
    assert world.traces() == set()


@pytest.mark.parametrize(
    ("name", "layer"), [(name, layer) for name, one in ATTACKS.items() for layer in one.stopped_by]
)
async def test_attack_fails_with_one_layer_alone(
    name: str, layer: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = ATTACKS[name]
    skip_without(attack, [layer])
    layers = {layer, CAPABILITIES} if layer == HIDDEN else {layer}  # root with its powers reads everything
    loot = await attack_with(layers, attack, world, monkeypatch)
    assert loot.startswith("!"), loot
    assert world.traces() <= ({"made"} if layer == LIMITS else set())


@pytest.mark.parametrize("name", ATTACKS)
async def test_attack_works_without_the_layers_that_stop_it(
    name: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other layers stay on, so that each attack shows what exactly is needed against it."""
    attack = ATTACKS[name]
    skip_without(attack, ())
    if not attack.works():
        pytest.skip("this system refuses it to everybody")
    others = EVERYTHING - {*attack.stopped_by, CAPABILITIES, LIMITS}
    loot = await attack_with(others, attack, world, monkeypatch)
    if attack.loot:
        assert attack.loot in loot, loot
    if attack.trace:
        assert attack.trace in world.traces()


@needs_both
async def test_socket_of_the_database_is_out_of_reach(hostile: HostileParser, postgres: str) -> None:
    """The same address works without the sandbox."""
    url = make_url(postgres)
    folder = Path(str(url.query.get("host") or url.host))
    path = str(next(folder.glob(".s.PGSQL.*[0-9]")))
    with pytest.raises(ParseError, match="PermissionError"):
        await hostile.attack("connect_unix", path=path)
    free = HostileParser(())
    assert DONE in await free.attack("connect_unix", path=path)
    await free.aclose()
    with psycopg.connect(postgres) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@needs_both
async def test_forbidden_call_ends_the_process_and_is_logged(
    hostile: HostileParser, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await hostile.isolation()
    process = hostile._process
    assert process is not None
    with pytest.raises(ParseError, match="do not trust this file"):
        await hostile.attack("trace", pid=world.victim.pid)
    assert process.returncode == -signal.SIGSYS
    assert "attack.txt" in caplog.text
    assert "0 1 2 3" in await hostile.attack("use_threads"), "the next file has a new process"


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
    assert 0 < limits["AS"][1] < 2**30


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
async def test_process_dies_with_the_bot(tmp_path: Path) -> None:
    """Even in the middle of a file, and when the bot has no time to end it."""
    code = """
import asyncio
from tests.knowledge.test_parser_sandbox import HostileParser
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
    assert set(SAMPLES) == set(get_args(Format))


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
