"""What the parsers leave out of documents is named when they are added, and by ``/docs``."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bot.app import App
from bot.commands import ingest_user_messages
from bot.commands import registry as commands
from bot.commands.ingest_user_messages import MAX_LISTED
from bot.types.conversation import Attachment
from knowledge.types.ingest_reports import DocumentWarning, IngestReport
from tests.commands.test_commands import by
from tests.knowledge.parsing.test_hidden_content import workbook

HIDDEN = "hidden sheets left out: Pay. Add them with --include-hidden"


def hiding(name: str) -> Attachment:
    content = workbook()
    return Attachment(name, "", len(content), lambda: asyncio.sleep(0, content))


async def test_a_chat_names_what_was_left_out(app: App) -> None:
    context = replace(by(app), attachments=(hiding("pay.xlsx"),))
    reply = await commands.run("ingest", "", context)
    assert reply.text.endswith(f"Left out or read by OCR:\n- pay.xlsx: {HIDDEN}")
    listed = await commands.run("docs", "", by(app))
    assert listed.table is not None
    assert [row[-1] for row in listed.table.rows] == [f"ready; {HIDDEN}"]
    shown = await commands.run("docs", "show pay.xlsx", by(app))
    assert f"\n- {HIDDEN}\n" in shown.text
    unchanged = await commands.run("ingest", "", context)
    assert HIDDEN not in unchanged.text


async def test_a_long_list_says_where_the_rest_is(app: App) -> None:
    files = tuple(hiding(f"pay{number}.xlsx") for number in range(MAX_LISTED + 2))
    reply = await commands.run("ingest", "", replace(by(app), attachments=files))
    assert "Left out or read by OCR:\n- pay0.xlsx" in reply.text
    assert reply.text.endswith("- and 2 more. /docs lists them")


def test_what_a_folder_left_out_is_not_counted_as_a_document() -> None:
    warnings = (DocumentWarning("pay.xlsx", HIDDEN), DocumentWarning("/srv/handbook", "2 pictures left out"))
    report = IngestReport(1, 1, 0, (), 0.1, warnings=warnings)
    shown = ingest_user_messages.ingested(report, (), here=False)
    assert "2 documents" not in shown
    assert shown.endswith(f"- pay.xlsx: {HIDDEN}\n- /srv/handbook: 2 pictures left out")
