from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.doubles.models import HTML, ModelDouble
from tests.doubles.models_http import Exchange, HttpServer
from tests.llm.llm_requests import Adapter, anthropic, openai


@pytest.fixture
async def double() -> AsyncIterator[ModelDouble]:
    async with ModelDouble() as double:
        yield double


@pytest.fixture(params=["anthropic", "openai"])
async def adapter(request: pytest.FixtureRequest, double: ModelDouble) -> AsyncIterator[Adapter]:
    """Return an adapter of each provider, with its real SDK and a real socket."""
    made: Adapter = anthropic(double) if request.param == "anthropic" else openai(double, usage_timeout=0.2)
    yield made
    await made.aclose()


@pytest.fixture
def no_provider_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the provider settings of the machine and of an ``.env`` file."""
    monkeypatch.chdir(tmp_path)
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def web_page() -> AsyncIterator[str]:
    """Start a web server that answers every request with a web page."""

    async def answer(exchange: Exchange) -> None:
        await exchange.answer(200, HTML, "text/html; charset=utf-8")

    server = HttpServer(answer)
    await server.start()
    yield f"http://127.0.0.1:{server.port}"
    await server.stop()
