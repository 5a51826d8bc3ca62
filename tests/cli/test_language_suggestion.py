"""Where many documents are not English, the terminal suggests the multilingual model, and only there."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.cli.conftest import Parley

pytestmark = pytest.mark.skipif(importlib.util.find_spec("py3langid") is None, reason="py3langid is not installed")

ENGLISH = "# Leave {n}\n\nEvery employee has thirty days of paid holiday. Ask the office for more."
GERMAN = "# Urlaub {n}\n\nAlle Angestellten haben dreißig Tage bezahlten Urlaub. Fragen Sie im Büro nach mehr."
SUGGESTED = (
    "40 % of your documents are German, and the embedding model knows English best. To find them better, run: "
    'pip install "parley[multilingual]", and set PARLEY_EMBEDDING_MODEL=multilingual-e5-small.'
)


def write_pages(folder: Path, *pages: str) -> None:
    folder.mkdir()
    for n, page in enumerate(pages):
        (folder / f"page-{n}.md").write_text(page.format(n=n))


def test_many_documents_in_another_language_are_told(
    parley: Parley, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pages(tmp_path / "pages", ENGLISH, GERMAN, ENGLISH, GERMAN, ENGLISH)
    added = parley("ingest", str(tmp_path / "pages"), "--json")
    assert SUGGESTED in added.err
    assert added.document["documents"] == 5
    assert SUGGESTED in parley("docs").err
    assert "German" not in parley("docs", "--json").err
    checks = {one["name"]: one for one in parley("doctor", "--json").document["checks"]}
    told = checks["languages of local"]
    assert told["ok"]
    assert f"{told['detail']}. {told['fix']}" == SUGGESTED
    monkeypatch.setenv("PARLEY_EMBEDDING_MODEL", "multilingual-e5-small")
    assert "German" not in parley("docs").err


def test_few_documents_in_another_language_are_not_told(parley: Parley, tmp_path: Path) -> None:
    write_pages(tmp_path / "pages", GERMAN, *[ENGLISH] * 11)
    assert "German" not in parley("ingest", str(tmp_path / "pages")).err
    assert "German" not in parley("docs").err
