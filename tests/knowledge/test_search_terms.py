"""Terms that BM25 counts in documents and queries."""

from __future__ import annotations

import pytest

from knowledge.search_terms import document_terms, query_terms


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The vacations of employees", ["vacat", "employe"]),
        ("call parse_config now", ["call", "parse_config", "pars", "config"]),
        ("HttpClient", ["httpclient", "http", "client"]),
        ("XMLHttpRequest2", ["xmlhttprequest2", "xml", "http", "request", "2"]),
        ("v3.11", ["v3", "v", "3", "11"]),
        ("休暇申請", ["休暇", "暇申", "申請"]),
        ("", []),
        ("the and of", []),
    ],
)
def test_document_terms(text: str, terms: list[str]) -> None:
    assert document_terms(text) == terms


def test_question_words_are_left_out_of_queries_only() -> None:
    assert query_terms("What is the purpose of HttpClient?") == ["httpclient", "http", "client"]
    assert "purpos" in document_terms("The purpose of HttpClient")


def test_query_of_only_question_words_keeps_them() -> None:
    assert query_terms("what does it mean?") == document_terms("what does it mean?") != []


def test_long_words_are_cut() -> None:
    assert document_terms("x" * 5000) == ["x" * 64]
