"""The start of the browser page outside loopback, and what ``parley doctor`` says about it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bot.config import load
from bot.platforms.web.diagnostics import check
from tests.cli.conftest import Parley

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "correct-horse-battery-staple"


@pytest.mark.parametrize("command", ["web", "up"])
@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--host", "0.0.0.0"], {}),
        (["--host", "::"], {}),
        ([], {"PARLEY_WEB_HOST": "0.0.0.0"}),
        ([], {"PARLEY_WEB_URL": "https://parley.example"}),
    ],
)
def test_outside_loopback_nothing_starts_without_a_sign_in(
    parley: Parley, monkeypatch: pytest.MonkeyPatch, command: str, arguments: list[str], environment: dict[str, str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ran = parley(command, *arguments)
    assert (ran.status, ran.out) == (1, "")
    assert "needs a sign-in. Set PARLEY_WEB_TOKEN (create one with: openssl rand -hex 32)" in ran.err
    assert len(ran.err.strip().splitlines()) == 1


def test_the_procfile_starts_each_part_and_listens_on_loopback_unless_the_settings_say_otherwise() -> None:
    lines = (ROOT / "Procfile").read_text().splitlines()
    assert [line.partition(": ")[2].split(" --")[0] for line in lines] == [
        "parley web",
        "parley slack",
        "parley discord",
        "parley worker",
    ]
    assert "--host" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("values", "results"),
    [
        ({}, {"web sign-in": True}),
        ({"web_token": TOKEN}, {"web sign-in": True}),
        ({"web_host": "0.0.0.0"}, {"web sign-in": False}),
        ({"web_url": "https://parley.example"}, {"web sign-in": False}),
        ({"web_host": "0.0.0.0", "web_token": TOKEN}, {"web sign-in": True, "web encryption": False}),
        ({"web_url": "http://parley.example", "web_token": TOKEN}, {"web sign-in": True, "web encryption": False}),
        ({"web_url": "https://parley.example", "web_token": TOKEN}, {"web sign-in": True}),
    ],
)
def test_doctor_checks_the_address_and_the_sign_in(
    bare: Path, values: dict[str, Any], results: dict[str, bool]
) -> None:
    checks = asyncio.run(check(load(**values)))
    assert {found.name: found.ok for found in checks} == results
    assert all(bool(found.fix) != found.ok for found in checks)
    assert TOKEN not in str(checks)
