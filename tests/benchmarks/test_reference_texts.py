"""The forms in which sets of marked articles come."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from benchmarks.shared.reference_texts import marked_documents


def test_words_stand_beside_a_document(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.docx").write_bytes(b"x")
    (tmp_path / "inner" / "a.docx.txt").write_text("The gate")
    (tmp_path / "alone.docx").write_bytes(b"x")
    assert list(marked_documents(tmp_path, tmp_path)) == [(tmp_path / "inner" / "a.docx", "The gate")]


def test_a_list_of_articles_names_pages_that_may_be_packed(tmp_path: Path) -> None:
    pages, scratch = tmp_path / "html", tmp_path / "scratch"
    pages.mkdir()
    scratch.mkdir()
    articles = {name: {"articleBody": f"Text of {name}", "url": "x"} for name in ("b", "a", "missing")}
    (tmp_path / "ground-truth.json").write_text(json.dumps(articles))
    (pages / "a.html.gz").write_bytes(gzip.compress(b"<p>packed"))
    (pages / "b.html").write_bytes(b"<p>plain")
    found = list(marked_documents(tmp_path, scratch))
    assert [(path.read_bytes(), text) for path, text in found] == [
        (b"<p>packed", "Text of a"),
        (b"<p>plain", "Text of b"),
    ]


def test_an_article_alone_is_the_text_of_its_source(tmp_path: Path) -> None:
    (tmp_path / "news").mkdir()
    (tmp_path / "news" / "source.html").write_text("<nav>Home</nav><p>Open<p>gates")
    (tmp_path / "news" / "expected.html").write_text("<div><p>Op<b>en</b></p><p>gates</p><style>p {}</style></div>")
    assert list(marked_documents(tmp_path, tmp_path)) == [(tmp_path / "news" / "source.html", "Open gates")]
