"""Secrets are removed from log lines and error messages, and everything else stays as it is."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import io
import logging
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

import bot
from bot.cli import log_output as pipeline
from bot.config import Settings
from bot.errors import (
    ConfigError,
    LLMError,
    MessageGone,
    ParleyError,
    RateLimited,
    StoreAway,
    SurfaceError,
    UsageError,
    for_operator,
)
from knowledge.errors import EmbeddingError, KnowledgeError, ParseError, SourceError
from knowledge.text import secret_redaction
from knowledge.text.secret_redaction import REDACTED, RedactingFilter, has_credentials, redact
from knowledge.types.source_items import Failure

CANARY = "c4n4ryV4lu3zz"

FORMS = [
    f"Incorrect API key provided: sk-{CANARY}.",
    f"key sk-ant-api03-{CANARY}-AA is wrong",
    f"Authorization: Bearer {CANARY}",
    f"authorization=Basic {CANARY}==",
    f"{{'Authorization': 'Bearer {CANARY}'}}",
    f'{{"authorization": "Bot {CANARY}"}}',
    f'{{\\"x-api-key\\": \\"{CANARY}\\"}}',
    f"<CIMultiDictProxy('Authorization': 'Bearer xoxb-1-{CANARY}')>",
    f"headers [(b'x-api-key', b'{CANARY}')]",
    f"x-api-key: b'{CANARY}'",
    f"xoxb-123-456-{CANARY}",
    f"xoxe.xoxp-1-{CANARY}",
    f"xapp-1-A0-1-{CANARY}",
    f"https://user:{CANARY}@host.example/path",
    f"fatal: unable to access 'https://{CANARY}@github.com/team/repo.git/'",
    f"postgresql://parley:{CANARY}@db:5432/parley?sslmode=require",
    f"GET /api?token={CANARY}&x=1",
    f"https://example.org/?access_token={CANARY}#top",
    f"ghp_{CANARY}{CANARY}",
    f"https://hooks.slack.com/services/T0/B0/{CANARY}",
    f"https://hooks.slack.com/commands/T0/123/{CANARY}",
    f"https://hooks.slack.com/actions/T0/123/{CANARY}",
    f"POST https://discord.com/api/v10/webhooks/123456789012345678/{CANARY}{CANARY}/messages/@original",
    f"POST https://discord.com/api/v10/interactions/123456789012345678/{CANARY}{CANARY}/callback",
    f"wss://wss-primary.slack.com/link/?ticket={CANARY}&app_id=x",
    f"https://files.slack.com/files-pri/T0-F0/a.png?pub_secret={CANARY}",
    f"password={CANARY} host=db",
]


@pytest.mark.parametrize("text", FORMS)
def test_a_secret_of_a_known_form_is_removed(text: str) -> None:
    assert CANARY not in redact(text)
    assert REDACTED in redact(text)
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://ann:pw@example.org/", True),
        ("crawl:https://token@example.org/", True),
        ("https://example.org/a?token=abc", True),
        ("sitemap:https://example.org/map?x=1&API_KEY=abc#top", True),
        ("<https://example.org/?a=b&password=abc|label>", True),
        ("https://example.org/@ann?tokens=3", False),
        ("https://example.org/issues?key=DOCS-1&sort=token", False),
        ("https://example.org/token=abc", False),
        ("https://example.org/?token=", False),
        ("notes?token=abc.md", False),
    ],
)
def test_urls_with_credentials(url: str, expected: bool) -> None:
    assert has_credentials(url) is expected


def test_what_stands_around_a_secret_stays() -> None:
    assert (
        redact(f"GET https://u:{CANARY}@host.example/a?b=1 failed")
        == f"GET https://{REDACTED}@host.example/a?b=1 failed"
    )
    assert redact(f"Bearer {CANARY}, 401") == f"Bearer {REDACTED}, 401"


@pytest.mark.parametrize(
    "text",
    [
        "You have reached today's token limit: 200,000 tokens. It resets at 00:00.",
        "Copy the Bot User OAuth Token from 'OAuth & Permissions'; it must start with xoxb-.",
        "Basic Information and basic understanding",
        "the bot answering questions, risk-averse task-oriented",
        "https://example.org/page?page=2&q=keyboard see user@example.org",
        "turn 1c9f5a6e-57ab-4d39-9f1a-6c8ad1f0a2b3 of slack:T0123ABC in C0123456789.1700000000.123456",
        "postgresql://db.example:5432/parley",
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def _messages() -> Iterator[tuple[str, str]]:
    for module in pkgutil.walk_packages(bot.__path__, "bot."):
        if module.name.endswith("messages") or module.name.endswith("help_text"):
            for name, value in inspect.getmembers(importlib.import_module(module.name)):
                if isinstance(value, str) and not name.startswith("__"):
                    yield f"{module.name}.{name}", value


def test_no_message_of_parley_looks_like_a_secret() -> None:
    assert len(list(_messages())) > 50
    assert [name for name, value in _messages() if redact(value) != value] == []


SECRET_FIELDS = [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]


def _settings_with_secrets() -> tuple[Settings, list[str]]:
    """Every secret setting with a value of its own that no pattern recognizes, except for prefixes it must have."""
    prefixes = {"slack_bot_token": "xoxb-", "slack_app_token": "xapp-"}
    sign_in = {"oidc_issuer": "https://id.example", "oidc_client_id": "parley", "web_url": "https://parley.example"}
    values: dict[str, Any] = {**sign_in, "web_admin_groups": ("admins",)}
    planted: list[str] = []
    for n, name in enumerate(SECRET_FIELDS):
        secret = f"planted{n}Zq{name.replace('_', '')}"
        if name.endswith("database_url"):
            values[name] = SecretStr(f"postgresql://u:{secret}@db.example/parley")
        elif name == "token_keys":
            secret = (secret * 5)[:43].replace("_", "x") + "="
            values[name] = (SecretStr(secret),)
        elif name == "slack_client_secret":
            continue
        else:
            secret = prefixes.get(name, "") + secret
            values[name] = SecretStr(secret)
        planted.append(secret)
    return Settings(_env_file=None, **values), planted


def test_every_secret_setting_is_registered() -> None:
    assert {"slack_signing_secret", "discord_token", "token_keys", "database_url"} <= set(SECRET_FIELDS)
    settings, planted = _settings_with_secrets()
    assert len(planted) >= len(SECRET_FIELDS) - 1
    assert set(planted) <= set(settings.secrets())
    for secret in planted:
        assert secret not in redact(f"an echo of {secret}!"), secret
    assert "db.example" in redact("db.example does not answer"), "only the password of an address is secret"


def test_every_error_is_free_of_secrets() -> None:
    _, planted = _settings_with_secrets()
    for secret in planted:
        text = f"it said {secret}"
        errors = [
            kind(text) for kind in (ParleyError, ConfigError, UsageError, SurfaceError, MessageGone, KnowledgeError)
        ]
        errors += [SourceError(text), ParseError(text), EmbeddingError(text), LLMError(text)]
        errors += [RateLimited(text, retry_after=1.0)]
        for error in errors:
            assert secret not in f"{error} {error!r} {error.args}"
        assert secret not in for_operator(StoreAway(text))
        assert secret not in for_operator(RuntimeError(text))
        assert secret not in Failure("source", text).error


@pytest.fixture
def log_output(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the process writes to its log."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    output = io.StringIO()
    # pytest replaces stderr after the fixtures.
    monkeypatch.setattr(pipeline.StderrHandler, "stream", output)
    try:
        pipeline.set_up("DEBUG")
        yield output
    finally:
        root.handlers[:], root.level = handlers, level


def test_the_log_has_no_secret_in_any_part_of_a_record(log_output: io.StringIO) -> None:
    _, planted = _settings_with_secrets()
    log = logging.getLogger("some.library")
    for secret in planted:
        log.warning("message %s and %r", secret, {"token": secret})
        log.warning(f"already formatted {secret} 100%")
        log.warning("wrong number of arguments %s %s", secret)
        try:
            try:
                raise ValueError(f"inner {secret}")
            except ValueError as error:
                raise RuntimeError(f"outer {secret}") from error
        except RuntimeError:
            log.exception("failed", stack_info=True)
    written = log_output.getvalue()
    assert "failed" in written
    assert "Traceback" in written
    assert [secret for secret in planted if secret in written] == []


def test_short_values_are_not_registered() -> None:
    secret_redaction.register(["ab", "       ", ""])
    assert redact("about abs") == "about abs"


@pytest.mark.parametrize("error", [TimeoutError(), asyncio.CancelledError(), ValueError(" ")])
def test_an_error_without_a_message_is_logged_by_its_name(error: BaseException) -> None:
    record = logging.LogRecord("bot", logging.WARNING, __file__, 1, "not read: %s", (error,), None)
    assert RedactingFilter().filter(record)
    assert record.getMessage() == f"not read: {type(error).__name__}"
    assert for_operator(error).strip() == type(error).__name__


def test_an_error_with_a_message_is_logged_with_it() -> None:
    record = logging.LogRecord("bot", logging.WARNING, __file__, 1, "%s: %s", ("read", ValueError("too long")), None)
    assert RedactingFilter().filter(record)
    assert record.getMessage() == "read: too long"
