"""Finds the documents of a folder whose words are known: from a text file beside each, or as people marked them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from lxml import html  # type: ignore[import-untyped]

from knowledge.parsing.html.html_text import remove_skipped, text_of


def marked_documents(folder: Path, scratch: Path) -> Iterator[tuple[Path, str]]:
    """Yield each document with its text, by name. A packed one (``.gz``) is unpacked to ``scratch``.

    A folder has one of these forms:

    - ``NAME.EXTENSION`` with its words in ``NAME.EXTENSION.txt``, also in folders below
    - ``ground-truth.json`` or ``articles.json``, an object of ``{ID: {"articleBody": TEXT}}``, with ``html/ID.html`` or
      ``html/ID.html.gz``
    - ``NAME/source.html`` with the article alone in ``NAME/expected.html``
    """
    lists = [found for name in ("ground-truth.json", "articles.json") if (found := folder / name).is_file()]
    if lists:
        yield from _listed(folder, json.loads(lists[0].read_text()), scratch)
        return
    for path in sorted(folder.rglob("*")):
        beside = path.with_name(f"{path.name}.txt")
        if path.name == "source.html":
            yield path, _shown_text(path.with_name("expected.html").read_bytes())
        elif path.is_file() and beside.is_file():
            yield path, beside.read_text(errors="replace")


def _listed(folder: Path, articles: dict[str, dict[str, str]], scratch: Path) -> Iterator[tuple[Path, str]]:
    for key, article in sorted(articles.items()):
        page, packed = folder / "html" / f"{key}.html", folder / "html" / f"{key}.html.gz"
        if packed.is_file():
            page = scratch / page.name
            page.write_bytes(gzip.decompress(packed.read_bytes()))
        if page.is_file():
            yield page, article["articleBody"]


def _shown_text(data: bytes) -> str:
    tree = html.document_fromstring(data.decode(errors="replace"))
    remove_skipped(tree)
    return text_of(tree)
