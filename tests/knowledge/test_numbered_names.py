"""Files of one name are told apart by a number, in time that grows with their count only."""

from __future__ import annotations

import pytest

from knowledge.parsing import document_builder
from knowledge.parsing.document_builder import AttachedFile, Builder
from knowledge.store import upload_records
from knowledge.text.numbered_names import numbered


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("plan.pdf", "plan (2).pdf"),
        ("Offer (Ann, 4.5.)/plan", "Offer (Ann, 4.5.)/plan (2)"),
        ("mails/backup.tar.gz", "mails/backup.tar (2).gz"),
        (".env", ".env (2)"),
        ("..", ".. (2)"),
        ("plan", "plan (2)"),
        ("", " (2)"),
    ],
)
def test_the_number_stands_before_the_extension(name: str, second: str) -> None:
    assert numbered(name, 1) == name
    assert numbered(name, 2) == second
    assert upload_records.numbered_uri(f"upload:{name}", 2) == f"upload:{second}"


def test_every_attached_file_has_a_name_of_its_own() -> None:
    builder = Builder()
    given = ["plan.txt", "plan (2).txt", "plan.txt", "plan (2).txt", "plan.txt", "a/plan.txt"]
    shown = [builder.attach(AttachedFile(name, b"")) for name in given]
    assert shown == ["plan.txt", "plan (2).txt", "plan (3).txt", "plan (2) (2).txt", "plan (4).txt", "plan.txt"]
    assert len({file.name for file in builder.build().attached}) == len(given)


def test_attached_files_of_one_name_are_numbered_without_trying_every_number(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def recorded(name: str, number: int) -> str:
        tried.append(number)
        return numbered(name, number)

    monkeypatch.setattr(document_builder, "numbered", recorded)
    builder = Builder()
    for _ in range(100):
        builder.attach(AttachedFile("plan.pdf", b""))
    assert tried == list(range(2, 101))
