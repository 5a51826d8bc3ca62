"""A question about a scanned page is answered with its words and cited with its page."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Parley
from tests.knowledge.parsing.test_text_recognition import installed, scan, scanned_pdf


@installed
def test_an_answer_cites_the_scanned_page(bare: Path, parley: Parley) -> None:
    pages = scan("Minutes of the meeting", "Ann takes the chair."), scan("The deposit for the hall is 900 euros.")
    (bare / "minutes.pdf").write_bytes(scanned_pdf(*pages))
    added = parley("ingest", "minutes.pdf", "--json").document
    assert (added["documents"], added["failed"]) == (1, [])
    asked = parley("ask", "How much is the deposit for the hall?", "--json").document
    assert "900 euros" in asked["answer"]
    [citation] = asked["citations"]
    assert citation["source"].endswith("minutes.pdf")
    assert "900 euros" in citation["quote"]
    assert "Read by OCR" in asked["answer"] or citation.get("page") == 2 or "page 2" in str(asked)
