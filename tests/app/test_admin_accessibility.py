"""Tests that axe finds no fault on the admin pages: wide, on a phone, in light and in dark colors."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from sqlalchemy import text

from bot.app import App
from bot.commands.verified_answers import Draft, add_written
from bot.platforms.web.admin.user_messages import SECTIONS
from bot.types.conversation import LOCAL_TENANT, Author
from tests.app.conftest import ask
from tests.doubles.models import ModelDouble
from tests.web.accessibility import faults
from tests.web.browser import browsing, requires_chromium
from tests.web.serving import served

pytestmark = requires_chromium


async def test_axe_finds_no_fault_on_the_admin_pages(app_with_models: App, models: ModelDouble) -> None:
    app_with_models.services.health.works("web")
    answered = await ask(app_with_models, "What may a hotel in Lisbon cost?")
    await ask(app_with_models, "May I bring zebras?", "t2", user="bob")
    pages = ["", *(f"/{name}" for name in SECTIONS if name != "overview"), "/costs?by=user", "/calls"]
    pages.append(f"/questions/{answered.turn_id}")
    now = datetime.now(UTC)
    verified = await app_with_models.database.run(
        LOCAL_TENANT,
        lambda session: add_written(
            session,
            Draft("Who orders chairs?", "Kim does [1].", ("Chairs?",), ("dogs.md",)),
            tenant_id=LOCAL_TENANT,
            platform="web",
            owner=Author("you", "Ann"),
            now=now,
        ),
    )
    pages.append(f"/verified/{verified.id}")
    async with app_with_models.database.tenant(LOCAL_TENANT) as session:
        await session.execute(
            text(
                "INSERT INTO judgments (tenant_id, turn_id, model, batch, state, passed, score) "
                "SELECT tenant_id, turn_id, 'gpt-6-luna', 'b', 'judged', user_id = 'ann', 2 FROM turns"
            )
        )
    found: list[str] = []
    async with served(app_with_models) as url, browsing(f"{url}/admin") as driver:
        for number, page in enumerate(pages):
            await asyncio.to_thread(driver.get, f"{url}/admin{page}")
            name = f"admin-{number}"
            found += [f"{page}: {fault}" for fault in await faults(driver, name=name)]
    assert found == []
