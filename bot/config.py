"""Settings, read once from the environment and ``.env``, and validated.

An invalid setting stops the start with one line: its name, what is wrong, and how to fix it.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bot import env_file
from bot.chat_settings import ChatSettings
from bot.errors import ConfigError
from bot.setting_values import Key, Names, named, one_line, web_address
from bot.types.usage import UNLIMITED, Tier
from bot.web_settings import WebSettings
from knowledge.packaged_models import OFFLINE_MODEL
from knowledge.text import secret_redaction
from knowledge.types.documents import ChunkingMethod

_CHANGE = "Change it in the environment or in .env."
_CHANGE_ALL = "Change them in the environment or in .env."
_EXPECTED = {
    "int_parsing": "not a whole number",
    "float_parsing": "not a number",
    "bool_parsing": "neither true nor false",
}
"""What is wrong with a value, by the type of pydantic's error."""
_DATABASE_ADDRESSES = ("database_url", "listen_database_url", "search_database_url")
_DATABASE_SCHEMES = ("postgresql://", "postgres://", "postgresql+psycopg://")


def _tokens(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.strip().lower() == "unlimited":
        return 0
    if not value.strip().lstrip("+-").isdecimal():
        raise ValueError("neither a whole number of tokens a day nor unlimited")
    return value


Seconds = Annotated[float, Field(gt=0, le=86_400)]
DailyTokens = Annotated[int, BeforeValidator(_tokens), Field(ge=0, le=UNLIMITED)]
"""Tokens a day; 0 and ``unlimited`` mean no limit."""


class Settings(WebSettings, ChatSettings):
    """All settings of Parley. A field's alias is its name in the environment."""

    model_config = SettingsConfigDict(
        env_file=env_file.ENV_FILE,
        env_file_encoding=env_file.ENCODING,
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    # storage
    database_url: SecretStr | None = Field(None, validation_alias=named("DATABASE_URL"))
    listen_database_url: SecretStr | None = Field(None, validation_alias=named("PARLEY_LISTEN_DATABASE_URL"))
    search_database_url: SecretStr | None = Field(None, validation_alias=named("PARLEY_SEARCH_DATABASE_URL"))
    data_dir: Path = Field(Path(".parley"), validation_alias=named("PARLEY_DATA_DIR"))

    # models
    anthropic_api_key: Key | None = Field(None, validation_alias=named("ANTHROPIC_API_KEY"))
    anthropic_base_url: str | None = Field(None, validation_alias=named("ANTHROPIC_BASE_URL"))
    openai_api_key: Key | None = Field(None, validation_alias=named("OPENAI_API_KEY"))
    openai_base_url: str | None = Field(None, validation_alias=named("OPENAI_BASE_URL"))
    cheap_model: str | None = Field(None, validation_alias=named("PARLEY_CHEAP_MODEL"))
    strong_model: str | None = Field(None, validation_alias=named("PARLEY_STRONG_MODEL"))
    router: Literal["local", "model", "cheap", "strong"] = Field("local", validation_alias=named("PARLEY_ROUTER"))
    strong_share: float = Field(0.5, ge=0, le=1, validation_alias=named("PARLEY_STRONG_SHARE"))
    prices_file: Path | None = Field(None, validation_alias=named("PARLEY_PRICES_FILE"))
    answer_tokens: int = Field(1000, ge=50, le=32_000, validation_alias=named("PARLEY_ANSWER_TOKENS"))
    prompt_tokens: int = Field(8000, ge=2000, le=500_000, validation_alias=named("PARLEY_PROMPT_TOKENS"))

    judge_share: float = Field(0.0, ge=0, le=1, validation_alias=named("PARLEY_JUDGE_SHARE"))
    judge_model: str | None = Field(None, validation_alias=named("PARLEY_JUDGE_MODEL"))
    judge_daily_tokens: DailyTokens = Field(200_000, validation_alias=named("PARLEY_JUDGE_DAILY_TOKENS"))

    # timeouts of model providers, in seconds
    connect_timeout: Seconds = Field(5.0, validation_alias=named("PARLEY_CONNECT_TIMEOUT"))
    first_token_timeout: Seconds = Field(30.0, validation_alias=named("PARLEY_FIRST_TOKEN_TIMEOUT"))
    idle_timeout: Seconds = Field(20.0, validation_alias=named("PARLEY_IDLE_TIMEOUT"))
    total_timeout: Seconds = Field(120.0, validation_alias=named("PARLEY_TOTAL_TIMEOUT"))

    # knowledge
    embedding_model: str = Field(OFFLINE_MODEL, validation_alias=named("PARLEY_EMBEDDING_MODEL"))
    reranker: str = Field("auto", validation_alias=named("PARLEY_RERANKER"))
    embedding_dimensions: int | None = Field(None, ge=8, le=4000, validation_alias=named("PARLEY_EMBEDDING_DIMENSIONS"))
    chunking: ChunkingMethod = Field("packed", validation_alias=named("PARLEY_CHUNKING"))
    chunk_tokens: int = Field(256, ge=32, le=8000, validation_alias=named("PARLEY_CHUNK_TOKENS"))
    chunk_overlap: int = Field(0, ge=0, le=4000, validation_alias=named("PARLEY_CHUNK_OVERLAP"))
    passages: int = Field(5, ge=1, le=20, validation_alias=named("PARLEY_PASSAGES"))
    fetch_allow: Names = Field((), validation_alias=named("PARLEY_FETCH_ALLOW"))
    render: Literal["", "chromium"] = Field("", validation_alias=named("PARLEY_RENDER"))
    refresh_hours: float = Field(24.0, ge=0, le=8760, validation_alias=named("PARLEY_REFRESH_HOURS"))
    tenant_documents: Literal["admins", "members"] = Field("admins", validation_alias=named("PARLEY_TENANT_DOCUMENTS"))
    gone_days: float = Field(7.0, ge=0, le=3650, validation_alias=named("PARLEY_GONE_DAYS"))
    max_unpacked_mb: int = Field(300, ge=1, le=100_000, validation_alias=named("PARLEY_MAX_UNPACKED_MB"))
    daily_upload_mb: int = Field(500, ge=0, le=1_000_000, validation_alias=named("PARLEY_DAILY_UPLOAD_MB"))
    daily_documents: int = Field(5000, ge=0, le=1_000_000_000, validation_alias=named("PARLEY_DAILY_DOCUMENTS"))
    max_file_mb: int = Field(50, ge=1, le=2000, validation_alias=named("PARLEY_MAX_FILE_MB"))

    # users and limits
    daily_tokens: DailyTokens = Field(200_000, validation_alias=named("PARLEY_DAILY_TOKENS"))
    channel_daily_tokens: DailyTokens = Field(0, validation_alias=named("PARLEY_CHANNEL_DAILY_TOKENS"))
    tenant_daily_tokens: DailyTokens = Field(0, validation_alias=named("PARLEY_TENANT_DAILY_TOKENS"))
    count_free: bool = Field(False, validation_alias=named("PARLEY_COUNT_FREE"))
    timezone: str = Field("UTC", validation_alias=named("PARLEY_TIMEZONE"))
    admins: Names = Field((), validation_alias=named("PARLEY_ADMINS"))
    compression: bool = Field(False, validation_alias=named("PARLEY_COMPRESSION"))
    cache_shadow: float = Field(0.05, ge=0, le=1, validation_alias=named("PARLEY_CACHE_SHADOW"))
    answer_cache_hours: float = Field(1.0, ge=0, le=8760, validation_alias=named("PARLEY_ANSWER_CACHE_HOURS"))
    answer_cache_stable_hours: float = Field(
        24.0, ge=0, le=8760, validation_alias=named("PARLEY_ANSWER_CACHE_STABLE_HOURS")
    )
    verified_days: int = Field(180, ge=0, le=36_500, validation_alias=named("PARLEY_VERIFIED_DAYS"))
    max_question_chars: int = Field(20_000, ge=100, le=1_000_000, validation_alias=named("PARLEY_MAX_QUESTION_CHARS"))

    # concurrency
    max_turns: int = Field(64, ge=1, le=10_000, validation_alias=named("PARLEY_MAX_TURNS"))

    # shutdown
    shutdown_seconds: float = Field(9.0, ge=2, le=3600, validation_alias=named("PARLEY_SHUTDOWN_SECONDS"))

    # operation
    retention_days: int | None = Field(None, ge=1, le=36_500, validation_alias=named("PARLEY_RETENTION_DAYS"))
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", validation_alias=named("PARLEY_LOG_LEVEL"))
    log_format: Literal["console", "json"] = Field("console", validation_alias=named("PARLEY_LOG_FORMAT"))
    log_content: bool = Field(False, validation_alias=named("PARLEY_LOG_CONTENT"))
    otel_endpoint: str | None = Field(None, validation_alias=named("OTEL_EXPORTER_OTLP_ENDPOINT"))
    otel_headers: SecretStr | None = Field(None, validation_alias=named("OTEL_EXPORTER_OTLP_HEADERS"))

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

    @model_validator(mode="after")
    def _judge(self) -> Settings:
        if self.judge_share and not self.judge_model:
            raise ValueError("PARLEY_JUDGE_SHARE needs PARLEY_JUDGE_MODEL: name a model of another family")
        return self

    @field_validator("*", mode="before")
    @classmethod
    def _one_line(cls, value: object) -> object:
        return one_line(value)

    @field_validator("fetch_allow")
    @classmethod
    def _hosts_and_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # Imported when the setting is used: the sources bring an HTTP client with them, which not every command needs.
        from knowledge.sources.fetch_allow_list import parse_entry

        for entry in value:
            parse_entry(entry)
        return value

    @field_validator("render")
    @classmethod
    def _installed(cls, value: str) -> str:
        if not value:
            return value
        # Imported when the setting is used: the renderer brings an HTTP client with it.
        from knowledge.sources.page_rendering import find_chromium

        if find_chromium() is None:
            raise ValueError("Chromium is not installed. Install the package chromium, or remove the setting")
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
            raise ValueError("unknown time zone. Use a name such as Europe/Berlin or UTC") from None
        return value

    @field_validator("data_dir", "prices_file")
    @classmethod
    def _known_home(cls, value: Path | None) -> Path | None:
        try:
            return value and value.expanduser()
        except RuntimeError:
            raise ValueError("the home folder that ~ names is unknown. Write the whole path") from None

    @field_validator(*_DATABASE_ADDRESSES)
    @classmethod
    def _postgres(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            if value and not value.get_secret_value().startswith(_DATABASE_SCHEMES):
                raise ValueError
            if value:
                _passwords(value.get_secret_value())
        except ValueError:
            raise ValueError(
                "not a PostgreSQL address. Use postgresql://host:5432/database, with the user and password before the "
                "host, or unset it to use the bundled server"
            ) from None
        return value

    @field_validator("anthropic_base_url", "openai_base_url", "otel_endpoint")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return web_address(value, "It must start with http:// or https:// and name a host")

    @model_validator(mode="after")
    def _overlap_below_half(self) -> Settings:
        if 2 * self.chunk_overlap > self.chunk_tokens:
            raise ValueError("PARLEY_CHUNK_OVERLAP is more than half of PARLEY_CHUNK_TOKENS. Reduce it")
        return self

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
                yield from _passwords(secret) if name in _DATABASE_ADDRESSES else (secret,)

    @property
    def fixed_tier(self) -> Tier | None:
        """Return the tier that the operator set for all questions; None if the router chooses."""
        return self.router if self.router in ("cheap", "strong") else None

    @property
    def refresh_seconds(self) -> int:
        """Return the seconds between two readings of a source without an interval of its own; 0 for never."""
        return int(self.refresh_hours * 3600)

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


def environment_name(field: str) -> str:
    """Return the environment variable of a field."""
    alias = Settings.model_fields[field].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else field


def load(**overrides: object) -> Settings:
    """Read and validate the settings. Raises ConfigError with one line: each name with its problem, and the fix."""
    in_file = env_file.names()
    for name in sorted({environment_name(field) for field in Settings.model_fields} & os.environ.keys()):
        # Python keeps bytes that are not UTF-8 as surrogates, which neither a database nor a network accepts.
        if any("\ud800" <= character <= "\udfff" for character in os.environ[name]):
            raise ConfigError(f"{name}: not UTF-8. {_CHANGE}")
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from None
    _warn_of_unknown_names(in_file)
    return settings


def _one_line(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    named, general = [], []
    for detail in details:
        problem = _EXPECTED.get(detail["type"]) or detail["msg"].removeprefix("Value error, ")
        if not detail["loc"]:
            general.append(f"{problem[:1].upper()}{problem[1:]}.")
            continue
        name = str(detail["loc"][0])
        name = environment_name(name) if name in Settings.model_fields else name
        named.append(f"{name}: {problem[:1].lower() + problem[1:]}.")
    change = [_CHANGE if len(named) == 1 else _CHANGE_ALL] if named else []
    return " ".join([*general, *named, *change])


def _warn_of_unknown_names(in_file: set[str]) -> None:
    existing = {environment_name(field) for field in Settings.model_fields}
    seen = {name for name in (*os.environ, *in_file) if name.startswith("PARLEY_")}
    for name in sorted(seen - existing):
        similar = difflib.get_close_matches(name, existing, 1)
        hint = f". Did you mean {similar[0]}?" if similar else ""
        print(f"parley: {name} is not a setting{hint}", file=sys.stderr)  # noqa: T201
