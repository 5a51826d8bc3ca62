"""The model step of the first page is done when the models have answered, not when a key is set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from bot.config import Settings, load
from bot.llm.diagnostics import check
from bot.llm.model_check_cache import FRESH_IF_FAILED, FRESH_IF_OK, ModelChecks
from bot.platforms.web import user_messages
from bot.platforms.web.welcome import Step, StoredWelcome
from bot.store.database.session import Database
from bot.types.checks import Check
from tests.doubles.models import ModelDouble, Reply

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
async def models() -> AsyncIterator[ModelDouble]:
    async with ModelDouble() as double:
        yield double


def settings_for(models: ModelDouble, folder: Path, *, key: str = "") -> Settings:
    return load(data_dir=folder, anthropic_api_key=key or models.anthropic_key, anthropic_base_url=models.anthropic_url)


async def model_step(welcome: StoredWelcome) -> Step:
    return (await welcome.read(admin=True)).steps[1]


async def checked_step(welcome: StoredWelcome) -> Step:
    """Return the step as soon as it no longer says that the models are being checked."""
    async with asyncio.timeout(60):
        while (step := await model_step(welcome)).detail == user_messages.MODEL_STEP_CHECKING:
            await asyncio.sleep(0.02)
    return step


def welcome_of(database: Database, settings: Settings, clock: Clock) -> StoredWelcome:
    checks = ModelChecks(partial(check, settings), clock)
    return StoredWelcome(database.tenant, settings, dict, clock, checks)


async def test_a_key_that_works_is_asked_once_for_many_views(
    database: Database, models: ModelDouble, tmp_path: Path
) -> None:
    clock = Clock()
    welcome = welcome_of(database, settings_for(models, tmp_path), clock)
    assert await model_step(welcome) == Step("model", False, user_messages.MODEL_STEP_CHECKING)
    assert await checked_step(welcome) == Step("model", True, user_messages.MODEL_STEP_DONE)
    asked = len(models.bill)
    assert asked == 2, "both tiers"
    clock.now += FRESH_IF_OK - timedelta(seconds=1)
    for _ in range(5):
        assert (await checked_step(welcome)).done
    await welcome.aclose()
    assert len(models.bill) == asked


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, "invalid x-api-key", "Anthropic rejected the key (401). Check ANTHROPIC_API_KEY."),
        (400, "Your credit balance is too low to access the Anthropic API.", "credit"),
    ],
)
async def test_a_wrong_or_spent_key_says_what_is_wrong_until_it_works(
    database: Database, models: ModelDouble, tmp_path: Path, status: int, error: str, words: str
) -> None:
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": error}}
    models.script = lambda _: Reply(fault="status", status=status, error=body)
    clock = Clock()
    welcome = welcome_of(database, settings_for(models, tmp_path), clock)
    step = await checked_step(welcome)
    assert not step.done
    assert words in step.detail
    assert step.detail.startswith("Model claude-haiku-5-5: ")

    models.script = lambda _: Reply("Hello")
    clock.now += FRESH_IF_FAILED
    async with asyncio.timeout(60):
        while not (step := await model_step(welcome)).done:
            await asyncio.sleep(0.02)
    assert step.detail == user_messages.MODEL_STEP_DONE
    await welcome.aclose()


async def test_other_people_cause_no_calls(database: Database, models: ModelDouble, tmp_path: Path) -> None:
    welcome = welcome_of(database, settings_for(models, tmp_path), Clock())
    assert (await welcome.read(admin=False)).steps == ()
    await welcome.aclose()
    assert models.requests == []


async def test_a_check_that_breaks_is_a_failure_and_is_repeated() -> None:
    clock, calls = Clock(), 0

    async def broken() -> list[Check]:
        nonlocal calls
        calls += 1
        raise RuntimeError("no such file")

    checks = ModelChecks(broken, clock)
    async with asyncio.timeout(60):
        while (found := checks.newest()) is None:
            await asyncio.sleep(0)
    assert [(one.ok, "no such file" in one.detail) for one in found] == [(False, True)]
    assert calls == 1
    clock.now += FRESH_IF_FAILED
    checks.newest()
    await asyncio.sleep(0)
    assert calls == 2
    await checks.aclose()
