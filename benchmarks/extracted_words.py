"""Measures which words of documents reach the text that Parley reads, beside other extractors.

    python -m benchmarks.extracted_words FOLDER [--peer markitdown=PYTHON] [--peer trafilatura=PYTHON] [--worst 5]

Each document of the folder has its words beside it, as ``NAME.EXTENSION.txt``. Sets of articles that people marked are
read in their own forms: see ``benchmarks.shared.reference_texts``. A peer runs in the Python of its own environment.
Prints, for each format and reader, the mean share of the document's words that reach the text (multisets of words,
order not counted), the mean of the worst tenth of the documents, and the mean share of the words in the text that are
the document's. A document that a reader refuses counts as none of its words.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import tempfile
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.shared.reference_texts import marked_documents
from knowledge.errors import ParseError
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.types.source_items import Fetched

PEERS = {
    "markitdown": "from markitdown import MarkItDown\nread = lambda path: MarkItDown().convert(path).markdown",
    "trafilatura": "import trafilatura\nread = lambda path: trafilatura.extract(open(path, 'rb').read()) or ''",
    "readability": (
        "from lxml import html\nfrom readability import Document\n"
        "read = lambda path: ' '.join(html.fromstring(Document(open(path, 'rb').read()).summary()).itertext())"
    ),
}
"""Python code that defines ``read``, which returns the text of a file, with each peer's defaults."""
_RUN = """
import json, sys
for path in sys.argv[1:]:
    try:
        text = read(path)
    except Exception as error:
        text = ""
    print(json.dumps(text), flush=True)
"""
WORST = 10
"""The worst tenth of the documents, at least one."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares from 0 to 1: of the document's words in the text, and of the text's words in the document."""

    found: float
    own: float


def words(text: str) -> Counter[str]:
    """Return the words of a text, folded, and how often each stands in it.

    The sign that Parley writes before raised text is left out: other readers join ``10^6`` to one word.
    """
    return Counter(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold().replace("^", "")))


def shares(reference: Counter[str], text: str) -> Shares:
    """Compare a text with the words of its document."""
    read = words(text)
    common = (reference & read).total()
    return Shares(common / reference.total(), common / read.total() if read else 1.0)


async def read_by_parley(paths: Sequence[Path]) -> list[str]:
    """Return the text of each file as Parley reads it; empty if it is refused."""
    parser, texts = Parser(seconds=120, recognized_pages=0), []
    try:
        for path in paths:
            try:
                texts.append((await parser.parse(Fetched(path.name, path.read_bytes()))).text)
            except ParseError:
                texts.append("")
    finally:
        await parser.aclose()
    return texts


def read_by_peer(name: str, python: str, paths: Sequence[Path]) -> list[str]:
    """Return the text of each file as a peer reads it; empty if it is refused."""
    command = [python, "-W", "ignore", "-c", PEERS[name] + _RUN, *map(str, paths)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return [json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith('"')]


def figures(found: Sequence[Shares]) -> dict[str, float]:
    """Return the mean, the mean of the worst tenth, and the share of own words."""
    ordered = sorted(one.found for one in found)
    worst = ordered[: max(1, len(ordered) // WORST)]
    return {
        "documents": len(ordered),
        "mean": sum(ordered) / len(ordered),
        "worst_tenth": sum(worst) / len(worst),
        "share": sum(one.own for one in found) / len(found),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--peer", action="append", default=[], help="NAME=PYTHON: markitdown, trafilatura or readability"
    )
    parser.add_argument("--worst", type=int, default=0, help="also name so many documents that Parley reads worst")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parley-words-") as scratch:
        peers = dict(peer.split("=", 1) for peer in given.peer)
        _compare(marked_documents(given.folder, Path(scratch)), peers, given.worst)


def _compare(documents: Iterable[tuple[Path, str]], peers: Mapping[str, str], worst: int) -> None:
    by_format: dict[str, list[Path]] = defaultdict(list)
    references: dict[Path, Counter[str]] = {}
    for path, text in documents:
        if reference := words(text):
            references[path] = reference
            by_format[path.suffix.lower().strip(".")].append(path)
    for kind, paths in by_format.items():
        texts = {"parley": asyncio.run(read_by_parley(paths))}
        texts |= {name: read_by_peer(name, python, paths) for name, python in peers.items()}
        for reader, read in texts.items():
            found = [shares(references[path], text) for path, text in zip(paths, read, strict=True)]
            print(json.dumps({"format": kind, "reader": reader, **figures(found)}))
            if reader == "parley":
                _name_worst(dict(zip(paths, found, strict=True)), worst)


def _name_worst(found: Mapping[Path, Shares], count: int) -> None:
    for path in sorted(found, key=lambda path: found[path].found)[:count]:
        print(f"  {path.parent.name}/{path.name}: {found[path].found:.3f} of its words, share {found[path].own:.3f}")


if __name__ == "__main__":
    main()
