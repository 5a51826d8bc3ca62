"""Tables on a narrow terminal or in a pipe keep names whole."""

from __future__ import annotations

import pytest

from bot.cli.output import show_table

MODELS = ("claude-sonnet-5-5", "gpt-oss-120b-instruct-q4_k_m.gguf", "anthropic/claude-haiku-5-5")


@pytest.mark.parametrize("columns", ["40", "60", "80", "200"])
def test_names_are_not_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    rows = [(model, 12, 1_234_567, 1_200_000, 98_765, 12.345678, "a text of several words " * 4) for model in MODELS]
    show_table(("model", "answers", "tokens in", "cached", "out", "USD", "note"), rows)
    printed = capsys.readouterr().out
    for model in MODELS:
        assert model in printed
    assert printed.count("1,234,567") == len(MODELS)
    assert "…" not in printed


def test_long_texts_wrap(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    show_table(("id", "title"), [("ab12cd34", "A title of very many words indeed " * 5)])
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) > 3
    assert max(map(len, printed)) <= 50
