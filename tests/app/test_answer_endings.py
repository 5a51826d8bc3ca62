"""The JSON of an answer says how it ended: cut, declined by the model, or quoted because no model could answer."""

from __future__ import annotations

import pytest

from bot.app import App
from bot.cli.ask import as_document
from bot.types.usage import NO_MODEL
from tests.app.conftest import ask
from tests.doubles.models import ModelDouble, Reply

QUESTION = "What may a hotel in Lisbon cost?"


@pytest.mark.parametrize("stop", ["cut", "refused"])
async def test_an_answer_that_is_not_whole_has_a_note(app_with_models: App, models: ModelDouble, stop: str) -> None:
    models.script = lambda _: Reply("It may cost 180", stop=stop)  # type: ignore[arg-type]
    document = as_document(await ask(app_with_models, QUESTION), "t1")
    assert document["notes"], document
    assert document["outage"] is None


async def test_a_whole_answer_has_no_note(app_with_models: App, models: ModelDouble) -> None:
    models.script = lambda _: Reply("It may cost 180 EUR a night [1].")
    assert as_document(await ask(app_with_models, QUESTION), "t1")["notes"] == []


async def test_the_model_of_an_outage_is_none_of_the_models(app_with_models: App, models: ModelDouble) -> None:
    models.script = lambda _: Reply(fault="status", status=401)
    document = as_document(await ask(app_with_models, QUESTION), "t1")
    assert "rejected the key" in document["outage"]
    assert "parley doctor" in document["outage"]
    assert document["route"]["model"] == NO_MODEL
