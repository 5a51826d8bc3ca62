"""Questions about a row of a table are not declined, in whatever words and language they ask."""

from __future__ import annotations

import pytest

from knowledge.search.evidence_confidence import Evidence, shipped
from knowledge.search.named_rows import names_a_row

TABLE = """
| Name | Department | Extension | Room | Since |
| --- | --- | --- | --- | --- |
| Tom Reed | Legal | 4711 | 7.31 | 2015-01-01 |
| Ida Sommer | IT | 4712 | 7.32 | 2016-02-02 |
"""
OTHER_TABLES = """
| First name | Last name | Room |
| :--- | --- | ---: |
| Nora | Lind | 12 |

| 氏名 | 部署 | 内線 |
| --- | --- | --- |
| 山田太郎 | 総務 | 5001 |
"""
ASKED = [
    "Which department does Tom Reed work in?",
    "tom reed phone",
    "Who has extension 4711?",
    "Who sits in room 7.31?",
    "Is anybody in 7.32?",
    "Tom Reed's room?",
    "In welcher Abteilung arbeitet Ida Sommer?",
    "Wo ist Ida Sommers Büro?",
    "Quel est le bureau d'Ida Sommer ?",
    "¿En qué departamento trabaja Tom Reed?",
    "Lind, Nora: which room?",
    "山田太郎さんの内線番号は何ですか。",
    "内線5001は誰ですか。",
    "7.31号室には誰がいますか。",
]
ELSEWHERE = [
    "Which department does Tom Lind work in?",
    "Who has extension 471?",
    "Who sits in room 17.31?",
    "Who sits in room 7.3?",
    "What is 4711b?",
    "Which department has the most rooms?",
    "Is there a first name for the department, the extension or the room?",
    "How many days of leave are there?",
    "部署の内線番号は何ですか。",
    "内線500は誰ですか。",
    "",
]


@pytest.mark.parametrize("question", ASKED)
def test_a_question_that_names_a_row_is_answered_with_care(question: str) -> None:
    weights = shipped()
    assert names_a_row(question, [TABLE, OTHER_TABLES])
    far = [Evidence(f"Staff list\n{TABLE}{OTHER_TABLES}", 0.1, [0.1, 0.1])]
    assert weights.threshold <= weights.confidence(question, far)
    prose = [Evidence(one.text.replace("|", " "), one.cosine, one.matches) for one in far]
    assert weights.confidence(question, prose) <= weights.confidence(question, far)


@pytest.mark.parametrize("question", ELSEWHERE)
def test_other_questions_name_no_row(question: str) -> None:
    assert not names_a_row(question, [TABLE, OTHER_TABLES])


def test_a_question_without_a_row_is_declined_as_before() -> None:
    far = [Evidence(TABLE, 0.1, [0.1, 0.1])]
    assert shipped().confidence("Which department does Tom Lind work in?", far) < shipped().threshold
