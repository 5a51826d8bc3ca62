"""Writes a corpus of real texts with addresses: the documentation, and the descriptions of the installed packages.

    python -m benchmarks.make_link_corpus CORPUS.jsonl

The packages are those that Parley needs at run time. Each paragraph is a line with ``text``, for
``benchmarks.kept_links``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from scripts.runtime_packages import runtime_packages

ROOT = Path(__file__).resolve().parents[1]


def paragraphs() -> Iterator[str]:
    """Yield the paragraphs of the documentation, then those of the packages in order of their names."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    texts = [page.read_text(encoding="utf-8") for page in pages]
    texts += [_description(name) for name in runtime_packages()]
    for text in texts:
        yield from (part for part in text.replace("\r\n", "\n").split("\n\n") if part.strip())


def _description(name: str) -> str:
    """Return what a package says about itself, below the fields of its metadata."""
    text = metadata.distribution(name).read_text("METADATA") or ""
    return text.partition("\n\n")[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    corpus = parser.parse_args().corpus
    rows = [json.dumps({"text": text}, ensure_ascii=False) for text in paragraphs()]
    corpus.write_text("\n".join(rows) + "\n", encoding="utf-8")
    print(f"Wrote {len(rows):,} paragraphs to {corpus}")


if __name__ == "__main__":
    main()
