"""Reads values from the page's requests, and writes JSON responses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from bot.errors import UsageError
from bot.platforms import json_input
from bot.platforms.web import user_messages
from bot.platforms.web.history import THREAD_ID
from bot.platforms.web.sign_in.identity import Identity
from bot.types.conversation import Author
from knowledge.text.storable_text import storable

NO_STORE = {"Cache-Control": "no-store"}


def json_response(value: dict[str, Any], status: int = 200) -> JSONResponse:
    """Return a response that browsers do not keep."""
    return JSONResponse(value, status, headers=NO_STORE)


def identity_of(request: Request) -> Identity:
    """Return who sent a request to a path that needs a sign-in."""
    identity = request.scope["parley.identity"]
    assert isinstance(identity, Identity)
    return identity


def author_of(request: Request, chosen_name: str) -> Author:
    """Return the author of a request. The chosen name is a label, and counts only if the sign-in gives no name."""
    return identity_of(request).author(chosen_name)


async def json_body(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request. Raises UsageError if there is none, and HTTPException for another type."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise HTTPException(415, user_messages.NOT_JSON)
    try:
        value = json_input.parse(await request.body())
    except (ValueError, ClientDisconnect):
        raise UsageError(user_messages.NOT_JSON) from None
    if not isinstance(value, dict):
        raise UsageError(user_messages.NOT_JSON)
    return value


def text_in(body: dict[str, Any], name: str) -> str:
    """Return a text of the body that can be stored, or an empty one. Raises UsageError."""
    value = body.get(name, "")
    if not isinstance(value, str):
        raise UsageError(user_messages.NOT_JSON)
    return storable(value)


def offset_in(body: dict[str, Any], name: str) -> int | None:
    """Return an offset of the body, or None. Raises UsageError."""
    value = body.get(name)
    if value is not None and (type(value) is not int or not 0 <= value < 2**31 - 1):
        raise UsageError(user_messages.NOT_JSON)
    return value


def keys_in(value: object) -> tuple[str, ...]:
    """Return a list of file keys. Raises UsageError."""
    if not isinstance(value, list) or not all(isinstance(key, str) for key in value):
        raise UsageError(user_messages.NOT_JSON)
    return tuple(value)


def query_text(request: Request, name: str) -> str:
    """Return a parameter of the query, or an empty string."""
    return storable(request.query_params.get(name, ""))


async def uploaded_file(request: Request) -> tuple[str, str, bytes]:
    """Return the name, the type and the bytes of the file that is the body. Raises UsageError if it is empty."""
    data = await request.body()
    if not data:
        raise UsageError(user_messages.NO_FILE)
    name = Path(query_text(request, "file").replace("\\", "/")).name[:200] or "file"
    return name, request.headers.get("content-type", "application/octet-stream"), data


def thread_id_from(value: object) -> str:
    """Return a conversation's ID. Raises UsageError."""
    if not isinstance(value, str) or not THREAD_ID.fullmatch(value):
        raise UsageError(user_messages.BAD_THREAD)
    return value
