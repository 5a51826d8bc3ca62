"""The app that the commands run in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.app import App, open_app
from bot.config import Settings
from bot.jobs import working


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncIterator[App]:
    made = Settings(_env_file=None, database_url=SecretStr(database_url), data_dir=tmp_path, reranker="none")
    async with open_app(made) as app, working(app.services):
        yield app
