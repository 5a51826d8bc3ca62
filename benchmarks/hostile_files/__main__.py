"""Parses 500 hostile files with the product's parser and prints how many escaped.

    python -m benchmarks.hostile_files [--files 500] [--seed 1] [--slowest 5]

Half are mutations of valid files of every format, the others are crafted. An escape is a canary file that was read,
changed or created, a connection to a canary server, or a canary process that ended. Every refusal must be one line.
"""

from __future__ import annotations

import argparse
import os
import secrets
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.hostile_files import crafted, mutations, valid
from benchmarks.hostile_files.crafted import Targets
from benchmarks.shared.harness import run, table
from knowledge.errors import ParseError
from knowledge.parsing.isolation.sandbox import PROJECT_ROOT, Parser
from knowledge.types.source_items import Fetched

SAMPLE_SECONDS = 0.01


@dataclass
class Seen:
    """What happened. ``slowest`` has seconds, and ``largest`` the MB of the process, with file names."""

    files: int = 0
    parsed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    escapes: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    slowest: list[tuple[float, str]] = field(default_factory=list)
    largest: list[tuple[float, str]] = field(default_factory=list)
    peak_mb: float = 0.0
    isolation: str = ""


@dataclass
class World:
    """The canaries: a secret file, a server and a process."""

    targets: Targets
    secret: str
    server: socket.socket
    process: subprocess.Popen[bytes]
    around: frozenset[str]

    def escapes(self, text: str) -> list[str]:
        """Return which canaries were reached since the last call."""
        found = ["the secret was read"] if self.secret in text else []
        if not self.targets.secret.exists() or self.targets.secret.read_text() != self.secret:
            found.append("the secret file was changed")
        if self.targets.created.exists():
            found.append("a file was created")
            self.targets.created.unlink()
        if _listed(self.targets.secret.parent) != self.around:
            found.append("a folder was changed")
        if self.process.poll() is not None:
            found.append("the process ended")
        try:
            self.server.accept()[0].close()
            found.append("a connection was made")
        except BlockingIOError:
            pass
        return found


def _listed(folder: Path) -> frozenset[str]:
    return frozenset(path.name for place in (folder, PROJECT_ROOT) for path in place.iterdir())


@contextmanager
def world() -> Iterator[World]:
    """Set up the canaries."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        secret = secrets.token_hex(16)
        (folder / "secret.txt").write_text(secret)
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        process = subprocess.Popen(["sleep", "36000"], env={"SECRET": secret})
        stack.callback(process.wait)
        stack.callback(process.kill)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/canary"
        targets = Targets(folder / "secret.txt", folder / "created", url)
        yield World(targets, secret, server, process, _listed(folder))


def files(targets: Targets, number: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield ``number`` files: the crafted ones, then mutations."""
    made = crafted.files(targets)
    yield from list(made.items())[:number]
    seeds = valid.files()
    for at in range(max(0, number - len(made))):
        yield mutations.mutated(seed * 1_000_000 + at, seeds)


@contextmanager
def _peak(seen: Seen) -> Iterator[None]:
    """Sample the memory of the parser process, a child of this one, as ``peak_mb`` of the current file."""
    stop = threading.Event()

    def sample() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            for child in psutil.Process().children():
                try:
                    if "knowledge.parsing.isolation.worker_process" in child.cmdline():
                        seen.peak_mb = max(seen.peak_mb, child.memory_info().rss / 2**20)
                except psutil.Error:
                    continue

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


async def measure(number: int, seed: int) -> Seen:
    """Parse the files one after the other."""
    seen, parser = Seen(), Parser()
    try:
        with world() as canaries, _peak(seen):
            seen.isolation = str(await parser.isolation())
            for name, data in files(canaries.targets, number, seed):
                began, seen.peak_mb = time.perf_counter(), 0.0
                text = await parsed_text(parser, Fetched(name, data), seen)
                seen.slowest.append((time.perf_counter() - began, name))
                seen.largest.append((seen.peak_mb, name))
                seen.files += 1
                seen.escapes += [f"{name}: {escape}" for escape in canaries.escapes(text)]
    finally:
        await parser.aclose()
    seen.slowest.sort(reverse=True)
    seen.largest.sort(reverse=True)
    return seen


async def parsed_text(parser: Parser, file: Fetched, seen: Seen) -> str:
    """Return everything that the parser returned, or its error."""
    try:
        document = await parser.parse(file)
    except ParseError as error:
        said = str(error)
        seen.refused[_kind(said)] += 1
        if "\n" in said or not said or len(said) > 300:
            seen.unclear.append(f"{file.uri}: {said[:100]!r}")
        return said
    seen.parsed += 1
    return "\n".join([document.title, document.text, *map(str, document.metadata.values())])


def _kind(said: str) -> str:
    for words, kind in (("crashed", "crashed"), ("longer than", "too slow"), ("of memory", "too much memory")):
        if words in said:
            return kind
    return "forbidden call" if "attempted" in said else "refused with a reason"


def main() -> None:
    """Print the figures; exit with 1 if a file escaped or a refusal is not one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slowest", type=int, default=5, help="slowest and largest files to print")
    given = parser.parse_args()
    seen = run(measure(given.files, given.seed))
    rows: dict[str, object] = {
        "files": seen.files,
        "parsed": seen.parsed,
        **dict(seen.refused.most_common()),
        "escapes": len(seen.escapes),
        "refusals that are not one line": len(seen.unclear),
        "longest, in seconds": seen.slowest[0][0],
        "largest parser process, in MB": seen.largest[0][0],
        "load": os.getloadavg()[0],
    }
    print(seen.isolation)
    print(table(rows))
    for seconds, name in seen.slowest[: given.slowest]:
        print(f"  {seconds:6.1f} s  {name}")
    for megabytes, name in seen.largest[: given.slowest]:
        print(f"  {megabytes:6.0f} MB  {name}")
    print(*seen.escapes, *seen.unclear, sep="\n")
    if seen.escapes or seen.unclear:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
