"""Tests that settings are documented with their defaults, and that errors name the setting and the fix."""

from __future__ import annotations

from pathlib import Path

import pytest
from dotenv import dotenv_values

from bot.config import Settings, environment_name, load
from bot.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(environment_name(field), raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_example_lists_every_setting_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    documented = dotenv_values(ROOT / ".env.example")
    assert set(documented) == {environment_name(field) for field in Settings.model_fields}
    defaults = load()
    for name, value in documented.items():
        monkeypatch.setenv(name, value or "")
    assert load() == defaults


def test_env_file_in_the_current_folder_is_read_and_the_environment_overrides_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text("PARLEY_DAILY_TOKENS=5\nPARLEY_ADMINS=U1, U2\n")
    assert (load().daily_tokens, load().admins) == (5, ("U1", "U2"))
    monkeypatch.setenv("PARLEY_DAILY_TOKENS", "6")
    assert load().daily_tokens == 6


def test_secrets_are_not_in_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-very-secret")
    assert "sk-very-secret" not in repr(load())


def test_an_incomplete_slack_configuration_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1")
    with pytest.raises(ConfigError, match="SLACK_APP_TOKEN is missing"):
        load()


@pytest.mark.parametrize(
    ("home", "workspace", "alone", "tenant"),
    [
        ("auto", "slack:T1", True, "local"),
        ("auto", "discord:G1", False, "discord:G1"),
        ("none", "slack:T1", True, "slack:T1"),
        ("slack:T1,discord:G2", "slack:T1", False, "local"),
        ("slack:T1,discord:G2", "discord:G1", True, "discord:G1"),
    ],
)
def test_home_decides_the_tenant_of_a_workspace(
    monkeypatch: pytest.MonkeyPatch, home: str, workspace: str, alone: bool, tenant: str
) -> None:
    monkeypatch.setenv("PARLEY_HOME", home)
    assert load().tenant_of(workspace, alone=alone) == tenant


LONG_TOKEN = "0123456789abcdef"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"PARLEY_WEB_TOKEN": "short"}, "PARLEY_WEB_TOKEN: shorter than 16 characters; create one with: openssl"),
        ({"PARLEY_WEB_URL": "parley.example"}, "PARLEY_WEB_URL: not a web address"),
        ({"PARLEY_WEB_URL": "https://parley.example/../x"}, "PARLEY_WEB_URL: not a web address"),
        ({"PARLEY_WEB_URL": "https://parley.example/?x=1"}, "PARLEY_WEB_URL: not a web address"),
        ({"PARLEY_WEB_URL": "https://user@parley.example"}, "PARLEY_WEB_URL: not a web address"),
        ({"PARLEY_OIDC_ISSUER": "https://login.example"}, "also set PARLEY_OIDC_CLIENT_ID and .* and PARLEY_WEB_URL"),
        ({"PARLEY_OIDC_SCOPES": "profile"}, "the scope openid is missing"),
        ({"PARLEY_WEB_PROXY_HEADER": "X-User"}, "PARLEY_WEB_PROXY_HEADER needs PARLEY_WEB_TRUSTED_PROXIES"),
        ({"PARLEY_WEB_PROXY_HEADER": "X User"}, "PARLEY_WEB_PROXY_HEADER: not the name of a header"),
        ({"PARLEY_WEB_PROXY_GROUPS_HEADER": "X-Groups"}, "needs PARLEY_WEB_PROXY_HEADER"),
        ({"PARLEY_WEB_TRUSTED_PROXIES": "10.0.0.0/24,proxy"}, "proxy is not an address or network"),
        (
            {"PARLEY_WEB_PROXY_HEADER": "X-User", "PARLEY_WEB_TRUSTED_PROXIES": "10.0.0.1"},
            "also set PARLEY_WEB_ADMIN_GROUPS or PARLEY_WEB_MEMBER_GROUPS",
        ),
        (
            {
                "PARLEY_WEB_PROXY_HEADER": "X-User",
                "PARLEY_WEB_TRUSTED_PROXIES": "10.0.0.1",
                "PARLEY_WEB_ADMIN_GROUPS": "*",
            },
            "PARLEY_WEB_ADMIN_GROUPS cannot be \\*",
        ),
    ],
)
def test_a_wrong_sign_in_setting_gets_one_line(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], problem: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=problem) as error:
        load()
    assert "\n" not in str(error.value)


def test_each_kind_of_sign_in_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not load().has_web_sign_in
    assert load(web_token=LONG_TOKEN).has_web_sign_in
    monkeypatch.setenv("PARLEY_WEB_PROXY_HEADER", "X-User")
    monkeypatch.setenv("PARLEY_WEB_TRUSTED_PROXIES", "10.0.0.0/24, ::1")
    monkeypatch.setenv("PARLEY_WEB_MEMBER_GROUPS", "*")
    assert load().has_web_sign_in
    assert load().web_trusted_proxies == ("10.0.0.0/24", "::1")


@pytest.mark.parametrize("entry", ["*", "10.1.*.evil", "wiki.*", "http://wiki.corp", "10.0.0.0/99", "wiki.corp:80"])
def test_bad_entry_of_hosts_to_fetch_stops_the_start(monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    monkeypatch.setenv("PARLEY_FETCH_ALLOW", f"wiki.corp, {entry}")
    with pytest.raises(ConfigError) as refused:
        load()
    text = str(refused.value)
    assert text.startswith(f"PARLEY_FETCH_ALLOW: {entry} ")
    assert "such as" in text
    assert "\n" not in text


def test_hosts_networks_and_patterns_of_addresses_to_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_FETCH_ALLOW", "wiki.corp, *.corp, 10.1.*, 10.0.0.0/8, ::1, localhost")
    assert load().fetch_allow == ("wiki.corp", "*.corp", "10.1.*", "10.0.0.0/8", "::1", "localhost")
