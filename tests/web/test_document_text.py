"""Tests in Chromium that a document is shown with its headings, tables, lists and code, and its quote exactly."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.app import App, open_app
from bot.config import load
from bot.jobs import working
from bot.types.conversation import LOCAL_TENANT
from knowledge import sample
from knowledge.sources.source_factory import open_source
from tests.web.browser import Chrome, browsing, console_errors, look, requires_chromium, run_async, shown
from tests.web.serving import served

pytestmark = requires_chromium

MARKDOWN = r"""# Rules <b>bold</b>

| Who | What |
|---|---|
| A \| B | <img src=x onerror="window.broken = 1"> |
| --- | - |

| is no row \|

1. First
2. Second

```python
# not a heading

- not an item
```

### Details

Plain <script>window.broken = 1</script> text.
"""
QUOTED_ROWS = "20 | 100 % | 12 months |\n| Other parent | 12"
READ = """
    return [...document.querySelectorAll("#viewer-text > *")].map((one) => [one.tagName, one.textContent.trim()])
"""


@pytest.fixture
async def word_and_markdown(database_url: str, tmp_path: Path) -> AsyncIterator[App]:
    """An application with the sample's Word file and a Markdown file."""
    written = tmp_path / "rules.md"
    written.write_text(MARKDOWN)
    files = [sample.path() / "leave-and-remote-work.docx", written]
    settings = load(database_url=database_url, data_dir=tmp_path / "data", reranker="none")
    async with open_app(settings) as opened, working(opened.services):
        sources = [open_source(str(file), fetch_allow=(), max_bytes=10**7, files=True) for file in files]
        report = await opened.ingestor.ingest(sources, tenant_id=LOCAL_TENANT)
        assert (report.documents, report.failed) == (2, ())
        yield opened


async def open_document(app: App, chrome: Chrome, name: str, quote: str) -> list[tuple[str, str]]:
    """Open a document at a quote. Return the tags and texts of its elements."""
    async with app.database.tenant(LOCAL_TENANT) as session:
        found = await session.execute(
            text("SELECT id, strpos(text, :quote) FROM documents WHERE uri LIKE :name"),
            {"name": f"%{name}", "quote": quote},
        )
        document, position = found.one()
    source = json.dumps({"document": str(document), "literal": quote, "quote": quote, "start": position - 1})
    await run_async(chrome, f"import('./static/js/viewer.js').then((viewer) => viewer.openSource({source}))")
    return [tuple(one) for one in await look(chrome, lambda driver: driver.execute_script(READ))]


async def test_a_word_file_has_headings_tables_and_lists(word_and_markdown: App) -> None:
    async with served(word_and_markdown) as address, browsing(address) as chrome:
        elements = await open_document(word_and_markdown, chrome, "leave-and-remote-work.docx", QUOTED_ROWS)
        headings = [(tag, heading) for tag, heading in elements if tag.startswith("H")]
        assert headings[:3] == [("H3", "Leave and remote work"), ("H3", "Holidays"), ("H3", "Sick leave")]
        assert await shown(chrome, "#viewer-text th") == ["Who", "Paid weeks", "Share of pay", "Must be taken within"]
        assert (await shown(chrome, "#viewer-text td"))[:4] == ["Birth parent", "20", "100 %", "12 months"]
        assert await shown(chrome, "#viewer-text mark") == ["20", "100 %", "12 months", "Other parent", "12"]
        assert "Moving house: 1 day, once in two years." in await shown(chrome, "#viewer-text ul li")
        assert not any("| ---" in content for _, content in elements)


async def test_markdown_is_drawn_and_nothing_of_it_becomes_html(word_and_markdown: App) -> None:
    async with served(word_and_markdown) as address, browsing(address) as chrome:
        elements = await open_document(word_and_markdown, chrome, "rules.md", "ain <scr")
        assert elements == [
            ("H3", "Rules <b>bold</b>"),
            ("DIV", 'WhoWhatA | B<img src=x onerror="window.broken = 1">----'),
            ("P", r"| is no row \|"),
            ("OL", "FirstSecond"),
            ("PRE", "# not a heading\n\n- not an item"),
            ("H5", "Details"),
            ("P", "Plain <script>window.broken = 1</script> text."),
        ]
        assert await shown(chrome, "#viewer-text mark") == ["ain <scr"]
        assert await look(chrome, lambda driver: driver.execute_script("return window.broken")) is None
        assert await look(chrome, console_errors) == []
        assert await shown(chrome, "#viewer-text :is(img, script, b)") == []
