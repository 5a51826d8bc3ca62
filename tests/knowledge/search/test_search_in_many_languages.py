"""Questions find their section by words, in every script and spelling: from the bytes of a file to the ranking."""

from __future__ import annotations

import unicodedata

from knowledge.ingest import Ingestor
from knowledge.ports import Sessions
from knowledge.search.retriever import Retriever
from knowledge.types.scope import Scope
from knowledge.types.source_items import Fetched
from tests.knowledge.fakes import ListSource, WordEmbedder

PAGES = {
    "accents.md": "# People\n\nSend the résumé of a candidate to Señor Núñez before the interview.",
    "ligature.txt": "The o\ufb03ce has \ufb01ve rooms, and sta\ufb00 may use all of them.",
    "fullwidth.txt": "The door code of the cellar is １２３４ and changes in ＭＡＹ.",
    "nfd.md": unicodedata.normalize("NFD", "# Café\n\nDas Frühstück im Café gibt es für Gäste ab sieben Uhr."),
    "shy.html": "<html><body><article><h1>Konten</h1><p>Das Rech&shy;nungs&shy;wesen bucht die Belege einmal in der "
    "Woche und ist im zweiten Stock.</p></article></body></html>",
    "reisen.md": "# Spesen\n\nDie Reisekostenabrechnung ist bis zum Ende des Monats bei der Buchhaltung einzureichen.",
    "arbeit.md": "# Verträge\n\nDie Kündigungsfrist in der Probezeit ist kurz, und Frau Müller berät dazu.",
    "hilfe.md": "# Büro\n\nFür die Aushilfskräfte im Büro gibt es nur befristete Verträge.",
    "stunden.md": "# Zeit\n\nDie Regelung der Überstunden steht im Tarif und ist nicht verhandelbar.",
    "sv.md": "# Ledighet\n\nEn ansökan om semester skickas till chefen och det är inte svårt.",
    "zh.md": "# 办公室\n\n办公室六点关门，访客在大厅等候。\n\n食堂的价格每年调整一次。",
    "ja.md": "# 休暇\n\n有給休暇の申請は上司に提出します。",
    "th.md": "# สำนักงาน\n\nสำนักงานปิดเวลาหกโมงเย็น",
    "hi.md": "# समय\n\nकार्यालय शाम छह बजे बंद होता है।",
    "hi2.md": "# छुट्टी\n\nहर कर्मचारी को वर्ष में अट्ठाईस दिन की छुट्टी मिलती है।",
    "ar.md": "# الدوام\n\nيُغلق المكتب في الساعة السادسة مساءً.",
    "ko.md": "# 휴가\n\n휴가는 일 년에 이십팔 일입니다.",
}
QUESTIONS = {
    "resume": "accents.md",
    "résumé": "accents.md",
    "Nunez": "accents.md",
    "office": "ligature.txt",
    "1234": "fullwidth.txt",
    "Was gibt es zum Fruehstueck?": "nfd.md",
    "Rechnungswesen": "shy.html",
    "Abrechnung der Reisekosten": "reisen.md",
    "Reisekosten": "reisen.md",
    "Kuendigungsfrist": "arbeit.md",
    "Frist der Kündigung": "arbeit.md",
    "Mueller": "arbeit.md",
    "Vertrag einer Aushilfskraft": "hilfe.md",
    "Überstundenregelung": "stunden.md",
    "semesteransökan": "sv.md",
    "办公室几点关门？": "zh.md",
    "价": "zh.md",
    "休暇を申請するには": "ja.md",
    "สำนักงานปิดกี่โมง": "th.md",
    "कार्यालय कितने बजे बंद होता है?": "hi.md",
    "कर्मचारियों की छुट्टियाँ": "hi2.md",
    "متى يغلق المكتب": "ar.md",
    "휴가": "ko.md",
}
"""The page that words alone must rank first."""


async def test_questions_find_their_pages_by_words(
    sessions: Sessions, ingestor: Ingestor, embedder: WordEmbedder
) -> None:
    source = ListSource("pages", *(Fetched(name, text.encode()) for name, text in PAGES.items()))
    report = await ingestor.ingest([source], tenant_id="t")
    assert not report.failed
    found = {}
    for question in QUESTIONS:
        ranking = await Retriever(sessions, embedder).rank(question, Scope("t"))
        pages = {passage.chunk_id: passage.source for passage in ranking.final}
        found[question] = pages[ranking.sparse[0][0]] if ranking.sparse else None
    assert found == QUESTIONS
