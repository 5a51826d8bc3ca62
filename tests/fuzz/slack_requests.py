"""HTTP requests that Slack signed, and others: only the signed ones pass, and Bolt can read every one that passes."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

from hypothesis import strategies as st
from slack_bolt.request.internals import parse_body
from starlette.datastructures import Headers

from bot.platforms.slack.request_verification import MAX_AGE_SECONDS, RequestRefused, RequestVerifier
from bot.store.database.session import Database
from tests.fuzz.mutated_json import HOSTILE_TEXTS, VALUES
from tests.fuzz.target import Target

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
NOW = 1_700_000_000


@dataclass(frozen=True)
class Request:
    """A request. ``signed`` says whether its signature is the right one for ``stamp`` and ``body``."""

    stamp: str
    signature: str
    body: bytes
    content_type: str
    signed: bool


def _request(stamp: str, body: bytes, content_type: str, forged: str | None) -> Request:
    right = hmac.new(SECRET.encode(), b"v0:" + stamp.encode("latin-1") + b":" + body, hashlib.sha256).hexdigest()
    signature = f"v0={right}" if forged is None else forged
    return Request(stamp, signature, body, content_type, signature == f"v0={right}")


def _header(text: str) -> str:
    """Return the text as a header may hold it."""
    return text.encode("latin-1", "ignore").decode("latin-1").replace("\r", "").replace("\n", "")


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


_JSON_BODIES = VALUES.map(_json) | st.dictionaries(st.text(max_size=5), VALUES, max_size=3).map(_json)
_BODIES = st.one_of(
    _JSON_BODIES,
    _JSON_BODIES.map(lambda body: urlencode({"payload": body.decode()}).encode()),
    st.dictionaries(st.sampled_from(["command", "text", "payload", "user_id"]), st.text(max_size=9), max_size=4).map(
        lambda form: urlencode(form, errors="replace").encode()
    ),
    st.sampled_from(
        [b"", b"{", b"payload=", b"payload=%7B", b"[" * 70, b'{"a":' * 70 + b"1" + b"}" * 70, b"\xff", b"null"]
    ),
    st.binary(max_size=40),
)
_STAMPS = st.one_of(
    st.integers(NOW - 2 * MAX_AGE_SECONDS, NOW + 2 * MAX_AGE_SECONDS).map(str),
    st.just(str(NOW)),
    st.sampled_from([*HOSTILE_TEXTS, f" {NOW}", f"{NOW}.5", f"+{NOW}", f"0{NOW}"]).map(_header),
)
_TYPES = st.sampled_from(
    ["application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/plain", ""]
)
_FORGED = (
    st.none() | st.sampled_from(["", "v0=", "v1=" + "0" * 64, "v0=" + "é" * 64]) | st.text(max_size=70).map(_header)
)


@contextmanager
def _opened() -> Iterator[Callable[[Any], None]]:
    verifier = RequestVerifier(SECRET, cast(Database, None), clock=lambda: float(NOW))

    def check(request: Request) -> None:
        sent = {
            "x-slack-request-timestamp": request.stamp,
            "x-slack-signature": request.signature,
            "content-type": request.content_type,
        }
        headers = Headers({name: value for name, value in sent.items() if value})
        try:
            digest = verifier.verify(headers, request.body)
        except RequestRefused as refused:
            if refused.status not in (400, 401):
                raise
            return
        assert len(digest) == 64
        assert request.signed
        assert abs(int(request.stamp) - NOW) <= MAX_AGE_SECONDS
        parsed = parse_body(request.body.decode(), request.content_type or None)
        assert isinstance(parsed, dict), parsed

    yield check


REQUESTS = Target("slack-signatures", st.builds(_request, _STAMPS, _BODIES, _TYPES, _FORGED), _opened)
