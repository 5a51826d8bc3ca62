"""Attacks by code that has taken over the process that parses files, and the parser that runs them."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from knowledge.parsing.isolation import sandbox
from knowledge.parsing.isolation.process_isolation import CAPABILITIES, LANDLOCK, LAYERS, LIMITS, SECCOMP, Isolation
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.parsing.isolation.worker_process import RECOGNITION_MEMORY_BYTES
from knowledge.parsing.ocr.text_recognition import is_installed
from knowledge.types.source_items import Fetched
from tests.knowledge.parsing.hostile_worker import DONE

CANARY = "canary-7f3a"
HIDDEN = "hidden"
"""The layer in the parent process, which hides its environment and memory."""
MORE_MEGABYTES = RECOGNITION_MEMORY_BYTES // 2**20 if is_installed() else 0
"""What a process may use more where scans are read."""
EVERYTHING = frozenset({*LAYERS, HIDDEN})
DUMPABLE = 4
LOOT = ctypes.create_string_buffer(CANARY.encode())
"""What lies in the memory of the parent process."""


def isolation_of_this_system() -> Isolation:
    worker = subprocess.run(
        [sys.executable, "-m", "knowledge.parsing.isolation.worker_process"],
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
        self._worker_command = ("-m", "tests.knowledge.parsing.hostile_worker", *(set(LAYERS) - set(layers)))

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


@contextmanager
def open_world(parent: Path) -> Iterator[World]:
    """Yield canaries in a folder of ``parent``; close and end them afterwards."""
    folder = parent / "w"
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
    "much memory": Attack("use_memory", lambda _: {"megabytes": 1024 + MORE_MEGABYTES}, (LIMITS,)),
}  # fmt: skip
