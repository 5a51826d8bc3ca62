"""Rows that a passage has without their header are read with the header of their table."""

from __future__ import annotations

from dataclasses import replace

from bot.llm.quoting.quote_selection import best_quotes
from tests.llm.llm_requests import passage

HEADER = "| Name | Department | Extension |\n| --- | --- | --- |\n"
REST = "| Ines Haas | Facilities | 4361 |\n| Ada Grau | Legal | 4410 |\n| Bruno Abel | Finance | 4417 |"
AGAIN = f"{HEADER}| Ada Falk | Support | 4515 |\n| Bruno Grau | Purchasing | 4522 |"
QUESTION = "What is the extension of Ada Grau?"


def test_a_row_before_the_repeated_header_of_its_table_is_read_with_it() -> None:
    first, *_ = best_quotes(QUESTION, [passage(f"{REST}\n\n{AGAIN}", title="Staff")])
    assert (first.text, first.header) == ("| Ada Grau | Legal | 4410 |", "| Name | Department | Extension |")


def test_the_header_may_be_in_another_passage_of_the_document() -> None:
    first, *_ = best_quotes(QUESTION, [passage(AGAIN, title="Staff"), passage(REST, title="Staff")])
    assert (first.text, first.header) == ("| Ada Grau | Legal | 4410 |", "| Name | Department | Extension |")


def test_no_header_is_taken_from_another_document_or_where_two_fit() -> None:
    other = replace(passage(AGAIN), document_id="other")
    rooms = passage("| Room | Floor | Seats |\n| --- | --- | --- |\n| Ada | 2 | 8 |")
    for beside in ([other], [passage(AGAIN), rooms]):
        quotes = best_quotes("Ada Grau", [passage(REST), *beside])
        assert [one.header for one in quotes if "4410" in one.text] == [""]
