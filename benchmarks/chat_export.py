"""Ingests a large Slack export with ``parley ingest``, and measures its time and the memory of all its processes.

    python -m benchmarks.chat_export [--mb 350] [--words 8] [--pictures 0.5] [--channels 12] [--folder]

Makes an export of about ``--mb`` million bytes when it is unpacked: public channels with a file for each day, one of
which is damaged, a private channel and direct messages. As in real exports, most bytes are profiles, blocks and files
beside the text. Each message has about ``--words`` words, which need vectors, and on average ``--pictures`` pictures of
2,500 bytes. ``--folder`` ingests the unpacked folder in place of the archive.

Prints the progress lines of the command, its JSON, the seconds, and ``peak_mb``: the most memory of the command, the
parsers and Postgres together, where what several of them share counts once.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.ingest import WORDS
from benchmarks.shared.harness import table

SAMPLE_SECONDS = 0.5
FIRST_DAY = 1_672_563_600
"""2023-01-01 at 9:00 UTC, in seconds since 1970."""
DAY_SECONDS = 86_400
MESSAGES_A_DAY = 200
MEMBERS = [f"U{number:08}" for number in range(40)]
DAMAGED_DAY = 3
"""The day of the first channel whose file is damaged."""


def _message(dice: random.Random, number: int, at: float, words: int, pictures: float) -> dict[str, Any]:
    """Return a message with what Slack writes beside its text."""
    author = dice.choice(MEMBERS)
    text = " ".join(dice.choices(WORDS, k=max(1, dice.randint(words // 2, 2 * words - words // 2)))).capitalize()
    made: dict[str, Any] = {
        "client_msg_id": f"{dice.getrandbits(128):032x}",
        "type": "message",
        "user": author,
        "text": text,
        "ts": f"{at + number:.6f}",
        "team": "T00000001",
        "user_profile": {
            "avatar_hash": f"{dice.getrandbits(48):012x}",
            "image_72": f"https://avatars.example.org/{dice.getrandbits(160):040x}_72.png",
            "first_name": f"Member {author}",
            "real_name": f"Member {author}",
            "display_name": f"member{MEMBERS.index(author)}",
            "team": "T00000001",
            "name": author.lower(),
            "is_restricted": False,
            "is_ultra_restricted": False,
        },
        "blocks": [
            {
                "type": "rich_text",
                "block_id": f"{dice.getrandbits(30):x}",
                "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}],
            }
        ],
        "reactions": [{"name": "eyes", "users": dice.sample(MEMBERS, 12), "count": 12}],
    }
    count = int(pictures) + (dice.random() < pictures % 1)
    made["files"] = [_picture(dice) for _ in range(count)]
    return made


def _picture(dice: random.Random) -> dict[str, str]:
    link = f"https://files.example.org/files-pri/T1-F{dice.getrandbits(40):x}"
    sizes = (64, 80, 160, 360, 480, 720, 800, 960, 1024)
    return {
        **{"id": f"F{dice.getrandbits(40):x}", "name": "image.png", "mimetype": "image/png", "url_private": link},
        **{f"thumb_{size}": f"{link}/image_{size}.png?t={dice.getrandbits(640):x}" for size in sizes},
    }


def _day(dice: random.Random, day: int, words: int, pictures: float) -> bytes:
    at = FIRST_DAY + day * DAY_SECONDS
    return json.dumps([_message(dice, number, at, words, pictures) for number in range(MESSAGES_A_DAY)]).encode()


def export_files(size: int, words: int, pictures: float, channels: int, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """Yield the names and contents of an export of about ``size`` bytes."""
    dice = random.Random(seed)
    names = [f"team-{number}" for number in range(channels)]
    yield (
        "channels.json",
        json.dumps([{"id": f"C{name}", "name": name, "is_private": False} for name in names]).encode(),
    )
    yield "groups.json", json.dumps([{"id": "G1", "name": "board"}]).encode()
    yield "dms.json", json.dumps([{"id": "D1"}]).encode()
    yield "users.json", json.dumps([{"id": one, "name": one, "profile": {"phone": "555"}} for one in MEMBERS]).encode()
    for name in ("board", "D1"):
        yield f"{name}/2023-01-01.json", _day(dice, 0, words, pictures)
    written = day = 0
    while written < size:
        date = time.strftime("%Y-%m-%d", time.gmtime(FIRST_DAY + day * DAY_SECONDS))
        for name in names:
            data = _day(dice, day, words, pictures)
            written += len(data)
            is_damaged = day == DAMAGED_DAY and name == names[0]
            yield f"{name}/{date}.json", data[: len(data) // 2] if is_damaged else data
        day += 1


def write_export(target: Path, files: Iterator[tuple[str, bytes]]) -> int:
    """Write the files to an archive, or to a folder if the name has no extension. Return their bytes."""
    total = 0
    if target.suffix:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files:
                archive.writestr(name, data)
                total += len(data)
        return total
    for name, data in files:
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        total += len(data)
    return total


def memory_mb(process: psutil.Process, database: Path) -> float:
    """Return the proportional memory of a process, its children and the Postgres of a data folder, in MB."""
    found = {process, *process.children(recursive=True)}
    for one in psutil.process_iter(["cmdline"]):
        if str(database) in " ".join(one.info["cmdline"] or ()):
            with suppress(psutil.NoSuchProcess):
                found |= {one, *one.children(recursive=True)}
    total = 0
    for one in found:
        with suppress(psutil.NoSuchProcess):
            total += one.memory_full_info().pss
    return total / 1e6


def ingest(source: Path, data_folder: Path, settings: Mapping[str, str]) -> dict[str, Any]:
    """Run ``parley ingest`` and return its report with ``seconds`` and ``peak_mb``."""
    command = [sys.executable, "-m", "bot", "ingest", str(source), "--json"]
    env = {**os.environ, "PARLEY_DATA_DIR": str(data_folder), **settings}
    began, peak = time.perf_counter(), 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                peak = max(peak, memory_mb(watched, data_folder))
            time.sleep(SAMPLE_SECONDS)
        output = process.stdout.read() if process.stdout else ""
    return {**json.loads(output), "exit": process.returncode, "seconds": time.perf_counter() - began, "peak_mb": peak}


def main() -> None:
    """Print a line of figures and the failures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=float, default=350)
    parser.add_argument("--words", type=int, default=8)
    parser.add_argument("--pictures", type=float, default=0.5)
    parser.add_argument("--channels", type=int, default=12)
    parser.add_argument("--folder", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as scratch:
        target = Path(scratch) / ("export" if given.folder else "export.zip")
        unpacked = write_export(target, export_files(int(given.mb * 1e6), given.words, given.pictures, given.channels))
        limit = {"PARLEY_MAX_UNPACKED_MB": str(int(2 * given.mb))}
        report = ingest(target, Path(scratch) / "data", limit)
    failed = report.pop("failed")
    shown = ("documents", "chunks", "seconds", "peak_mb", "exit")
    print(table({"unpacked_mb": unpacked / 1e6, **{name: report[name] for name in shown}, "failed": len(failed)}))
    for failure in failed:
        print(f"{failure['source']}: {failure['error']}")


if __name__ == "__main__":
    main()
