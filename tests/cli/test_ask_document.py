"""``parley ask --json`` says what people see below an answer: that it is cut off, or that no model could answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.cli.ask import as_document
from bot.types.conversation import LOCAL_TENANT, ThreadKey
from bot.types.turns import Outcome
from tests.cli.conftest import Parley

DONE = Outcome("t1", ThreadKey(LOCAL_TENANT, "console", "c", "1"), "done", answer="Half of it")


def test_notes_and_outage_are_fields() -> None:
    whole = as_document(DONE, "t1")
    assert (whole["notes"], whole["outage"]) == ([], None)
    cut = as_document(replace(DONE, trace={"notes": ["The answer was cut off."], "outage": "The key is wrong."}), "t1")
    assert (cut["notes"], cut["outage"]) == (["The answer was cut off."], "The key is wrong.")


def test_a_script_sees_that_no_model_wrote_the_answer(parley: Parley, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("PARLEY_CHEAP_MODEL", "nobody")
    monkeypatch.setenv("PARLEY_STRONG_MODEL", "nobody")
    asked = parley("ask", "What may a hotel in Lisbon cost?", "--json")
    assert "127.0.0.1:9" in asked.document["outage"] or "model server" in asked.document["outage"]
