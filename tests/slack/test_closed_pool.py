"""A call to Slack whose connection pool is closed meanwhile fails like a broken connection, so that it is repeated."""

from __future__ import annotations

import aiohttp
import pytest
from slack_sdk.http_retry.async_handler import AsyncRetryHandler
from slack_sdk.http_retry.request import HttpRequest
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.http_retry.state import RetryState

from bot.errors import PlatformAway
from bot.platforms.slack import errors
from bot.platforms.slack.bot_tokens import StaticToken
from bot.platforms.slack.web_client import WebClient
from tests.doubles.models import closed_port


class ClosesThePool(AsyncRetryHandler):
    """Closes the connection pool before the second attempt of a call, as the end of the platform's part does."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        super().__init__(max_retry_count=1)
        self._session = session

    async def _can_retry_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        return error is not None

    async def prepare_for_next_attempt_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> None:
        await self._session.close()
        state.next_attempt_requested = True


async def test_a_call_whose_pool_is_closed_meanwhile_may_be_repeated() -> None:
    async with aiohttp.ClientSession() as session:
        client = WebClient(
            StaticToken("xoxb-1"),
            base_url=f"http://127.0.0.1:{closed_port()}/api/",
            session=session,
            retry_handlers=[ClosesThePool(session)],
        )
        with pytest.raises(PlatformAway), errors.translated():
            await client.users_info(user="U1")


async def test_a_mistake_in_the_program_stays_one() -> None:
    class Broken(StaticToken):
        async def token(self) -> str:
            raise AssertionError("a mistake")

    async with aiohttp.ClientSession() as session:
        with pytest.raises(AssertionError), errors.translated():
            await WebClient(Broken("xoxb-1"), session=session).users_info(user="U1")
