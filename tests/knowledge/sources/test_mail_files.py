"""Mails in files of one folder: a quotation of one that the folder has is read once, also when files come and go."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from knowledge.ingest import Ingestor
from knowledge.ports import Sessions
from knowledge.sources import mail_threads_in_folder
from knowledge.sources.files import FolderSource
from knowledge.types.ingest_reports import IngestReport
from tests.knowledge.fakes import WordEmbedder
from tests.knowledge.parsing.test_mail_threads import FIRST, GMAIL, OTHER, QUOTE, SECOND, THIRD, mail

MAX_BYTES = 1_000_000


async def ingest(ingestor: Ingestor, folder: Path) -> IngestReport:
    report = await ingestor.ingest([FolderSource(folder, max_bytes=MAX_BYTES)], tenant_id="t")
    assert report.failed == ()
    return report


async def stored(sessions: Sessions) -> dict[str, str]:
    async with sessions("t") as session:
        rows = await session.execute(text("SELECT uri, text FROM documents WHERE tenant_id = 't'"))
        return {row.uri.rpartition("/")[2]: row.text for row in rows}


def write(folder: Path, **mails: bytes) -> None:
    for name, data in mails.items():
        path = folder / f"{name.replace('__', '/')}.eml"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


async def test_a_quotation_is_read_once_across_the_files_of_a_folder(
    tmp_path: Path, ingestor: Ingestor, sessions: Sessions
) -> None:
    write(tmp_path, z_first=FIRST, sent__b=SECOND, a_third=THIRD, other=OTHER)
    await ingest(ingestor, tmp_path)
    texts = await stored(sessions)
    assert sum(one.count("The deposit is 500.") for one in texts.values()) == 1
    assert "The deposit is 500." in texts["z_first.eml"]
    assert "The deposit is 700 now." in texts["b.eml"]
    assert "I paid the 700." in texts["a_third.eml"]
    assert "Lunch is at noon." in texts["other.eml"]


async def test_html_mails_are_threaded_like_plain_ones(tmp_path: Path, ingestor: Ingestor, sessions: Sessions) -> None:
    write(tmp_path, one=FIRST, two=mail(GMAIL, name="Bob", answers=("Ann",), days=1, html=True))
    await ingest(ingestor, tmp_path)
    assert "500" not in (await stored(sessions))["two.eml"]


async def test_two_answers_to_a_mail_that_is_not_there_quote_it_once_with_its_author(
    tmp_path: Path, ingestor: Ingestor, sessions: Sessions
) -> None:
    write(tmp_path, two=SECOND, three=THIRD)
    await ingest(ingestor, tmp_path)
    texts = await stored(sessions)
    assert [name for name, one in texts.items() if "The deposit is 500." in one] == ["two.eml"]
    assert "Ann" in texts["two.eml"].partition("Quoted from an earlier mail:")[2]


async def test_a_mail_that_quotes_a_stranger_keeps_the_words(
    tmp_path: Path, ingestor: Ingestor, sessions: Sessions
) -> None:
    """Another thread of the folder has the same words, but this mail does not answer it."""
    write(tmp_path, one=FIRST, two=mail(f"See below.{QUOTE}", name="Eve", answers=("unknown",), days=1))
    await ingest(ingestor, tmp_path)
    assert "The deposit is 500." in (await stored(sessions))["two.eml"]


async def test_a_refresh_reads_the_answers_again_when_a_mail_comes_or_goes(
    tmp_path: Path, ingestor: Ingestor, sessions: Sessions, embedder: WordEmbedder
) -> None:
    write(tmp_path, two=SECOND, other=OTHER)
    await ingest(ingestor, tmp_path)
    assert "The deposit is 500." in (await stored(sessions))["two.eml"]
    write(tmp_path, one=FIRST)
    added = await ingest(ingestor, tmp_path)
    assert added.unchanged == 1, "the mail of another thread is not read again"
    assert "The deposit is 500." not in (await stored(sessions))["two.eml"]
    assert (await ingest(ingestor, tmp_path)).unchanged == 3
    (tmp_path / "one.eml").unlink()
    assert (await ingest(ingestor, tmp_path)).unchanged == 1
    assert "The deposit is 500." in (await stored(sessions))["two.eml"]
    embedder.passages.clear()
    write(tmp_path, one=FIRST)
    await ingest(ingestor, tmp_path)
    assert embedder.passages == [], "every text of this state was known"


async def test_a_long_thread_costs_each_mail_a_few_earlier_ones(
    tmp_path: Path, ingestor: Ingestor, sessions: Sessions
) -> None:
    """Each mail quotes all earlier ones, as mail programs do, and the nearest of them have what the others quote."""
    number = mail_threads_in_folder.MAX_EARLIER * 2
    quoted = ""
    for place in range(number):
        earlier = tuple(f"P{one}" for one in range(place))
        own = f"Point {place} is settled."
        (tmp_path / f"{place:02}.eml").write_bytes(mail(own + quoted, name=f"P{place}", answers=earlier, days=place))
        marked = "".join(f"> {line}\n" for line in (own + quoted).splitlines())
        quoted = f"\n\nOn Mon, 2 Mar 2026 at 09:00, P{place} <P{place}@example.org> wrote:\n{marked}"
    await ingest(ingestor, tmp_path)
    texts = "\n".join((await stored(sessions)).values())
    assert [texts.count(f"Point {place} is settled.") for place in range(number)] == [1] * number


async def test_an_unreadable_mail_is_no_obstacle_to_its_answers(
    tmp_path: Path, ingestor: Ingestor, sessions: Sessions
) -> None:
    write(tmp_path, one=FIRST, two=SECOND)
    (tmp_path / "one.eml").unlink()
    (tmp_path / "one.eml").symlink_to(tmp_path / "missing.eml")
    await ingest(ingestor, tmp_path)
    assert "The deposit is 500." in (await stored(sessions))["two.eml"]
