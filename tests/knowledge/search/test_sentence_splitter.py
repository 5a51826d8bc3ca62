"""Sentences in many languages: a period after an abbreviation, an ordinal or an initial ends none."""

from __future__ import annotations

import pytest

from bot.engine.answer.claim_support import Claim, support
from bot.llm.quoting.quotable_pieces import sentences
from knowledge.text.sentence_splitter import sentence_spans

WHOLE = [
    "The rent is due on Feb. 3 and on Aug. 17 of each year.",
    "See Sec. 9 and Fig. 12 of the lease for the rooms.",
    "Ask Dr. Lee or Mrs. Ortiz, e.g. by phone.",
    "Room No. 7 is free, i.e. nobody sits there.",
    "Der Anspruch verfällt am 30. September des nächsten Jahres.",
    "Gemäß § 7 Abs. 3 und Nr. 4 gilt das z. B. auch für Aushilfen.",
    "Die Sitzung am 2. Dienstag leitet Frau Dr. Weiß bzw. Herr Prof. Kern.",
    "Le loyer est dû le 5 janv. 2026, cf. l'art. 12 du bail de M. Roux.",
    "La renta vence el 5 de ene. 2026, véase la pág. 4 del contrato de la Sra. Gil.",
    "Il canone scade il 5 gen. 2026, vedi l'art. 3 del contratto del dott. Rossi.",
    "De huur vervalt op 5 mrt. 2026, zie art. 3 bijv. voor kamers.",
    "Huslejen forfalder den 1. marts hvert år.",
    "Vuokra erääntyy 1. maaliskuuta joka vuosi.",
    "Czynsz jest płatny do 5. stycznia każdego roku.",
    "Аренда оплачивается до 5 числа, см. п. 4 договора на стр. 9.",
    "办公室的钥匙在前台。",
    "事務所は十八時に閉まります。",
    "दफ़्तर शाम छह बजे बंद होता है।",
    "We wait . . . and then we leave.",
    "• 9. Lock the gate.",
    "1.) Lock the gate.",
]
PAIRS = [
    ("The gate is blue.", "The key is red."),
    ("The lease starts in Dec.", "The rooms are free."),
    ("Der Vertrag gilt bis 2026.", "Danach endet er."),
    ("Das sind 12 Tage.", "Der Rest verfällt."),
    ("Is the gate open?", "Yes, until six."),
    ("La porte est bleue.", "Elle ferme à six heures."),
    ("办公室六点关门。", "猫不得入内。"),
    ("事務所は閉まります。", "鍵は受付にあります。"),
    ("दफ़्तर छह बजे बंद होता है।", "चाबी पहरेदार के पास है।"),
    ("يغلق المكتب في السادسة.", "المفتاح عند الحارس."),
    ("متى يغلق المكتب؟", "في السادسة."),
    ("開いていますか?", "六時までです。"),
    ("猫は禁止です!", "鍵は受付にあります。"),
    ("Sie sagte: „Um sechs.“", "Dann ging sie."),
    ("Sie sagte: »Um sechs.«", "Dann ging sie."),
    ("El tren va a 100 km/h.", "¿Cuándo llega?"),
    ("Πότε κλείνει;", "Στις έξι."),
    ("Գրասենյակը փակ է:", "Բանալին պահակի մոտ է:"),
]


@pytest.mark.parametrize("sentence", WHOLE)
def test_a_sentence_stays_whole(sentence: str) -> None:
    assert [sentence[start:end] for start, end in sentence_spans(sentence)] == [sentence]
    text = f"The gate is blue. {sentence}"
    assert sentences(text)[-1] == sentence


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0])
def test_two_sentences_are_told_apart(pair: tuple[str, str]) -> None:
    for between in (" ", "\n\n", "" if pair[0][-1] in "。।" or pair[1][-1] == "。" else " "):
        text = between.join(pair)
        assert [text[start:end] for start, end in sentence_spans(text)] == list(pair)


def test_a_cited_sentence_is_not_cut_at_an_abbreviation() -> None:
    passage = "The gate is blue. The rent is due on Feb. 3 and on Aug. 17 of each year. Cats stay out."
    found = support(Claim.of("The rent must be paid on Feb. 3 and Aug. 17"), passage)
    assert found is not None
    assert passage[found.start : found.end] == "The rent is due on Feb. 3 and on Aug. 17 of each year."
