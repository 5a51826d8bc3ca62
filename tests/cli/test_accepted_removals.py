"""A refresh that would remove many documents waits until it is confirmed in the terminal."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Parley


def test_accept_removals_deletes_the_documents_of_a_source_that_is_held_back(parley: Parley, tmp_path: Path) -> None:
    folder = tmp_path / "handbook"
    folder.mkdir()
    pages = [folder / f"page-{number}.md" for number in range(6)]
    for number, page in enumerate(pages):
        page.write_text(f"# Page {number}\n\nThe code of room {number} is {number * 37}.")
    assert parley("ingest", str(folder)).status == 0
    for page in pages[1:]:
        page.unlink()

    parley("docs", "refresh", "page-0.md")
    held = parley("docs")
    assert f"{folder} is held back: 5 of 6 documents are gone from it" in " ".join(held.err.split())
    assert len(parley("docs", "--json").document) == 6
    assert parley("docs", "refresh", "--accept-removals").status == 2

    assert parley("docs", "refresh", "page-0.md", "--accept-removals").status == 0
    assert [row["title"] for row in parley("docs", "--json").document] == ["Page 0"]
    assert "held back" not in parley("docs").err
