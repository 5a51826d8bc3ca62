"""Tests the sign-in with OpenID Connect against a provider library, over real sockets, and what it must refuse."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from bot.config import Settings
from bot.platforms.web.diagnostics import check
from bot.platforms.web.sign_in.openid_connect import group_names, read_claim
from tests.web.conftest import Running
from tests.web.openid_provider import CLIENT_ID, CLIENT_SECRET, Claims, OpenIdProvider, new_key, providing
from tests.web.serving import free_port, serving, settings_with

QUESTION = {"thread": "thread-0001", "id": "m1", "text": "What is the limit?", "name": "Somebody else"}


@dataclass
class Site:
    """A page, its provider, and a browser without a session."""

    page: Running
    provider: OpenIdProvider
    http: aiohttp.ClientSession
    settings: Settings

    async def go_to_provider(self) -> str:
        """Start a sign-in and return the provider's URL."""
        async with self.http.get("/oidc-login", allow_redirects=False) as response:
            assert response.status == 303, await response.text()
            return response.headers["Location"]

    async def come_back(self, url: str, person: str) -> str:
        """Sign a person in at the provider and return the callback's path with its query."""
        async with self.http.get(f"{url}&as={person}", allow_redirects=False) as response:
            assert response.status == 302, await response.text()
            back = urlsplit(response.headers["Location"])
            return f"{back.path}?{back.query}"

    async def finish(self, callback: str) -> tuple[int, str]:
        """Open the callback and return its status and text."""
        async with self.http.get(callback, allow_redirects=False) as response:
            return response.status, await response.text()

    async def sign_in(self, person: str) -> tuple[int, str]:
        """Go the whole way."""
        return await self.finish(await self.come_back(await self.go_to_provider(), person))

    async def is_signed_in(self) -> bool:
        async with self.http.get("/api/state") as response:
            return response.status == 200


@asynccontextmanager
async def _site(folder: Path, port: int = 0, **provider_values: Any) -> AsyncIterator[Site]:
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(providing(f"{url}/oidc-callback", **provider_values))
        settings = settings_with(
            folder,
            web_url=url,
            oidc_issuer=provider.issuer,
            oidc_client_id=CLIENT_ID,
            oidc_client_secret=CLIENT_SECRET,
            web_admin_groups=("parley-admins",),
            web_member_groups=("staff",),
        )
        page = await stack.enter_async_context(serving(settings, port=port))
        jar = aiohttp.CookieJar(unsafe=True)
        http = await stack.enter_async_context(aiohttp.ClientSession(page.address, cookie_jar=jar))
        yield Site(page, provider, http, settings)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with _site(tmp_path) as running:
        yield running


# --- who gets in


@pytest.mark.parametrize("in_id_token", [(), ("groups",), ("groups", "name")])
@pytest.mark.parametrize(
    ("person", "user_id", "name", "is_admin"),
    [("ann", "oidc:sub-ann", "Ann Example", True), ("ben", "oidc:sub-ben", "Ben <b>Example</b>", False)],
)
async def test_groups_decide_the_role(
    tmp_path: Path, in_id_token: tuple[str, ...], person: str, user_id: str, name: str, is_admin: bool
) -> None:
    async with _site(tmp_path, in_id_token=in_id_token) as site:
        assert not await site.is_signed_in()
        status, _ = await site.sign_in(person)
        assert status == 303
        async with site.http.get("/api/state") as response:
            assert (await response.json())["user"] == {"name": name, "admin": is_admin, "sign_out": True}
        async with site.http.post("/api/ask", json=QUESTION) as response:
            assert response.status == 202
        author = site.page.dispatcher.asked[0].author
        assert (author.id, author.name, author.is_admin) == (user_id, name, is_admin)
        async with site.http.get("/metrics") as response:
            assert response.status == (200 if is_admin else 403)


async def test_a_person_without_a_group_is_refused(site: Site) -> None:
    status, text = await site.sign_in("cat")
    assert status == 403
    assert "signed in to your organization as Cat Example, but you are in no group that may use Parley" in text
    assert not await site.is_signed_in()


async def test_a_subject_cannot_take_the_operators_id(site: Site) -> None:
    assert (await site.sign_in("dan"))[0] == 303
    async with site.http.post("/api/ask", json=QUESTION) as response:
        assert response.status == 202
    assert site.page.dispatcher.asked[0].author.id == "oidc:you"


async def test_names_are_shown_as_text(site: Site) -> None:
    site.provider.provider.tamper = lambda claims: {**claims, "groups": [], "name": "<script>x</script>"}
    status, text = await site.sign_in("ben")
    assert (status, "&lt;script&gt;" in text, "<script" in text) == (403, True, False)


async def test_the_sign_in_page_leads_to_the_provider_with_pkce_state_and_nonce(site: Site) -> None:
    async with site.http.get("/") as response:
        assert 'href="oidc-login"' in await response.text()
    query = parse_qs(urlsplit(await site.go_to_provider()).query)
    assert query["response_type"] == ["code"]
    assert query["code_challenge_method"] == ["S256"]
    assert query["scope"] == ["openid profile email"]
    assert query["redirect_uri"] == [f"{site.page.address}/oidc-callback"]
    assert all(len(query[name][0]) >= 20 for name in ("state", "nonce", "code_challenge"))


async def test_the_cookie_of_a_sign_in_is_protected_and_short_lived(site: Site) -> None:
    async with site.http.get("/oidc-login", allow_redirects=False) as response:
        cookie = response.headers["Set-Cookie"]
    assert cookie.startswith("parley_flow_")
    assert {"HttpOnly", "SameSite=lax", "Max-Age=600"} <= set(cookie.split("; "))


async def test_two_tabs_can_sign_in_at_once(site: Site) -> None:
    first, second = await site.go_to_provider(), await site.go_to_provider()
    assert (await site.finish(await site.come_back(first, "ann")))[0] == 303
    assert (await site.finish(await site.come_back(second, "ann")))[0] == 303


async def test_a_member_sees_private_replies_only_of_their_own_commands(site: Site) -> None:
    await site.sign_in("ann")
    thread = QUESTION["thread"]
    async with site.http.post("/api/command", json={"thread": thread, "command": "budget", "args": ""}) as response:
        assert response.status == 202
    async with site.http.get(f"/api/threads/{thread}") as response:
        assert len((await response.json())["messages"]) == 2
    site.http.cookie_jar.clear()
    await site.sign_in("ben")
    async with site.http.get(f"/api/threads/{thread}") as response:
        assert (await response.json())["messages"] == []
    async with site.http.get("/api/threads") as response:
        assert (await response.json())["threads"] == []
    async with site.http.get(f"/api/events?last={site.page.playground.hub.epoch}-0") as response:
        first = await response.content.readuntil(b"\n\n")
        site.page.playground.hub.close()
        assert b"budget" not in first + await response.read()


# --- what is refused


async def _refused(site: Site, text: str, callback: str, status: int = 400) -> None:
    found, shown = await site.finish(callback)
    assert (found, text in shown) == (status, True), shown
    assert not await site.is_signed_in()


async def test_a_wrong_state_is_refused(site: Site) -> None:
    callback = await site.come_back(await site.go_to_provider(), "ann")
    state = parse_qs(urlsplit(callback).query)["state"][0]
    await _refused(site, "was not started in this browser", callback.replace(state, "another-state"))
    await _refused(site, "was not started in this browser", callback.partition("?")[0])


async def test_a_sign_in_of_another_browser_is_refused(site: Site) -> None:
    callback = await site.come_back(await site.go_to_provider(), "ann")
    site.http.cookie_jar.clear()
    await _refused(site, "was not started in this browser", callback)
    assert site.provider.token_requests == [], "the code was not sent"


async def test_a_callback_works_once(site: Site) -> None:
    callback = await site.come_back(await site.go_to_provider(), "ann")
    assert (await site.finish(callback))[0] == 303
    async with site.http.post("/logout"):
        pass
    await _refused(site, "was not started in this browser", callback)


async def test_a_wrong_pkce_verifier_is_refused_by_the_provider(site: Site) -> None:
    """Shows that the provider checks PKCE: the code of one sign-in is sent with the verifier of another."""
    first = await site.come_back(await site.go_to_provider(), "ann")
    second = await site.come_back(await site.go_to_provider(), "ann")
    code = parse_qs(urlsplit(first).query)["code"][0]
    other = parse_qs(urlsplit(second).query)["code"][0]
    await _refused(site, "did not confirm the sign-in", second.replace(other, code))
    assert "code_verifier" in site.provider.token_requests[0]


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "another-nonce"},
        {"nonce": None},
        {"aud": ["another-client"]},
        {"aud": ["another-client", CLIENT_ID], "azp": "another-client"},
        {"iss": "https://evil.example"},
        {"exp": int(time.time()) - 300, "iat": int(time.time()) - 3600},
        {"nbf": int(time.time()) + 3600},
        {"iat": int(time.time()) + 3600},
    ],
)
async def test_a_wrong_id_token_is_refused(site: Site, change: Claims) -> None:
    def tamper(claims: Claims) -> Claims:
        return {name: value for name, value in (claims | change).items() if value is not None}

    site.provider.provider.tamper = tamper
    await _refused(site, "is not valid", await site.come_back(await site.go_to_provider(), "ann"))


async def test_a_small_clock_difference_is_allowed(site: Site) -> None:
    site.provider.provider.tamper = lambda claims: {
        **claims,
        "exp": int(time.time()) - 30,
        "iat": int(time.time()) + 30,
    }
    assert (await site.sign_in("ann"))[0] == 303


async def test_a_foreign_key_is_refused(site: Site) -> None:
    site.provider.provider.signed_by = new_key("key-1")
    await _refused(site, "is not valid", await site.come_back(await site.go_to_provider(), "ann"))
    site.provider.provider.signed_by = new_key("key-2")
    await _refused(site, "is not valid", await site.come_back(await site.go_to_provider(), "ann"))


async def test_a_new_key_of_the_provider_is_read(site: Site) -> None:
    assert (await site.sign_in("ann"))[0] == 303
    site.http.cookie_jar.clear()
    site.provider.provider.signing_key = new_key("key-2")
    assert (await site.sign_in("ann"))[0] == 303


async def test_an_unsigned_id_token_is_refused_even_if_the_provider_lists_none(tmp_path: Path) -> None:
    async with _site(tmp_path, lists_algorithms=["RS256", "none"]) as site:
        site.provider.provider.algorithm = "none"
        await _refused(site, "is not valid", await site.come_back(await site.go_to_provider(), "ann"))


async def test_userinfo_of_another_person_is_not_believed(site: Site) -> None:
    site.provider.userinfo_sub = "sub-other"
    status, text = await site.sign_in("ann")
    assert (status, "no group" in text) == (403, True)


async def test_a_sign_in_that_ends_at_the_provider_is_explained(site: Site) -> None:
    await _refused(site, "ended the sign-in", await site.come_back(await site.go_to_provider(), "nobody"), 403)


async def test_a_wrong_client_secret_is_explained(site: Site) -> None:
    site.provider.provider.clients[CLIENT_ID]["client_secret"] = "another"
    await _refused(site, "did not confirm", await site.come_back(await site.go_to_provider(), "ann"))


async def test_a_provider_that_is_down_is_explained_and_asked_again(site: Site) -> None:
    site.provider.is_down = True
    async with site.http.get("/oidc-login") as response:
        assert (response.status, "does not answer" in await response.text()) == (503, True)
    site.provider.is_down = False
    assert (await site.sign_in("ann"))[0] == 303


async def test_doctor_checks_the_provider(site: Site) -> None:
    checks = {found.name: found for found in await check(site.settings)}
    assert checks["web OpenID Connect"].ok
    site.provider.provider.configuration_information["issuer"] = "https://other.example"
    checks = {found.name: found for found in await check(site.settings)}
    assert not checks["web OpenID Connect"].ok


async def test_a_provider_with_another_issuer_is_refused(site: Site) -> None:
    site.provider.provider.configuration_information["issuer"] = "https://other.example"
    async with site.http.get("/oidc-login") as response:
        assert (response.status, "PARLEY_OIDC_ISSUER" in await response.text()) == (503, True)


# --- claims


def test_groups_are_read_from_nested_claims_and_single_names() -> None:
    claims = {"realm_access": {"roles": ["a", 7, "b"]}, "https://x.example/groups": "one"}
    assert group_names(read_claim(claims, "realm_access.roles")) == ("a", "b")
    assert group_names(read_claim(claims, "https://x.example/groups")) == ("one",)
    assert group_names(read_claim(claims, "realm_access.missing.deeper")) == ()
    assert group_names({"a": 1}) == ()
