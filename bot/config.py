"""Settings, read once from the environment and ``.env``, and validated.

An invalid setting stops the start with one line: its name, what is wrong, and how to fix it.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv import dotenv_values
from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from bot.errors import ConfigError
from bot.types.conversation import LOCAL_TENANT
from bot.types.usage import Tier
from bot.web_settings import Names, WebSettings, comma_separated
from knowledge import secret_redaction
from knowledge.types import ChunkingMethod

OFFLINE_EMBEDDING_MODEL = "all-MiniLM-L6-v2"
_DATABASE_SCHEMES = ("postgresql://", "postgres://", "postgresql+psycopg://")


def _named(name: str) -> AliasChoices:
    return AliasChoices(name)


class Settings(WebSettings):
    """All settings of Parley. A field's alias is its name in the environment."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True)

    # storage
    database_url: SecretStr | None = Field(None, validation_alias=_named("DATABASE_URL"))
    listen_database_url: SecretStr | None = Field(None, validation_alias=_named("PARLEY_LISTEN_DATABASE_URL"))
    data_dir: Path = Field(Path(".parley"), validation_alias=_named("PARLEY_DATA_DIR"))

    # models
    anthropic_api_key: SecretStr | None = Field(None, validation_alias=_named("ANTHROPIC_API_KEY"))
    anthropic_base_url: str | None = Field(None, validation_alias=_named("ANTHROPIC_BASE_URL"))
    openai_api_key: SecretStr | None = Field(None, validation_alias=_named("OPENAI_API_KEY"))
    openai_base_url: str | None = Field(None, validation_alias=_named("OPENAI_BASE_URL"))
    cheap_model: str | None = Field(None, validation_alias=_named("PARLEY_CHEAP_MODEL"))
    strong_model: str | None = Field(None, validation_alias=_named("PARLEY_STRONG_MODEL"))
    router: Literal["local", "model", "cheap", "strong"] = Field("local", validation_alias=_named("PARLEY_ROUTER"))
    strong_share: float = Field(0.5, ge=0, le=1, validation_alias=_named("PARLEY_STRONG_SHARE"))
    prices_file: Path | None = Field(None, validation_alias=_named("PARLEY_PRICES_FILE"))
    answer_tokens: int = Field(1000, ge=50, le=32_000, validation_alias=_named("PARLEY_ANSWER_TOKENS"))
    prompt_tokens: int = Field(8000, ge=2000, le=500_000, validation_alias=_named("PARLEY_PROMPT_TOKENS"))

    # timeouts of model providers, in seconds
    connect_timeout: float = Field(5.0, gt=0, validation_alias=_named("PARLEY_CONNECT_TIMEOUT"))
    first_token_timeout: float = Field(30.0, gt=0, validation_alias=_named("PARLEY_FIRST_TOKEN_TIMEOUT"))
    idle_timeout: float = Field(20.0, gt=0, validation_alias=_named("PARLEY_IDLE_TIMEOUT"))
    total_timeout: float = Field(120.0, gt=0, validation_alias=_named("PARLEY_TOTAL_TIMEOUT"))

    # knowledge
    embedding_model: str = Field(OFFLINE_EMBEDDING_MODEL, validation_alias=_named("PARLEY_EMBEDDING_MODEL"))
    reranker: str = Field("auto", validation_alias=_named("PARLEY_RERANKER"))
    embedding_dimensions: int | None = Field(
        None, ge=8, le=4000, validation_alias=_named("PARLEY_EMBEDDING_DIMENSIONS")
    )
    chunking: ChunkingMethod = Field("packed", validation_alias=_named("PARLEY_CHUNKING"))
    chunk_tokens: int = Field(256, ge=32, le=8000, validation_alias=_named("PARLEY_CHUNK_TOKENS"))
    chunk_overlap: int = Field(0, ge=0, le=4000, validation_alias=_named("PARLEY_CHUNK_OVERLAP"))
    passages: int = Field(5, ge=1, le=20, validation_alias=_named("PARLEY_PASSAGES"))
    fetch_allow: Names = Field((), validation_alias=_named("PARLEY_FETCH_ALLOW"))
    refresh_hours: float = Field(24.0, ge=0, le=8760, validation_alias=_named("PARLEY_REFRESH_HOURS"))
    tenant_documents: Literal["admins", "members"] = Field("admins", validation_alias=_named("PARLEY_TENANT_DOCUMENTS"))
    max_file_mb: int = Field(50, ge=1, le=2000, validation_alias=_named("PARLEY_MAX_FILE_MB"))

    # users and limits
    daily_tokens: int = Field(200_000, ge=0, validation_alias=_named("PARLEY_DAILY_TOKENS"))
    channel_daily_tokens: int = Field(0, ge=0, validation_alias=_named("PARLEY_CHANNEL_DAILY_TOKENS"))
    tenant_daily_tokens: int = Field(0, ge=0, validation_alias=_named("PARLEY_TENANT_DAILY_TOKENS"))
    timezone: str = Field("UTC", validation_alias=_named("PARLEY_TIMEZONE"))
    admins: Names = Field((), validation_alias=_named("PARLEY_ADMINS"))
    compression: bool = Field(False, validation_alias=_named("PARLEY_COMPRESSION"))
    cache_shadow: float = Field(0.05, ge=0, le=1, validation_alias=_named("PARLEY_CACHE_SHADOW"))
    answer_cache_hours: float = Field(1.0, ge=0, validation_alias=_named("PARLEY_ANSWER_CACHE_HOURS"))
    answer_cache_stable_hours: float = Field(24.0, ge=0, validation_alias=_named("PARLEY_ANSWER_CACHE_STABLE_HOURS"))
    max_question_chars: int = Field(20_000, ge=100, validation_alias=_named("PARLEY_MAX_QUESTION_CHARS"))

    # platforms
    slack_bot_token: SecretStr | None = Field(None, validation_alias=_named("SLACK_BOT_TOKEN"))
    slack_app_token: SecretStr | None = Field(None, validation_alias=_named("SLACK_APP_TOKEN"))
    slack_signing_secret: SecretStr | None = Field(None, validation_alias=_named("SLACK_SIGNING_SECRET"))
    slack_http_host: str = Field("127.0.0.1", validation_alias=_named("PARLEY_SLACK_HTTP_HOST"))
    slack_http_port: int = Field(3000, ge=1, le=65_535, validation_alias=_named("PARLEY_SLACK_HTTP_PORT"))
    slack_public_url: str | None = Field(None, validation_alias=_named("PARLEY_SLACK_PUBLIC_URL"))
    slack_api_url: str | None = Field(None, validation_alias=_named("SLACK_API_URL"))
    slack_streaming: Literal["everywhere", "direct", "off"] = Field(
        "everywhere", validation_alias=_named("PARLEY_SLACK_STREAMING")
    )
    slack_client_id: str | None = Field(None, validation_alias=_named("SLACK_CLIENT_ID"))
    slack_client_secret: SecretStr | None = Field(None, validation_alias=_named("SLACK_CLIENT_SECRET"))
    slack_workspaces: Names = Field((), validation_alias=_named("PARLEY_SLACK_WORKSPACES"))
    token_keys: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(comma_separated)] = Field(
        (), validation_alias=_named("PARLEY_TOKEN_KEYS")
    )
    discord_token: SecretStr | None = Field(None, validation_alias=_named("DISCORD_TOKEN"))
    discord_api_url: str | None = Field(None, validation_alias=_named("DISCORD_API_URL"))
    discord_gateway_url: str | None = Field(None, validation_alias=_named("DISCORD_GATEWAY_URL"))

    # concurrency
    max_turns: int = Field(64, ge=1, le=10_000, validation_alias=_named("PARLEY_MAX_TURNS"))

    # shutdown
    shutdown_seconds: float = Field(9.0, ge=2, le=3600, validation_alias=_named("PARLEY_SHUTDOWN_SECONDS"))

    # tenants
    home: Names = Field(("auto",), validation_alias=_named("PARLEY_HOME"))

    # operation
    retention_days: int | None = Field(None, ge=1, le=36_500, validation_alias=_named("PARLEY_RETENTION_DAYS"))
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", validation_alias=_named("PARLEY_LOG_LEVEL"))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        for source in (env_settings, dotenv_settings):
            # Only code sets fields by their names. Environment variables such as HOME or TIMEZONE are not settings.
            source.config = SettingsConfigDict(**{**source.config, "populate_by_name": False})
        return init_settings, env_settings, dotenv_settings

    @field_validator("fetch_allow")
    @classmethod
    def _hosts_and_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # Imported when the setting is used: the sources bring an HTTP client with them, which not every command needs.
        from knowledge.sources.fetch_allow_list import parse_entry

        for entry in value:
            parse_entry(entry)
        return value

    @field_validator("home")
    @classmethod
    def _workspaces(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        invalid = [
            name for name in value if name not in ("auto", "none") and not name.startswith(("slack:", "discord:"))
        ]
        if invalid or (len(value) > 1 and {"auto", "none"} & set(value)):
            raise ValueError("use auto, none, or workspaces such as slack:T0123,discord:4567")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("unknown time zone; use a name such as Europe/Berlin or UTC") from None
        return value

    @field_validator("database_url", "listen_database_url")
    @classmethod
    def _postgres(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            if value and not value.get_secret_value().startswith(_DATABASE_SCHEMES):
                raise ValueError
            if value:
                _passwords(value.get_secret_value())
        except ValueError:
            raise ValueError(
                "not a PostgreSQL address; use postgresql://host:5432/database, with the user and password before the "
                "host, or unset it to use the bundled server"
            ) from None
        return value

    @field_validator(
        "anthropic_base_url",
        "openai_base_url",
        "slack_api_url",
        "slack_public_url",
        "discord_api_url",
        "discord_gateway_url",
    )
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value and not value.startswith(("http://", "https://", "ws://", "wss://")):
            raise ValueError("not an address; it must start with http:// or https:// (ws:// or wss:// for the gateway)")
        return value

    @field_validator("slack_bot_token")
    @classmethod
    def _bot_token(cls, value: SecretStr | None) -> SecretStr | None:
        return _token_kind(value, "xoxb-", "the Bot User OAuth Token from 'OAuth & Permissions'")

    @field_validator("slack_app_token")
    @classmethod
    def _app_token(cls, value: SecretStr | None) -> SecretStr | None:
        return _token_kind(value, "xapp-", "the App-Level Token from 'Basic Information', with connections:write")

    @field_validator("token_keys")
    @classmethod
    def _keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for key in value:
            if not re.fullmatch(r"[A-Za-z0-9_-]{43}=", key.get_secret_value()):
                raise ValueError("not a valid key; create one with: openssl rand -base64 32 | tr '+/' '-_'")
        return value

    @model_validator(mode="after")
    def _overlap_below_half(self) -> Settings:
        if 2 * self.chunk_overlap > self.chunk_tokens:
            raise ValueError("PARLEY_CHUNK_OVERLAP is more than half of PARLEY_CHUNK_TOKENS; reduce it")
        return self

    @model_validator(mode="after")
    def _complete_oauth(self) -> Settings:
        if not (self.slack_client_id or self.slack_client_secret):
            return self
        if self.slack_bot_token or self.slack_app_token:
            raise ValueError(
                "SLACK_BOT_TOKEN is for one workspace and SLACK_CLIENT_ID for many; unset SLACK_BOT_TOKEN and "
                "SLACK_APP_TOKEN, or unset SLACK_CLIENT_ID and SLACK_CLIENT_SECRET"
            )
        needed = {
            "SLACK_CLIENT_ID": self.slack_client_id,
            "SLACK_CLIENT_SECRET": self.slack_client_secret,
            "SLACK_SIGNING_SECRET": self.slack_signing_secret,
            "PARLEY_SLACK_PUBLIC_URL": self.slack_public_url,
            "PARLEY_TOKEN_KEYS": self.token_keys,
        }
        missing = [name for name, value in needed.items() if not value]
        if missing:
            raise ValueError(f"to serve many Slack workspaces, also set {' and '.join(missing)}; see docs/slack.md")
        if len([name for name in self.home if name.startswith("slack:")]) > 1:
            raise ValueError(
                "PARLEY_HOME names several Slack workspaces; with SLACK_CLIENT_ID, only one of them can be the home"
            )
        return self

    @model_validator(mode="after")
    def _both_slack_tokens(self) -> Settings:
        if self.slack_bot_token and not (self.slack_app_token or self.slack_signing_secret):
            raise ValueError(
                "SLACK_APP_TOKEN is missing; SLACK_BOT_TOKEN needs it. Create one in Slack under 'Basic Information', "
                "or set SLACK_SIGNING_SECRET to receive events over HTTP"
            )
        if self.slack_app_token and not self.slack_bot_token:
            raise ValueError(
                "SLACK_BOT_TOKEN is missing; SLACK_APP_TOKEN needs it. Copy it from 'OAuth & Permissions' in Slack"
            )
        return self

    def tenant_of(self, workspace: str, *, alone: bool) -> str:
        """Return the tenant of ``slack:TEAM`` or ``discord:GUILD``.

        The terminal and the playground use the home tenant. PARLEY_HOME names the workspaces that belong to it.
        ``auto`` includes a workspace only if it is ``alone``: the bot is in no other workspace of that platform. So
        strangers who add the bot to their own workspace cannot read the team's documents.
        """
        at_home = workspace in self.home or (self.home == ("auto",) and alone)
        return LOCAL_TENANT if at_home else workspace

    @model_validator(mode="after")
    def _register_secrets(self) -> Settings:
        """Keep every secret of the settings out of logs and error messages."""
        secret_redaction.register(self.secrets())
        return self

    def secrets(self) -> Iterator[str]:
        """Yield the secrets that the settings hold; of the database's address, only the password."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            for one in value if isinstance(value, tuple) else (value,):
                if not isinstance(one, SecretStr):
                    continue
                secret = one.get_secret_value()
                yield from _passwords(secret) if name in ("database_url", "listen_database_url") else (secret,)

    @property
    def many_workspaces(self) -> bool:
        """Return whether Slack workspaces install the app themselves, each with its own token."""
        return self.slack_client_id is not None

    @property
    def has_slack(self) -> bool:
        """Return whether Slack is configured."""
        return self.slack_bot_token is not None or self.many_workspaces

    @property
    def fixed_tier(self) -> Tier | None:
        """Return the tier that the operator set for all questions; None if the router chooses."""
        return self.router if self.router in ("cheap", "strong") else None

    @property
    def has_model(self) -> bool:
        """Return whether a language model is configured. Without one, the extractive answerer quotes documents."""
        return bool(self.anthropic_api_key or self.openai_api_key or self.openai_base_url)


def _passwords(url: str) -> tuple[str, ...]:
    """Return the passwords in a database URL, in its user part and its query. Raises ValueError if it is malformed."""
    # Imported only where DATABASE_URL is set: the command then opens the database with SQLAlchemy anyway.
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        address = make_url(url)
    except ArgumentError as error:
        raise ValueError(str(error)) from None
    return (address.password or "", *address.normalized_query.get("password", ()))


def _token_kind(value: SecretStr | None, prefix: str, description: str) -> SecretStr | None:
    if value and not value.get_secret_value().startswith(prefix):
        raise ValueError(f"wrong kind of token: it must start with {prefix} ({description})")
    return value


def environment_name(field: str) -> str:
    """Return the environment variable of a field."""
    alias = Settings.model_fields[field].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else field


def load(**overrides: object) -> Settings:
    """Read and validate the settings. Raises ConfigError with one line: name, problem, fix."""
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from None
    _warn_of_unknown_names()
    return settings


def _one_line(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    problem = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return f"{problem}."
    name = str(first["loc"][0])
    name = environment_name(name) if name in Settings.model_fields else name
    return f"{name}: {problem[:1].lower() + problem[1:]}. Change it in the environment or in .env."


def _warn_of_unknown_names() -> None:
    existing = {environment_name(field) for field in Settings.model_fields}
    seen = {name for name in (*os.environ, *dotenv_values(".env")) if name.startswith("PARLEY_")}
    for name in sorted(seen - existing):
        similar = difflib.get_close_matches(name, existing, 1)
        hint = f"; did you mean {similar[0]}?" if similar else ""
        print(f"parley: {name} is not a setting{hint}", file=sys.stderr)  # noqa: T201
