"""Files and mails attached to a mail are documents of their own: they come, change and go with the mail."""

from __future__ import annotations

from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.engine.ports.attachment_reader import FileText
from bot.file_reader import FileReader
from knowledge.errors import ParseError
from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Sessions
from knowledge.search.retriever import Retriever
from knowledge.sources.files import FolderSource, UploadSource
from knowledge.store import document_catalog
from knowledge.types.documents import Document, DocumentRow
from knowledge.types.scope import Scope
from knowledge.types.source_items import Failure, Fetched, Unchanged
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown
from tests.knowledge.parsing import outlook_files

PRICES, PLAN = "Plan,Price\nTeam,12\n", "The north gate opens at six."


def mail(subject: str, *files: tuple[str, str] | EmailMessage, body: str = "See the files.") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["Subject"], message["Date"] = "Eve <eve@example.org>", subject, "4 May 2026 09:00:00 +0200"
    message.set_content(body)
    for file in files:
        if isinstance(file, EmailMessage):
            message.add_attachment(file)
        else:
            message.add_attachment(file[1].encode(), maintype="application", subtype="x-any", filename=file[0])
    return message


OFFER = mail("Offer", ("prices.csv", PRICES), mail("Older offer", ("plan.txt", PLAN), body="Kim takes the keys."))
NAMES = [
    "box/offer.eml",
    "box/offer.eml/Older offer.eml",
    "box/offer.eml/Older offer.eml/plan.txt",
    "box/offer.eml/prices.csv",
]


def fetched(message: EmailMessage, uri: str = "box/offer.eml") -> Fetched:
    return Fetched(uri, message.as_bytes())


async def rows(sessions: Sessions) -> list[DocumentRow]:
    async with sessions("t") as session:
        return await document_catalog.list_documents(session, "t")


async def names(sessions: Sessions) -> list[str]:
    return [row.source for row in await rows(sessions)]


async def shown(sessions: Sessions, name: str) -> str:
    [row] = [row for row in await rows(sessions) if row.source == name]
    async with sessions("t") as session:
        return (await document_catalog.show(session, "t", row.id)).text


async def test_each_has_its_own_name_title_and_text(ingestor: Ingestor, sessions: Sessions) -> None:
    report = await ingestor.ingest([ListSource("list", fetched(OFFER))], tenant_id="t", audience="C1")

    assert (report.documents, report.failed, report.warnings) == (4, (), ())
    stored = await rows(sessions)
    assert [row.source for row in stored] == NAMES
    assert [row.title for row in stored] == ["Offer", "Older offer", "plan.txt", "prices.csv"]
    assert {row.audience for row in stored} == {"C1"}
    own = await shown(sessions, NAMES[0])
    assert own.endswith("Attached:\n- prices.csv\n- Older offer.eml")
    assert not any(words in own for words in ("Team", "Kim", "gate"))
    assert await shown(sessions, NAMES[2]) == PLAN
    async with sessions("t") as session:
        found = await session.execute(text("SELECT uri, attached_to, metadata, dated_at FROM documents ORDER BY uri"))
        by_name = {row.uri: row for row in found}
    assert [by_name[name].attached_to for name in NAMES] == ["", NAMES[0], NAMES[1], NAMES[0]]
    assert by_name[NAMES[2]].metadata["attached_to"] == NAMES[1]
    assert by_name[NAMES[3]].metadata["author"] == "Eve <eve@example.org>"
    assert {row.dated_at.date().isoformat() for row in by_name.values()} == {"2026-05-04"}


async def test_a_passage_names_the_attached_file(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    await ingestor.ingest([ListSource("list", fetched(OFFER))], tenant_id="t")
    found = await Retriever(sessions, embedder)("When does the north gate open?", Scope("t"), k=1)
    assert [(one.source, one.title) for one in found.passages] == [(NAMES[2], "plan.txt")]


async def test_a_refresh_keeps_them_and_counts_them_as_unchanged(
    ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    source = ListSource("list", fetched(OFFER))
    await ingestor.ingest([source], tenant_id="t")
    before = await rows(sessions)
    for again in (fetched(OFFER), Unchanged(NAMES[0])):
        source.items = [again]
        embedder.passages.clear()
        report = await ingestor.ingest([source], tenant_id="t")
        assert (report.documents, report.unchanged, report.deleted, embedder.passages) == (4, 4, 0, [])
        assert [row.id for row in await rows(sessions)] == [row.id for row in before]
    assert all(new.fetched_at > old.fetched_at for old, new in zip(before, await rows(sessions), strict=True))


async def test_a_change_of_the_mail_keeps_the_ids_of_what_is_still_attached(
    ingestor: Ingestor, sessions: Sessions
) -> None:
    many = [(f"file{n}.txt", f"Words of number{n}.") for n in range(10)]
    source = ListSource("list", fetched(mail("Offer", ("prices.csv", PRICES), *many)), markdown("z.md", "Other words."))
    await ingestor.ingest([source], tenant_id="t")
    before = {row.source: row.id for row in await rows(sessions)}

    source.items[0] = fetched(mail("Offer", ("prices.csv", PRICES.replace("12", "14")), body="The price is new."))
    report = await ingestor.ingest([source], tenant_id="t")

    assert (report.deleted, report.failed) == (10, ())
    after = {row.source: row.id for row in await rows(sessions)}
    assert after == {name: before[name] for name in (NAMES[0], NAMES[3], "z.md")}
    assert "14" in await shown(sessions, NAMES[3])


async def test_they_go_with_the_mail_that_its_source_no_longer_has(
    ingestor: Ingestor, sessions: Sessions, tmp_path: Path
) -> None:
    """One mail is gone, not the twelve documents that would be too many to be removed without being asked for."""
    for name in ("kept.md", "also.md"):
        (tmp_path / name).write_text(f"Words of {name}.")
    message = mail("Offer", *((f"file{n}.txt", f"Words of number{n}.") for n in range(10)), OFFER)
    (tmp_path / "offer.eml").write_bytes(message.as_bytes())
    source = FolderSource(tmp_path, max_bytes=1_000_000)
    assert (await ingestor.ingest([source], tenant_id="t")).documents == 17

    (tmp_path / "offer.eml").unlink()
    report = await ingestor.ingest([FolderSource(tmp_path, max_bytes=1_000_000)], tenant_id="t")

    assert (report.deleted, report.failed) == (15, ())
    assert await names(sessions) == [f"{tmp_path.name}/also.md", f"{tmp_path.name}/kept.md"]


async def test_deleting_the_mail_deletes_them_and_then_its_upload(ingestor: Ingestor, sessions: Sessions) -> None:
    await ingestor.ingest([UploadSource("offer.eml", OFFER.as_bytes())], tenant_id="t")
    [first, *_] = stored = await rows(sessions)
    assert (len(stored), first.source) == (4, "offer.eml")
    async with sessions("t") as session:
        await document_catalog.delete(session, "t", first.id)
    async with sessions("t") as session:
        left = [
            await session.scalar(text(f"SELECT count(*) FROM {table}")) for table in ("documents", "chunks", "sources")
        ]
    assert left == [0, 0, 0]


async def test_they_stay_while_the_mail_cannot_be_read(ingestor: Ingestor, sessions: Sessions) -> None:
    source = ListSource("list", fetched(OFFER))
    await ingestor.ingest([source], tenant_id="t")
    source.items = [Failure(NAMES[0], "it cannot be read (Permission denied). Check the rights.")]
    await ingestor.ingest([source], tenant_id="t")
    assert await names(sessions) == NAMES


async def test_a_file_that_cannot_be_read_is_told_with_the_mail(ingestor: Ingestor, sessions: Sessions) -> None:
    message = mail("Offer", ("prices.csv", PRICES), ("tool.exe", "MZ\x90\0"), mail("Older", ("run.exe", "MZ\x90\0")))
    source = ListSource("list", fetched(message))
    report = await ingestor.ingest([source], tenant_id="t")
    assert report.failed == ()
    assert [(one.source, one.warning.partition(":")[0]) for one in report.warnings] == [
        ("box/offer.eml", "attachment tool.exe left out"),
        ("box/offer.eml/Older.eml", "attachment run.exe left out"),
    ]
    assert (await ingestor.ingest([source], tenant_id="t")).unchanged == 3


async def test_one_that_is_incomplete_is_read_again_with_its_mail(ingestor: Ingestor, sessions: Sessions) -> None:
    source = ListSource("list", fetched(OFFER), markdown("z.md", "Other words."))
    await ingestor.ingest([source], tenant_id="t")
    async with sessions("t") as session:
        await session.execute(text("UPDATE documents SET recipe = 'another' WHERE uri = :uri"), {"uri": NAMES[2]})
    report = await ingestor.ingest([source], tenant_id="t")
    assert (report.documents, report.unchanged) == (5, 1)
    assert (await ingestor.ingest([source], tenant_id="t")).unchanged == 5


async def test_one_that_cannot_be_stored_is_told_and_does_not_stay_as_it_was(
    ingestor: Ingestor, sessions: Sessions, parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ListSource("list", fetched(OFFER))
    await ingestor.ingest([source], tenant_id="t")
    parse = parser.parse

    async def parse_with_a_bad_title(fetched: Fetched, *, include_hidden: bool = False) -> Document:
        document = await parse(fetched, include_hidden=include_hidden)
        return replace(document, title="a\0b") if document.uri == NAMES[3] else document

    monkeypatch.setattr(parser, "parse", parse_with_a_bad_title)
    source.items = [fetched(mail("Offer", ("prices.csv", PRICES.replace("12", "14"))))]
    report = await ingestor.ingest([source], tenant_id="t")
    [warning] = report.warnings
    assert warning.source == NAMES[0]
    assert "left out: it cannot be added" in warning.warning
    assert await names(sessions) == NAMES[:1]


async def test_mails_of_a_mailbox_have_files_of_the_same_name(ingestor: Ingestor, sessions: Sessions) -> None:
    first, second = mail("Offer", ("plan.txt", "First.")), mail("Answer", ("plan.txt", "Second."), ("plan.txt", "3rd."))
    box = b"\n".join(b"From eve@example.org Mon May  4 09:00:00 2026\n" + one.as_bytes() for one in (first, second))
    await ingestor.ingest([ListSource("list", Fetched("all.mbox", box))], tenant_id="t")
    assert await names(sessions) == [
        "all.mbox",
        "all.mbox/Answer (Eve, 2026-05-04)/plan (2).txt",
        "all.mbox/Answer (Eve, 2026-05-04)/plan.txt",
        "all.mbox/Offer (Eve, 2026-05-04)/plan.txt",
    ]
    assert await shown(sessions, "all.mbox/Answer (Eve, 2026-05-04)/plan (2).txt") == "3rd."


async def test_those_of_outlook_and_of_a_page_are_named_alike(ingestor: Ingestor, sessions: Sessions) -> None:
    inner = outlook_files.message(subject="Older: 1/2", body="It was red.", sender=("Bob", "b@x.org"), embedded=True)
    files = (
        outlook_files.attachment("fees.txt", b"The fee is 12.", "text/plain"),
        outlook_files.attached_message(inner),
    )
    saved = outlook_files.message(subject="Gate", body="See.", sender=("Ann", "a@x.org"), attachments=files)
    message = Fetched("gate.msg", outlook_files.compound_file(saved))
    page = fetched(mail("Offer", ("höhe 1.csv", PRICES)), "https://lists.example/1.eml")
    await ingestor.ingest([ListSource("list", message, page)], tenant_id="t")
    assert await names(sessions) == [
        "gate.msg",
        "gate.msg/Older: 1_2.eml",
        "gate.msg/fees.txt",
        "https://lists.example/1.eml",
        "https://lists.example/1.eml#h%C3%B6he%201.csv",
    ]
    assert "| Team | 12 |" in await shown(sessions, "https://lists.example/1.eml#h%C3%B6he%201.csv")


async def test_mails_within_mails_have_an_end(parser: Parser, ingestor: Ingestor) -> None:
    message = mail("Level 0", body="Deep.")
    for level in range(1, 9):
        message = mail(f"Level {level}", message)
    report = await ingestor.ingest([ListSource("list", fetched(message))], tenant_id="t")
    assert report.documents == 6
    [warning] = report.warnings
    assert "Level 2.eml left out: it is attached too deep" in warning.warning


async def test_a_mail_without_words_and_files_is_refused(parser: Parser) -> None:
    with pytest.raises(ParseError, match="no text"):
        await parser.parse(Fetched("mail.eml", b"From: eve@example.org\nSubject: Hello\n\n\n"))


async def test_a_mail_attached_to_a_question_is_read_with_its_files() -> None:
    reader = FileReader()
    try:
        found = await reader("offer.eml", "message/rfc822", OFFER.as_bytes())
    finally:
        await reader.aclose()
    assert isinstance(found, FileText)
    assert found.text.index("- prices.csv") < found.text.index("| Team | 12 |") < found.text.index(PLAN)
