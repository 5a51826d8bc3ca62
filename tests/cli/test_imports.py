"""A command imports only what it needs: reports start without the engine, the web server and the models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOADED_AFTER = """
import json, sys

from bot import cli

status = cli.run(sys.argv[1:])
print(json.dumps([status, sorted(sys.modules)]), file=sys.stderr)
"""
MODELS = {"torch", "transformers", "sentence_transformers", "anthropic", "openai"}
APP = {"bot.app", "bot.engine.engine", "bot.commands.registry", "bot.platforms", "aiohttp", "starlette", "discord"}
SLOW = {"alembic", "matplotlib", "lxml", "procrastinate"}


def loaded_after(*args: str, database_url: str, folder: Path) -> set[str]:
    """Run a command that must succeed in a process of its own. Return the modules that it loaded."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATABASE_URL": database_url}
    ran = subprocess.run(
        [sys.executable, "-c", LOADED_AFTER, *args],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    status, modules = json.loads(ran.stderr.splitlines()[-1])
    assert status == 0, ran.stderr
    return set(modules)


@pytest.mark.parametrize("command", ["docs", "costs", "budget show", "feedback", "slo"])
def test_a_report_starts_without_models_and_app(command: str, database_url: str, tmp_path: Path) -> None:
    loaded = loaded_after(*command.split(), "--json", database_url=database_url, folder=tmp_path)
    assert loaded & (MODELS | APP | SLOW) == set()


def test_a_list_of_documents_starts_without_numpy(database_url: str, tmp_path: Path) -> None:
    assert "numpy" not in loaded_after("docs", "--json", database_url=database_url, folder=tmp_path)


def test_a_search_with_the_offline_model_starts_without_transformers(database_url: str, tmp_path: Path) -> None:
    loaded = loaded_after("search", "leave", "--json", database_url=database_url, folder=tmp_path)
    assert "torch" in loaded
    assert loaded & {"transformers", "sentence_transformers", "sklearn", "scipy"} == set()


def test_help_starts_without_the_database(tmp_path: Path) -> None:
    loaded = loaded_after("--help", database_url="", folder=tmp_path)
    assert loaded & (MODELS | APP | SLOW | {"sqlalchemy", "psycopg", "numpy"}) == set()
