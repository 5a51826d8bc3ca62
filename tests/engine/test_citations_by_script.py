"""Citations are checked in scripts whose letters carry marks or whose words have no spaces between them."""

from __future__ import annotations

import pytest

from bot.engine.answer.citations import resolve
from knowledge.types.search_results import Passage

HINDI = "कार्यालय सोमवार से शुक्रवार तक सुबह नौ बजे खुलता है।"
HINDI_UNRELATED = "कर्मचारियों को यात्रा का खर्च महीने के अंत में वापस मिलता है।"
THAI = "สำนักงานเปิดทำการเวลาเก้าโมงเช้าตั้งแต่วันจันทร์ถึงวันศุกร์"
THAI_UNRELATED = "เซิร์ฟเวอร์จะถูกซ่อมแซมในคืนนี้ โปรดบันทึกงานของท่าน"


def _passage(text: str) -> Passage:
    return Passage(1, "doc1", text, "file1.md", "Title", (), 0, len(text), 1, 0.9)


@pytest.mark.parametrize(
    ("answer", "fitting", "unrelated"),
    [
        ("कार्यालय सुबह नौ बजे खुलता है [1]।", HINDI, HINDI_UNRELATED),
        ("สำนักงานเปิดเวลาเก้าโมงเช้า [1]", THAI, THAI_UNRELATED),
    ],
    ids=["Hindi", "Thai"],
)
def test_a_fitting_passage_keeps_its_marker_and_an_unrelated_one_loses_it(
    answer: str, fitting: str, unrelated: str
) -> None:
    kept = resolve(answer, [_passage(fitting)])
    removed = resolve(answer, [_passage(unrelated)])

    assert (kept.text, [citation.quote for citation in kept.citations]) == (answer, [fitting])
    assert (removed.text, removed.citations) == (answer.replace(" [1]", ""), ())


@pytest.mark.parametrize(
    ("answer", "passage"),
    [
        ("कमरा १२ तैयार है [1]।", "कमरा 12 तैयार है।"),
        ("Ｏｆｆｉｃｅ hours are naive [1].", "Office hours are naïve."),
    ],
    ids=["digits of another script", "letters of full width and with accents"],
)
def test_words_match_in_whichever_form_they_are_written(answer: str, passage: str) -> None:
    assert [citation.quote for citation in resolve(answer, [_passage(passage)]).citations] == [passage]
