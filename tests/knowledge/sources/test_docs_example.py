"""The example source in the documentation works as described."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from knowledge.ingest import Ingestor

GUIDE = Path(__file__).parents[3] / "docs" / "extending.md"


async def test_example_source_reads_only_changed_documents(ingestor: Ingestor) -> None:
    section = GUIDE.read_text().partition("## A source\n")[2].partition("\n## ")[0]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(compile(code[1], str(GUIDE), "exec"), names)
    notes = {"a.md": ("1", "# A\n\nwords"), "b.md": ("1", "# B\n\nwords"), "c.md": ("1", "# C\n\nwords")}
    first = await ingestor.ingest([names["NotesSource"]("team", notes)], tenant_id="t")
    assert (first.documents, first.unchanged) == (3, 0)
    del notes["c.md"]
    notes["b.md"] = ("2", "# B\n\nother words")
    again = await ingestor.ingest([names["NotesSource"]("team", notes)], tenant_id="t")
    assert (again.documents, again.unchanged, again.deleted) == (2, 1, 1)
