"""Settings of Slack and Discord: tokens, addresses, and the workspaces that share the terminal's tenant."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

from bot.setting_values import Key, Names, comma_separated, host_name, is_address, named, web_address
from bot.types.conversation import LOCAL_TENANT

_WORKSPACE = re.compile(r"(slack|discord):\w+")
_SLACK_ID = re.compile(r"[TE][A-Z0-9]+")


class ChatSettings(BaseSettings):
    """The part of ``Settings`` that Slack and Discord read."""

    slack_bot_token: Key | None = Field(None, validation_alias=named("SLACK_BOT_TOKEN"))
    slack_app_token: Key | None = Field(None, validation_alias=named("SLACK_APP_TOKEN"))
    slack_signing_secret: SecretStr | None = Field(None, validation_alias=named("SLACK_SIGNING_SECRET"))
    slack_http_host: str = Field("127.0.0.1", validation_alias=named("PARLEY_SLACK_HTTP_HOST"))
    slack_http_port: int = Field(3000, ge=1, le=65_535, validation_alias=named("PARLEY_SLACK_HTTP_PORT"))
    slack_public_url: str | None = Field(None, validation_alias=named("PARLEY_SLACK_PUBLIC_URL"))
    slack_api_url: str | None = Field(None, validation_alias=named("SLACK_API_URL"))
    slack_streaming: Literal["everywhere", "direct", "off"] = Field(
        "everywhere", validation_alias=named("PARLEY_SLACK_STREAMING")
    )
    slack_client_id: str | None = Field(None, validation_alias=named("SLACK_CLIENT_ID"))
    slack_client_secret: SecretStr | None = Field(None, validation_alias=named("SLACK_CLIENT_SECRET"))
    slack_workspaces: Names = Field((), validation_alias=named("PARLEY_SLACK_WORKSPACES"))
    token_keys: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(comma_separated)] = Field(
        (), validation_alias=named("PARLEY_TOKEN_KEYS")
    )
    discord_token: Key | None = Field(None, validation_alias=named("DISCORD_TOKEN"))
    discord_api_url: str | None = Field(None, validation_alias=named("DISCORD_API_URL"))
    discord_gateway_url: str | None = Field(None, validation_alias=named("DISCORD_GATEWAY_URL"))

    save_emoji: Names = Field(("🔖", "bookmark"), validation_alias=named("PARLEY_SAVE_EMOJI"))
    home: Names = Field(("auto",), validation_alias=named("PARLEY_HOME"))

    @field_validator("home")
    @classmethod
    def _workspaces(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        invalid = [name for name in value if name not in ("auto", "none") and not _WORKSPACE.fullmatch(name)]
        if invalid or not value or (len(value) > 1 and {"auto", "none"} & set(value)):
            raise ValueError("use auto, none, or workspaces such as slack:T0123,discord:4567")
        return value

    @field_validator("slack_workspaces")
    @classmethod
    def _workspace_ids(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for workspace in value:
            if not _SLACK_ID.fullmatch(workspace):
                raise ValueError(f"{workspace} is not the ID of a workspace. Use IDs such as T0123,E0456")
        return value

    @field_validator("slack_api_url", "slack_public_url", "discord_api_url")
    @classmethod
    def _chat_address(cls, value: str | None) -> str | None:
        return web_address(value, "It must start with http:// or https:// and name a host")

    @field_validator("discord_gateway_url")
    @classmethod
    def _gateway_address(cls, value: str | None) -> str | None:
        if value and not is_address(value, ("ws", "wss")):
            raise ValueError("not a gateway's address. It must start with ws:// or wss:// and name a host")
        return value

    @field_validator("slack_http_host")
    @classmethod
    def _host(cls, value: str) -> str:
        return host_name(value)

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
                raise ValueError("not a valid key. Create one with: openssl rand -base64 32 | tr '+/' '-_'")
        return value

    @model_validator(mode="after")
    def _complete_oauth(self) -> Self:
        if not (self.slack_client_id or self.slack_client_secret):
            return self
        if self.slack_bot_token or self.slack_app_token:
            raise ValueError(
                "SLACK_BOT_TOKEN is for one workspace and SLACK_CLIENT_ID for many. Unset SLACK_BOT_TOKEN and "
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
            raise ValueError(f"to serve many Slack workspaces, also set {' and '.join(missing)}. See docs/slack.md")
        if len([name for name in self.home if name.startswith("slack:")]) > 1:
            raise ValueError(
                "PARLEY_HOME names several Slack workspaces. With SLACK_CLIENT_ID, only one of them can be the home"
            )
        return self

    @model_validator(mode="after")
    def _both_slack_tokens(self) -> Self:
        if self.slack_bot_token and not (self.slack_app_token or self.slack_signing_secret):
            raise ValueError(
                "SLACK_APP_TOKEN is missing, although SLACK_BOT_TOKEN is set. Create one in Slack under "
                "'Basic Information', or set SLACK_SIGNING_SECRET to receive events over HTTP"
            )
        if self.slack_app_token and not self.slack_bot_token:
            raise ValueError(
                "SLACK_BOT_TOKEN is missing, although SLACK_APP_TOKEN is set. Copy it from "
                "'OAuth & Permissions' in Slack"
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

    @property
    def many_workspaces(self) -> bool:
        """Return whether Slack workspaces install the app themselves, each with its own token."""
        return self.slack_client_id is not None

    @property
    def has_slack(self) -> bool:
        """Return whether Slack is configured."""
        return self.slack_bot_token is not None or self.many_workspaces


def _token_kind(value: SecretStr | None, prefix: str, description: str) -> SecretStr | None:
    if value and not value.get_secret_value().startswith(prefix):
        raise ValueError(f"wrong kind of token: it must start with {prefix} ({description})")
    return value
