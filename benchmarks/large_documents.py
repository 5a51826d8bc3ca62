"""Measures the memory and the event loop of the process that ingests one large document.

    python -m benchmarks.large_documents [--mb 10] [--cases text,line,...] [--together 3] [--model-share 0.1]

Each case runs in a process of its own, with a real database and the real parser process. Prints:

- ``above_idle_mb``: the most memory above the process before, with the embedding model loaded and used
- ``late``: how late the event loop woke up, beside ``idle_late`` of a process that does nothing on the same machine
- ``busy_max``: the longest time that the event loop's thread computed between two wake-ups, which needs no idle machine

``--together`` ingests that many documents of the case at the same time. ``--model-share`` has the real model encode
that share of the batches, from 0.01 to 1, whole; the others get copies of these vectors. All chunks are counted, staged
and stored as usual, and the model's memory is that of its batches, so 10 MB end within minutes. ``--no-model`` computes
no vectors, which shows the share of everything else.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import SecretStr

from benchmarks.shared.harness import fresh_postgres, resident_mb, run
from bot.app import open_app
from bot.cli.command_runtime import collect_garbage_rarely
from bot.config import Settings
from bot.types.conversation import LOCAL_TENANT
from knowledge import sample
from knowledge.embedders.local import SentenceTransformerEmbedder
from knowledge.embedders.token_vectors import TokenVectors
from knowledge.ingest import Ingestor
from knowledge.ports import Encoded, EncodeKind
from knowledge.sources.files import UploadSource

TICK_SECONDS = 0.01
SAMPLE_SECONDS = 0.02


@cache
def _vocabulary() -> list[str]:
    """Return the words of the sample handbook, each as often as it occurs there."""
    files = sorted(path for path in sample.path().rglob("*") if path.suffix in (".md", ".txt"))
    return re.findall(r"[a-z]+", " ".join(path.read_text() for path in files).lower())


def _sentences(size: int, *, end: str = ". ", paragraph: str = "\n\n") -> str:
    """Return about ``size`` characters of sentences of 5 to 25 words, in paragraphs of 6."""
    dice = random.Random(1)
    vocabulary = _vocabulary()
    parts, length, number = [], 0, 0
    while length < size:
        number += 1
        words = " ".join(dice.choices(vocabulary, k=dice.randint(5, 25))).capitalize()
        sentence = words + (paragraph if paragraph and number % 6 == 0 else end)
        parts.append(sentence)
        length += len(sentence)
    return "".join(parts)


def _rows(size: int) -> str:
    dice = random.Random(2)
    vocabulary = _vocabulary()
    lines, length = ["id,name,city,amount,note"], 0
    while length < size:
        name, city, *note = dice.choices(vocabulary, k=8)
        lines.append(f"{len(lines)},{name},{city},{dice.randint(1, 10**6)},{' '.join(note)}")
        length += len(lines[-1]) + 1
    return "\n".join(lines)


def _sections(size: int) -> str:
    """Return Markdown with a heading of its own above every two paragraphs."""
    paragraphs = _sentences(size).split("\n\n")
    return "\n\n".join(f"# Section {at}\n\n{text}" if at % 2 == 0 else text for at, text in enumerate(paragraphs))


CASES: Mapping[str, tuple[str, Callable[[int], str]]] = {
    "text": ("txt", _sentences),
    "one line": ("txt", lambda size: _sentences(size, end=" ", paragraph="")),
    "no spaces": ("txt", lambda size: _sentences(size, paragraph="").replace(" ", "").replace(".", "")),
    "emoji": ("txt", lambda size: _sentences(size - 4) + "\N{GRINNING FACE}"),
    "csv": ("csv", _rows),
    "markdown": ("md", _sections),
    "log": ("log", lambda size: _sentences(size, end="\n", paragraph="")),
}
"""File name extension and generator of each case."""


class NoModel:
    """An embedder that counts words as tokens and returns constant vectors."""

    model = "none"
    billed = False
    dimensions = 384
    max_tokens = 254

    def warm(self) -> None:
        """Do nothing."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return about the number of tokens of each text."""
        return [max(len(text.split()), len(text) // 5) for text in texts]

    async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
        """Return a constant unit vector for each text."""
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        vectors[:, 0] = 1
        return Encoded(vectors, 0)

    async def aclose(self) -> None:
        """Do nothing."""


class SampledModel(SentenceTransformerEmbedder):
    """The offline model, which encodes the texts of every ``step``-th call; the others get copies of its vectors."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._step = step
        self._calls = 0
        self._rows: list[TokenVectors] = []

    async def encode_tokens(self, texts: Sequence[str], kind: EncodeKind) -> list[TokenVectors]:
        """Return the vectors of the texts, or copies of those of an earlier call."""
        self._calls += 1
        if not self._rows or (self._calls % self._step == 0 and len(texts) >= len(self._rows)):
            self._rows = await super().encode_tokens(texts, kind)
            return self._rows
        return [copy.deepcopy(self._rows[at % len(self._rows)]) for at in range(len(texts))]


@dataclass
class Ticks:
    """How late each wake-up of an event loop was, and how long its thread computed before it, in milliseconds."""

    late: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            due, computed = time.perf_counter() + TICK_SECONDS, time.thread_time()
            await asyncio.sleep(TICK_SECONDS)
            self.late.append(1000 * max(0.0, time.perf_counter() - due))
            self.busy.append(1000 * (time.thread_time() - computed))

    def figures(self, name: str) -> dict[str, float]:
        """Return the 99th percentile and the maximum."""
        return {f"{name}_p99": _percentile(self.late, 0.99), f"{name}_max": max(self.late)}


def _percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@contextmanager
def _idle_process() -> Iterator[dict[str, float]]:
    """Run an event loop that only ticks in another process; afterwards, the dictionary has its figures."""
    found: dict[str, float] = {}
    command = [sys.executable, "-m", "benchmarks.large_documents", "--tick"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield found
        output, _ = process.communicate()
        found |= json.loads(output)


async def _tick_until_closed() -> None:
    ticks = Ticks()
    ticking = asyncio.create_task(ticks.run())
    await asyncio.to_thread(sys.stdin.read)
    ticking.cancel()
    print(json.dumps(ticks.figures("idle_late")))


@contextmanager
def _peak_memory() -> Iterator[Callable[[], float]]:
    """Sample the memory of this process in a thread; the function returns the peak in MB."""
    peak, stop = [resident_mb()], threading.Event()

    def sample() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            peak[0] = max(peak[0], resident_mb())

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield lambda: peak[0]
    finally:
        stop.set()
        thread.join()


async def _measure(case: str, size: int, together: int, share: float, url: str, folder: Path) -> dict[str, object]:
    extension, generate = CASES[case]
    path = folder / f"large.{extension}"
    path.write_text(generate(size))
    settings = Settings(_env_file=None, database_url=SecretStr(url), data_dir=folder, reranker="none")
    async with open_app(settings) as app:
        embedder = SampledModel(round(1 / share)) if share else NoModel()
        ingestor = Ingestor(app.database.bulk, embedder)
        small = [UploadSource(f"small{at}.md", b"# Title\n\nA sentence about nothing.") for at in range(2)]
        await ingestor.ingest(small, tenant_id=LOCAL_TENANT)
        collect_garbage_rarely()
        idle, ticks = resident_mb(), Ticks()
        began = time.perf_counter()
        with _idle_process() as control, _peak_memory() as peak:
            ticking = asyncio.create_task(ticks.run())
            ingestions = [
                ingestor.ingest([UploadSource(f"{at}-{path.name}", path.read_bytes())], tenant_id=LOCAL_TENANT)
                for at in range(together)
            ]
            reports = await asyncio.gather(*ingestions)
            ticking.cancel()
            seconds, most = time.perf_counter() - began, peak()
        await ingestor.aclose()
        await embedder.aclose()
    return {
        "case": case,
        "mb": size / 1e6,
        "chunks": sum(report.chunks for report in reports),
        "idle_mb": idle,
        "above_idle_mb": most - idle,
        "seconds": seconds,
        **ticks.figures("late"),
        **control,
        "busy_max": max(ticks.busy),
        "load": os.getloadavg()[0],
        "failed": [failure.error for report in reports for failure in report.failed],
    }


def _one(case: str, size: int, together: int, share: float) -> None:
    with fresh_postgres() as url, tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run(_measure(case, size, together, share, url, Path(folder)))))


COLUMNS = (
    *("case", "mb", "chunks", "idle_mb", "above_idle_mb", "seconds"),
    *("late_p99", "late_max", "idle_late_p99", "idle_late_max", "busy_max", "load"),
)


def main() -> None:
    """Print a line for each case. Times other than ``seconds`` are in milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=float, default=10)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--together", type=int, default=1)
    parser.add_argument("--model-share", type=float, default=1.0)
    parser.add_argument("--no-model", dest="model_share", action="store_const", const=0.0)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--tick", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.tick:
        asyncio.run(_tick_until_closed())
    elif given.one:
        _one(given.one, int(given.mb * 1e6), given.together, given.model_share)
    else:
        print("  ".join(f"{name:>13}" for name in COLUMNS))
        for case in given.cases.split(","):
            _print_case(case, given.mb, given.together, given.model_share)


def _print_case(case: str, mb: float, together: int, share: float) -> None:
    """Measure a case in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.large_documents", "--one", case, "--mb", str(mb)]
    command += ["--together", str(together), "--model-share", str(share)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    row = json.loads(done.stdout.splitlines()[-1])
    shown = [f"{row[name]:.1f}" if isinstance(row[name], float) else str(row[name]) for name in COLUMNS]
    print("  ".join(f"{figure:>13}" for figure in shown), *row["failed"], flush=True)


if __name__ == "__main__":
    main()
