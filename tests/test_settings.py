"""Tests that settings are documented with their defaults, and that errors name the setting and the fix."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

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
        ({"PARLEY_WEB_TOKEN": "short"}, "PARLEY_WEB_TOKEN: shorter than 16 characters. Create one with: openssl"),
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


NUMBERS = sorted(
    environment_name(name)
    for name, field in Settings.model_fields.items()
    if {int, float} & {field.annotation, *get_args(field.annotation)}
)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["1" * 30, "inf", "-inf", "nan", "-1", "1e400"])
def test_a_number_out_of_range_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"^{name}: .*Change it") as refused:
        load()
    assert "\n" not in str(refused.value)


NAMES = sorted(environment_name(name) for name in Settings.model_fields)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["  ", "\t", "a\nb", "a\r", "\x1b[31ma", "a\x85b", "a\u2028b", "\u202ea", "a\x7f"])
def test_a_blank_or_control_character_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=rf"^{name}: .*\.$") as refused:
        load()
    assert str(refused.value).isprintable()


def test_spaces_around_a_value_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", " sk-1234 ")
    monkeypatch.setenv("PARLEY_CHEAP_MODEL", " small ")
    made = load()
    assert made.openai_api_key is not None
    assert (made.openai_api_key.get_secret_value(), made.cheap_model) == ("sk-1234", "small")


SENT_IN_HEADERS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "DISCORD_TOKEN")


@pytest.mark.parametrize("name", SENT_IN_HEADERS)
@pytest.mark.parametrize("value", ["“xoxb-1”", "xoxb-1 2", "xoxb-ключ"])
def test_a_key_that_no_request_can_carry_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=rf"^{name}: ") as refused:
        load()
    assert value not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PARLEY_HOME", ","),
        ("PARLEY_DATA_DIR", "~nosuch/x"),
        ("PARLEY_SLACK_WORKSPACES", "acme"),
        ("PARLEY_SLACK_WORKSPACES", "T1,slack:T2"),
    ],
)
def test_a_value_that_can_match_nothing_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=rf"^{name}: "):
        load()


def test_no_limit_is_written_as_a_word_or_as_0(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PARLEY_DAILY_TOKENS", "PARLEY_CHANNEL_DAILY_TOKENS", "PARLEY_TENANT_DAILY_TOKENS"):
        monkeypatch.setenv(name, "Unlimited")
    made = load()
    assert (made.daily_tokens, made.channel_daily_tokens, made.tenant_daily_tokens) == (0, 0, 0)
    monkeypatch.setenv("PARLEY_DAILY_TOKENS", "0")
    assert load() == made


HTTP_ADDRESSES = (
    "ANTHROPIC_BASE_URL",
    "OPENAI_BASE_URL",
    "SLACK_API_URL",
    "PARLEY_SLACK_PUBLIC_URL",
    "DISCORD_API_URL",
    "PARLEY_OIDC_ISSUER",
)


@pytest.mark.parametrize("name", HTTP_ADDRESSES)
@pytest.mark.parametrize(
    "value", ["wss://host/v1", "https://", "https:///v1", "https://host:99999", "https://ho st", "http://[::1"]
)
def test_a_malformed_web_address_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"^{name}: not a web address. "):
        load()


@pytest.mark.parametrize("value", ["https://gateway", "wss://", "wss://host:x"])
def test_a_malformed_gateway_address_stops_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DISCORD_GATEWAY_URL", value)
    with pytest.raises(ConfigError, match=r"^DISCORD_GATEWAY_URL: not a gateway's address. .*wss://"):
        load()


@pytest.mark.parametrize("name", ["PARLEY_WEB_HOST", "PARLEY_SLACK_HTTP_HOST"])
@pytest.mark.parametrize("value", ["http://127.0.0.1", "127.0.0.1:80", "10.0.0.0/33", "a b"])
def test_a_malformed_host_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"^{name}: not a host. "):
        load()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"# caf\xe9\nPARLEY_PASSAGES=5\n", "line 1 is not UTF-8"),
        (b"PARLEY_PASSAGES=5\r\nPARLEY_ADMINS=\xff\n", "line 2 is not UTF-8"),
        (b"PARLEY_PASSAGES=5\n\n\nPARLEY_ADMINS='U1\n", "line 4 is malformed"),
        (b"PARLEY_PASSAGES=5\n\nPARLEY_ADMINS\n", "line 3 is malformed"),
        (b"PARLEY_PASSAGES: 5\n", "line 1 is malformed"),
        (b"PARLEY_ADMINS=U1\x00\n", "line 1 is malformed"),
    ],
)
def test_a_wrong_line_of_the_env_file_stops_the_start(content: bytes, problem: str) -> None:
    Path(".env").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^\.env: {problem}.*\.") as refused:
        load()
    assert "\n" not in str(refused.value)
    assert "U1" not in str(refused.value), "a line may hold a secret"


def test_an_unreadable_env_file_stops_the_start() -> None:
    Path(".env").symlink_to(".env")
    with pytest.raises(ConfigError, match=r"^\.env cannot be read"):
        load()
    Path(".env").unlink()
    Path(".env").mkdir()
    with pytest.raises(ConfigError, match=r"^\.env cannot be read"):
        load()


def test_the_env_file_may_have_a_byte_order_mark_comments_and_exports() -> None:
    Path(".env").write_bytes(b"\xef\xbb\xbfPARLEY_PASSAGES=7\r\n\r\n# a comment\r\nexport PARLEY_ADMINS=U1 # boss\r\n")
    assert (load().passages, load().admins) == (7, ("U1",))


def test_a_value_that_is_not_text_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_EMBEDDING_MODEL", "mod\udcffel")
    with pytest.raises(ConfigError, match=r"^PARLEY_EMBEDDING_MODEL: not UTF-8"):
        load()


@pytest.mark.parametrize("value", ["acme", "slack:", "discord: ", "auto,slack:T1"])
def test_a_malformed_home_stops_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("PARLEY_HOME", value)
    with pytest.raises(ConfigError, match=r"^PARLEY_HOME: use auto, none, or workspaces"):
        load()
