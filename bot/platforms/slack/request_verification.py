"""Verifies requests that Slack sends over HTTP: signature, age, body, and that none is processed twice.

https://docs.slack.dev/authentication/verifying-requests-from-slack. A signature is valid for five minutes. Digests of
processed requests are stored for that long, so that a recorded request has no effect in any process.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

from bot.errors import StoreAway, for_operator
from bot.platforms import json_input
from bot.store import slack_requests
from bot.store.database.session import Database

log = logging.getLogger(__name__)

MAX_AGE_SECONDS = 300
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)


class RequestRefused(Exception):
    """The request is not from Slack or cannot be read; ``status`` is the HTTP status of the response."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RequestVerifier:
    """Checks requests with the signing secret, and remembers those that were processed."""

    def __init__(self, secret: str, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret.encode()
        self._database = database
        self._clock = clock

    def verify(self, headers: Mapping[str, str], body: bytes) -> str:
        """Return the digest of a valid request. Raises RequestRefused.

        ``headers`` ignores case.
        """
        timestamp, signature = headers.get("x-slack-request-timestamp", ""), headers.get("x-slack-signature", "")
        if not _TIMESTAMP.fullmatch(timestamp) or abs(self._clock() - int(timestamp)) > MAX_AGE_SECONDS:
            raise RequestRefused(401, "the timestamp is missing, invalid or too old")
        expected = hmac.new(self._secret, b"v0:%b:%b" % (timestamp.encode(), body), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(f"v0={expected}".encode(), signature.encode()):
            raise RequestRefused(401, "the signature is wrong")
        _check_body(body, headers.get("content-type", ""))
        return hashlib.sha256(f"{timestamp}:{signature}".encode()).hexdigest()

    async def is_first(self, digest: str) -> bool:
        """Remember the request. Return False if a process received it before.

        While the database is away the answer is True: the request reaches nothing that could have an effect, and its
        sender reads why.
        """
        expires_at = datetime.fromtimestamp(self._clock(), UTC) + timedelta(seconds=2 * MAX_AGE_SECONDS)
        try:
            return await slack_requests.remember(self._database, digest, expires_at=expires_at)
        except StoreAway as error:
            log.warning("Slack: a request was not compared with earlier ones: %s", for_operator(error))
            return True

    async def forget(self, digest: str) -> None:
        """Forget a request that failed, so that Slack can send it again."""
        try:
            await slack_requests.forget(self._database, digest)
        except StoreAway as error:
            log.warning("Slack: a failed request counts as processed: %s", for_operator(error))


def _check_body(body: bytes, content_type: str) -> None:
    """Raise RequestRefused if the Bolt framework could not parse the body."""
    try:
        text = body.decode()
        if content_type.partition(";")[0].strip() == "application/json" or text.startswith("{"):
            payload = text
        else:
            payload = dict(parse_qsl(text, keep_blank_values=True)).get("payload", "{}")
        if text and not isinstance(json_input.parse(payload), dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise RequestRefused(400, "the body cannot be read") from error
