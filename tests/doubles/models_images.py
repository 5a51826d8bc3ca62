"""Images in requests to the double: checks their bytes against the media type, bills them by the published rules."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import math
from collections.abc import Iterator, Mapping
from typing import Any

import PIL.Image

from tests.doubles.models_billing import Block, tokens
from tests.doubles.models_replies import Seen

_LARGEST_BASE64 = 5 * 1024 * 1024


def images(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return media type and base64 of every image in a request."""
    for message in body.get("messages", []):
        if isinstance(message["content"], list):
            for block in message["content"]:
                found = source(block)
                if found:
                    yield found


def source(block: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return media type and base64 of an image block of either provider; None for any other block."""
    if block.get("type") == "image":
        return str(block["source"]["media_type"]), str(block["source"]["data"])
    if block.get("type") == "image_url":
        head, _, data = str(block["image_url"]["url"]).partition(";base64,")
        return head.removeprefix("data:"), data
    return None


def fault(seen: Seen) -> str:
    """Return why the images of a request are rejected; empty if they are valid."""
    for media_type, data in images(seen.body):
        if seen.provider == "anthropic" and len(data) > _LARGEST_BASE64:
            return f"image exceeds 5 MB maximum: {len(data)} bytes > {_LARGEST_BASE64} bytes"
        try:
            with PIL.Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as opened:
                real = f"image/{(opened.format or '').lower()}"
        except (OSError, binascii.Error):
            return "Could not process image"
        if real != media_type:
            return f"The image was specified using the {media_type} media type, but appears to be a {real} image"
    return ""


def block(role: str, found: tuple[str, str], provider: str, detail: str = "auto", ttl: str | None = None) -> Block:
    """Return an image as a block of the prompt, with the tokens that the provider bills."""
    raw = base64.b64decode(found[1])
    with PIL.Image.open(io.BytesIO(raw)) as opened:
        width, height = opened.size
    billed = _anthropic(width, height) if provider == "anthropic" else _openai(width, height, detail)
    text = f"{role}\x00{hashlib.sha256(raw).hexdigest()[:5]}"
    return Block(text, ttl, overhead=billed + 4 - tokens(text))


def _anthropic(width: int, height: int) -> int:
    longest = max(width, height)
    if longest > 2576:
        width, height = width * 2576 // longest, height * 2576 // longest
    return min(4784, -(-width // 28) * -(-height // 28))


def _openai(width: int, height: int, detail: str) -> int:
    patches = -(-width // 32) * -(-height // 32)
    return math.ceil(1.2 * (min(patches, 2500) if detail == "high" else patches))
