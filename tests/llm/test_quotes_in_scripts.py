"""Quotes without a model are chosen by the question in every script, and nothing is quoted where nothing fits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.llm.quoting.quote_selection import best_quotes
from knowledge.types.search_results import Passage, Sentence, TextPlace


def passage(text: str, document_id: str = "d", sentences: tuple[Sentence, ...] = ()) -> Passage:
    return Passage(1, document_id, text, "house.md", "", (), 0, len(text), None, 1.0, sentences=sentences)


@pytest.mark.parametrize(
    ("text", "question", "quote"),
    [
        ("年假有二十八天。图书馆星期一上午九点开门。狗不得入内。", "图书馆几点开门？", "图书馆星期一上午九点开门。"),
        ("休暇は二十日です。図書館は九時に開きます。犬は入れません。", "図書館は何時？", "図書館は九時に開きます。"),
        (
            "หมาเข้าไม่ได้\n\nห้องสมุดเปิดเก้าโมงเช้า\n\nวันลามียี่สิบวัน",
            "ห้องสมุดเปิดกี่โมง",
            "ห้องสมุดเปิดเก้าโมงเช้า",
        ),
        ("年假有二十八天。图书馆九点开门。狗不得入内。", "狗？", "狗不得入内。"),
        (
            "छुट्टी बीस दिन की है। पुस्तकालय सुबह नौ बजे खुलता है। कुत्ते अंदर नहीं आ सकते।",
            "पुस्तकालय कितने बजे खुलता है?",
            "पुस्तकालय सुबह नौ बजे खुलता है।",
        ),
        ("Das Re\u0301sume\u0301 ist da. Der Hund ist weg.", "Wo ist das résumé?", "Das Re\u0301sume\u0301 ist da."),
    ],
)  # fmt: skip
def test_the_question_decides(text: str, question: str, quote: str) -> None:
    assert best_quotes(question, [passage(text)])[0].text == quote


@pytest.mark.parametrize(
    ("text", "question", "quote"),
    [
        (
            "## छुट्टी\nहर वर्ष बीस दिन की छुट्टी मिलती है।\n\n## समय\nकार्यालय शाम छह बजे बंद होता है।",
            "कार्यालय कितने बजे बंद होता है?",
            "कार्यालय शाम छह बजे बंद होता है।",
        ),
        ("## ዕረፍት\nዕረፍት ሃያ ቀን ነው።\n\n## ሰዓት\nቢሮው በስድስት ይዘጋል።", "ቢሮው መቼ ይዘጋል?", "ቢሮው በስድስት ይዘጋል።"),
        ("## رخصت\nرخصت بیس دن ہے۔\n\n## وقت\nدفتر چھ بجے بند ہے۔", "دفتر کب بند ہے؟", "دفتر چھ بجے بند ہے۔"),
    ],
)  # fmt: skip
def test_a_short_sentence_is_no_heading_whatever_ends_it(text: str, question: str, quote: str) -> None:
    assert best_quotes(question, [passage(text)])[0].text == quote


def test_where_nothing_fits_nothing_is_quoted() -> None:
    assert best_quotes("Wer gießt die Farne?", [passage("Dogs are welcome on Fridays. The gate is blue.")]) == []
    assert best_quotes("图书馆几点开门？", [passage("Dogs are welcome on Fridays.")]) == []


def test_without_a_common_word_the_sentence_nearest_in_meaning_is_quoted() -> None:
    text = "The gate of the yard is blue. Dogs are welcome on Fridays."
    near = (Sentence(0, 29, 0.2), Sentence(30, len(text), 0.5))
    quotes = best_quotes("Wann sind Hunde willkommen?", [passage(text, sentences=near)])
    assert [quote.text for quote in quotes] == ["Dogs are welcome on Fridays."]


def test_of_an_attached_file_the_opening_is_quoted() -> None:
    quotes = best_quotes("Fasse das zusammen", [passage("Dogs are welcome on Fridays.", document_id="")])
    assert [quote.text for quote in quotes] == ["Dogs are welcome on Fridays."]


@pytest.mark.parametrize(
    ("text", "question", "quote"),
    [
        (
            "## छुट्टी\nवर्ष में बीस दिन की छुट्टी मिलती है, और बची हुई छुट्टी अगले वर्ष नहीं चलती।\n\n## समय\nपुस्तकालय नौ बजे खुलता है।",
            "पुस्तकालय कब खुलता है?",
            "पुस्तकालय नौ बजे खुलता है।",
        ),
        ("## وقت\nدفتر چھ بجے بند ہوتا ہے۔", "دفتر کب بند ہوتا ہے؟", "دفتر چھ بجے بند ہوتا ہے۔"),
        ("## ሰዓት\nቢሮው በስድስት ሰዓት ይዘጋል።", "ቢሮው መቼ ይዘጋል?", "ቢሮው በስድስት ሰዓት ይዘጋል።"),
    ],
    ids=["Hindi", "Urdu", "Amharic"],
)
def test_a_short_sentence_below_a_heading_is_no_heading(text: str, question: str, quote: str) -> None:
    assert [one.text for one in best_quotes(question, [passage(text)])][:1] == [quote]


@pytest.mark.parametrize(
    ("question", "quote"),
    [
        ("resume", "The résumé of Zoë Muñoz is in the façade room."),
        ("Munoz", "The résumé of Zoë Muñoz is in the façade room."),
        ("Schluessel", "Der Schlüssel hängt am Tor."),
        ("Größe", "Die Groesse des Hofes steht im Plan."),
        ("Offiziere", "Die Oﬃziere wohnen im Turm."),
    ],
)
def test_other_spellings_of_a_word_are_found(question: str, quote: str) -> None:
    text = " ".join(
        (
            "The gate is blue.",
            "The résumé of Zoë Muñoz is in the façade room.",
            "Der Schlüssel hängt am Tor.",
            "Die Groesse des Hofes steht im Plan.",
            "Die Oﬃziere wohnen im Turm.",
        )
    )
    assert best_quotes(question, [passage(text)])[0].text == quote


def test_a_heading_inside_a_passage_is_not_quoted() -> None:
    text = "Re: Fee of the lot (Bob, 2031-03-06)\n\nThe fee of the lot is 70 euros."
    places = (TextPlace(0, ("Re: Fee of the lot (Bob, 2031-03-06)",)),)
    found = best_quotes("How much is the fee of the lot?", [replace(passage(text), places=places)])
    assert [one.text for one in found] == ["The fee of the lot is 70 euros."]
