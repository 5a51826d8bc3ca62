"""Settings of the web part: where it and the probes listen, its public URL, and how people sign in."""

from __future__ import annotations

import ipaddress
import re
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from bot.setting_values import Names, host_name, named, web_address

MIN_TOKEN_CHARS = 16
_PUBLIC_URL = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?(/[\w.~-]+)*/?|https?://\[[0-9a-f:]+\](:\d{1,5})?/?", re.I)
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")


class WebSettings(BaseSettings):
    """The part of ``Settings`` that the web part reads."""

    web_host: str = Field("127.0.0.1", validation_alias=named("PARLEY_WEB_HOST"))
    web_url: str | None = Field(None, validation_alias=named("PARLEY_WEB_URL"))
    web_token: SecretStr | None = Field(None, validation_alias=named("PARLEY_WEB_TOKEN"))
    web_session_hours: float = Field(12.0, gt=0, le=720, validation_alias=named("PARLEY_WEB_SESSION_HOURS"))
    web_admin_groups: Names = Field((), validation_alias=named("PARLEY_WEB_ADMIN_GROUPS"))
    web_member_groups: Names = Field((), validation_alias=named("PARLEY_WEB_MEMBER_GROUPS"))
    web_proxy_header: str | None = Field(None, validation_alias=named("PARLEY_WEB_PROXY_HEADER"))
    web_proxy_groups_header: str | None = Field(None, validation_alias=named("PARLEY_WEB_PROXY_GROUPS_HEADER"))
    web_trusted_proxies: Names = Field((), validation_alias=named("PARLEY_WEB_TRUSTED_PROXIES"))
    metrics_host: str = Field("127.0.0.1", validation_alias=named("PARLEY_METRICS_HOST"))
    metrics_port: int | None = Field(None, ge=1, le=65_535, validation_alias=named("PARLEY_METRICS_PORT"))
    oidc_issuer: str | None = Field(None, validation_alias=named("PARLEY_OIDC_ISSUER"))
    oidc_client_id: str | None = Field(None, validation_alias=named("PARLEY_OIDC_CLIENT_ID"))
    oidc_client_secret: SecretStr | None = Field(None, validation_alias=named("PARLEY_OIDC_CLIENT_SECRET"))
    oidc_scopes: str = Field("openid profile email", validation_alias=named("PARLEY_OIDC_SCOPES"))
    oidc_groups_claim: str = Field("groups", validation_alias=named("PARLEY_OIDC_GROUPS_CLAIM"))

    @field_validator("web_url")
    @classmethod
    def _public_url(cls, value: str | None) -> str | None:
        if value and (not _PUBLIC_URL.fullmatch(value) or ".." in value):
            raise ValueError("not a web address. Use https://HOST or https://HOST/PREFIX, without a query")
        return value

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer(cls, value: str | None) -> str | None:
        return web_address(value, "Copy the issuer from your provider, such as https://login.example.com")

    @field_validator("web_host", "metrics_host")
    @classmethod
    def _host_to_listen_on(cls, value: str) -> str:
        return host_name(value)

    @field_validator("oidc_scopes")
    @classmethod
    def _openid_scope(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError("the scope openid is missing. Use at least: openid profile")
        return value

    @field_validator("web_token")
    @classmethod
    def _long_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value and len(value.get_secret_value()) < MIN_TOKEN_CHARS:
            raise ValueError(f"shorter than {MIN_TOKEN_CHARS} characters. Create one with: openssl rand -hex 32")
        return value

    @field_validator("web_trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for part in value:
            try:
                ipaddress.ip_network(part, strict=False)
            except ValueError:
                raise ValueError(f"{part} is not an address or network. Use 10.0.0.5 or 10.0.0.0/24") from None
        return value

    @field_validator("web_proxy_header", "web_proxy_groups_header")
    @classmethod
    def _header(cls, value: str | None) -> str | None:
        if value and not _HEADER_NAME.fullmatch(value):
            raise ValueError("not the name of a header. Use a name such as X-Forwarded-User")
        return value

    @model_validator(mode="after")
    def _complete_oidc(self) -> Self:
        needed = {
            "PARLEY_OIDC_ISSUER": self.oidc_issuer,
            "PARLEY_OIDC_CLIENT_ID": self.oidc_client_id,
            "PARLEY_OIDC_CLIENT_SECRET": self.oidc_client_secret,
        }
        if not any(needed.values()):
            return self
        missing = [name for name, value in {**needed, "PARLEY_WEB_URL": self.web_url}.items() if not value]
        if missing:
            raise ValueError(
                f"to sign in with OpenID Connect, also set {' and '.join(missing)}. See docs/web-access.md"
            )
        return self._with_groups("OpenID Connect")

    @model_validator(mode="after")
    def _complete_proxy_header(self) -> Self:
        if self.web_proxy_groups_header and not self.web_proxy_header:
            raise ValueError("PARLEY_WEB_PROXY_GROUPS_HEADER needs PARLEY_WEB_PROXY_HEADER. See docs/web-access.md")
        if not self.web_proxy_header:
            return self
        if not self.web_trusted_proxies:
            raise ValueError(
                "PARLEY_WEB_PROXY_HEADER needs PARLEY_WEB_TRUSTED_PROXIES, the addresses of your proxy. "
                "See docs/web-access.md"
            )
        return self._with_groups("the proxy's header")

    def _with_groups(self, sign_in: str) -> Self:
        """Raise ValueError if nobody could sign in because no group may."""
        if not (self.web_admin_groups or self.web_member_groups):
            raise ValueError(
                f"to sign in with {sign_in}, also set PARLEY_WEB_ADMIN_GROUPS or PARLEY_WEB_MEMBER_GROUPS. "
                "As a member group, * admits everyone whom the provider or proxy has signed in"
            )
        if "*" in self.web_admin_groups:
            raise ValueError("PARLEY_WEB_ADMIN_GROUPS cannot be *. Name the groups whose members are admins")
        return self

    @property
    def has_web_sign_in(self) -> bool:
        """Return whether people must sign in to the web part."""
        return bool(self.web_token or self.oidc_issuer or self.web_proxy_header)
