"""Terms that BM25 counts in documents and queries."""

from __future__ import annotations

import unicodedata

import pytest

from knowledge.text import compounds, languages
from knowledge.text.search_terms import asked_words, document_terms, main_terms, query_terms, query_weights
from knowledge.text.word_forms import fold
from knowledge.text.word_splitter import words


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The vacations of employees", ["vacat", "employe"]),
        ("call parse_config now", ["call", "parse_config", "pars", "config"]),
        ("HttpClient", ["httpclient", "http", "client"]),
        ("XMLHttpRequest2", ["xmlhttprequest2", "xml", "http", "request", "2"]),
        ("v3.11", ["v3", "v", "3", "11"]),
        ("Müller", ["muller", "müller", "mueller"]),
        ("ÉcoleDirecte", ["ecoledirect", "écoledirecte", "ecol", "direct"]),
        ("", []),
        ("the and of", []),
    ],
)
def test_document_terms(text: str, terms: list[str]) -> None:
    assert document_terms(text) == terms


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("Her résumé is in the folder", "resume"),
        ("Her resume is in the folder", "résumé"),
        ("Señor Núñez", "Nunez"),
        ("the o\ufb03ce closes", "office"),
        ("room １２３４", "1234"),
        ("room 1234", "１２３４"),
        ("Rech\u00adnungs\u00adwesen", "Rechnungswesen"),
        ("zero\u200bwidth", "width"),
        ("word\u2060joiner", "wordjoiner"),
        (unicodedata.normalize("NFD", "Zürich café"), "Zürich"),
        ("Zürich café", unicodedata.normalize("NFD", "café")),
        ("Die Kündigungsfrist", "Kuendigungsfrist"),
        ("Frau Mueller", "Müller"),
        ("Søren Ærø", "Soren"),
        ("Straße", "STRASSE"),
        ("İstanbul", "istanbul"),
        ("ΑΘΗΝΑ", "Αθήνα"),
        ("Ёлка стоит", "елка"),
        ("٢٠٢٤", "2024"),
        ("१२३", "123"),
        ("कार्यालय छह बजे बंद होता है", "कार्यालय"),
        ("مُحَمَّد", "محمد"),
        ("สำนักงานปิดเวลาหกโมง", "ปิด"),
        ("办公室六点关门", "关门"),
        ("办公室六点关门", "门"),
        ("オフィスは六時に閉まります", "ｵﾌｨｽ"),
        ("휴가는 이십일입니다", "휴가"),
    ],
)
def test_word_is_found_by_its_other_spellings(written: str, asked: str) -> None:
    assert query_weights(asked)
    assert query_weights(asked).keys() & set(document_terms(written))


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("कार्यालय", "कार्यालय"),
        ("हिन्दी", "हिन्दी"),
        ("தமிழ்", "தமிழ்"),
        (unicodedata.normalize("NFD", "Zürich"), "Zürich"),
        ("می\u200cخواهم", "میخواهم"),
        ("שָׁלוֹם", "שָׁלוֹם"),
    ],
)
def test_marks_stay_with_their_letter(text: str, whole: str) -> None:
    assert words(text) == [unicodedata.normalize("NFKC", whole)]


def test_й_is_a_letter_of_its_own() -> None:
    assert [fold(one) for one in ("край", unicodedata.normalize("NFD", "край"), "ёлка")] == ["край", "край", "елка"]


def test_different_accents_rank_below_the_spelling_of_the_question() -> None:
    def score(written: str) -> float:
        terms = set(document_terms(written))
        return sum(weight for term, weight in query_weights("résumé").items() if term in terms)

    assert score("résumé") > score("resume") > 0


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("Die Reisekostenabrechnung ist bis zum Monatsende einzureichen.", "Abrechnung der Reisekosten"),
        ("Für die Abrechnung der Reisen und ihrer Kosten gibt es ein Formular.", "Was ist die Reisekostenabrechnung?"),
        ("Die Verträge der Aushilfskräfte sind in der Personalabteilung.", "Vertrag einer Aushilfskraft"),
        ("Für die Aushilfen gelten die Arbeitsverträge nicht.", "Vertrag einer Aushilfskraft"),
        ("De vakantieaanvraag is niet verplicht voor het personeel.", "Wat is de aanvraag van vakantie?"),
        ("Semesteransökan skickas till chefen och det är inte svårt.", "Var är ansökan om semester?"),
        ("Arbejdstiden er 37 timer om ugen, og det er ikke til debat.", "Hvad er tid til arbejde?"),
        ("Feriesøknaden skal sendes til lederen, og det er ikke vanskelig.", "Hvor er søknad om ferie?"),
    ],
)
def test_parts_of_compounds_are_found_in_the_languages_that_have_them(written: str, asked: str) -> None:
    spoken = [one for one in languages.of_question(words(asked)) if one != "en"]
    assert spoken
    shared = query_weights(asked, spoken).keys() & set(document_terms(written))
    assert len(shared) >= 2


def test_compound_is_split_into_words_whatever_links_them() -> None:
    parts = (("reisekosten",), ("reise",), ("kosten",), ("abrechnung",))
    assert compounds.parts("reisekostenabrechnung", "de") == parts
    assert compounds.parts("kündigungsfrist", "de") == compounds.parts("kuendigungsfrist", "de")
    assert compounds.parts("kündigungsfrist", "de") == (("kuendigung",), ("frist",))
    assert compounds.parts("aushilfskraft", "de") == (("aushilfe",), ("kraft",))


@pytest.mark.parametrize(
    ("word", "language", "head"),
    [
        ("urlaubstage", "de", ("stage", "tage")),
        ("durchschnittsalter", "de", ("salter", "alter")),
        ("bergspitze", "de", ("spitze",)),
        ("schadensanzeige", "de", ("anzeige",)),
    ],
)
def test_a_letter_that_may_only_link_is_read_both_ways(word: str, language: str, head: tuple[str, ...]) -> None:
    assert compounds.parts(word, language)[-1] == head


@pytest.mark.parametrize("text", ["Es gibt 29 Tage Urlaub im Jahr.", "Der Urlaub und die Tage danach sind frei."])
def test_a_compound_is_covered_by_either_reading_of_its_parts(text: str) -> None:
    (word,) = asked_words("Urlaubstage?", ["de"])
    assert word.covered(frozenset(document_terms(text))) == 1.0


@pytest.mark.parametrize("word", ["verwaltung", "information", "mitarbeiter", "entwicklung", "versicherung", "frist"])
def test_words_with_prefixes_and_endings_are_no_compounds(word: str) -> None:
    assert compounds.parts(word, "de") == ()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Der Vertrag ist schriftlich und wird vom Vorgesetzten unterschrieben.", "de"),
        ("De medewerker heeft recht op vakantie en dat is niet te weigeren.", "nl"),
        ("Los empleados tienen derecho a las vacaciones y no se pagan.", "es"),
        ("Les salariés ont droit aux congés et ne sont pas payés pour cela.", "fr"),
        ("I dipendenti hanno diritto alle ferie e non sono pagati per questo.", "it"),
        ("Pracownik ma prawo do urlopu i nie jest to zależne od stażu.", "pl"),
        ("Työntekijällä on oikeus lomaan ja se ei ole riippuvainen iästä.", "fi"),
    ],
)
def test_language_of_a_document_is_told_by_its_function_words(text: str, language: str) -> None:
    assert languages.of_document(words(text)) == (language,)
    assert f"lang:{language}" in document_terms(text)


@pytest.mark.parametrize(
    "text",
    [
        "The office closes at six, and visitors wait in the lobby until they are called by die Firma.",
        "for i in range(n):\n    if a and not e:\n        os.path.join(i, com.example.com, com.example.org)\n" * 5,
        "SKU-1 SKU-2 SKU-3",
        "",
    ],
)
def test_english_code_and_bare_names_have_no_other_language(text: str) -> None:
    assert languages.of_document(words(text)) == ()


def test_question_words_are_left_out_of_queries_only() -> None:
    assert query_terms("What is the purpose of HttpClient?") == ["httpclient", "http", "client"]
    assert "purpos" in document_terms("The purpose of HttpClient")


def test_function_words_of_the_language_are_left_out_of_queries() -> None:
    assert query_weights("Wie lang ist die Frist?", ["de"]).keys() == {"lang", "frist"}
    assert query_weights("der die das", ["de"])


def test_query_of_only_question_words_keeps_them() -> None:
    assert query_terms("what does it mean?") == main_terms("what does it mean?") != []


def test_long_words_are_cut() -> None:
    assert document_terms("x" * 5000) == ["x" * 64]
    assert max(map(len, document_terms("é" * 5000))) == 64


def test_long_question_has_a_bounded_number_of_terms() -> None:
    question = " ".join(f"wört{n}" for n in range(5000))
    assert len(query_terms(question)) == len(query_weights(question)) == 200
