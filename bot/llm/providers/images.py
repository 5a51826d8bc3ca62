"""Images for vision models: validates them, converts them for each provider, and counts their tokens."""

from __future__ import annotations

import base64
import io
import math
import warnings
from typing import Any, get_args

from bot.engine.ports.llm import Image, ImageType
from bot.errors import UsageError
from bot.llm import user_messages

MAX_BYTES = 3_900_000
"""Anthropic accepts 5 MiB of base64, which has four characters for three bytes."""
MAX_EDGE = 8000
"""Pixels: Anthropic rejects a longer edge."""

DETAIL = "high"
"""OpenAI's detail level. Without it, the newest models process a photo at full size, for five times the tokens."""

_MEDIA_TYPES: dict[str, ImageType] = {name.removeprefix("image/").upper(): name for name in get_args(ImageType)}

_CLAUDE_PATCH = 28
_CLAUDE_EDGE, _CLAUDE_MAX_TOKENS = 2576, 4784
_CLAUDE_SMALL_EDGE, _CLAUDE_SMALL_MAX_TOKENS = 1568, 1568
_CLAUDE_SMALL = ("claude-3", "claude-haiku-4", "claude-sonnet-4")
_GPT_PATCH, _GPT_MAX_PATCHES, _GPT_FACTOR = 32, 2500, 1.2
_GPT_TILES = {"gpt-4o-mini": (2833, 5667), "gpt-4o": (85, 170), "o1": (75, 150), "o3": (75, 150)}
"""Older models use tiles of 512 pixels: tokens for the image and for each tile."""


def read(data: bytes, name: str = "The image") -> Image:
    """Return the image in these bytes; its name and declared type do not matter. Raises UsageError."""
    if len(data) > MAX_BYTES:
        raise UsageError(user_messages.image_too_large(name, len(data) / 1e6, MAX_BYTES / 1e6))
    import PIL.Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # The size in pixels is checked below.
            with PIL.Image.open(io.BytesIO(data), formats=list(_MEDIA_TYPES)) as opened:
                image_format, (width, height) = opened.format or "", opened.size
    except PIL.Image.DecompressionBombError:
        raise _too_many_pixels(name) from None
    except Exception:
        raise UsageError(user_messages.not_an_image(name)) from None
    if max(width, height) > MAX_EDGE:
        raise _too_many_pixels(name)
    return Image(_MEDIA_TYPES[image_format], data, width, height)


def tokens(image: Image, model: str) -> int:
    """Return the tokens billed for an image by the provider's published rule; unknown models use the costliest rule."""
    if model.startswith("claude"):
        return _claude(image, small=model.startswith(_CLAUDE_SMALL))
    for name, (base, tile) in _GPT_TILES.items():
        if model.startswith(name):
            return base + tile * _tiles(image)
    if model.startswith(("gpt", "o4", "chatgpt")):
        return _gpt(image)
    return max(_claude(image, small=False), _gpt(image))


def anthropic_block(image: Image) -> dict[str, Any]:
    """Return a content block of Anthropic's Messages API."""
    return {"type": "image", "source": {"type": "base64", "media_type": image.media_type, "data": _base64(image)}}


def openai_part(image: Image) -> dict[str, Any]:
    """Return a content part of OpenAI's chat completions."""
    url = f"data:{image.media_type};base64,{_base64(image)}"
    return {"type": "image_url", "image_url": {"url": url, "detail": DETAIL}}


def _base64(image: Image) -> str:
    return base64.b64encode(image.data).decode("ascii")


def _too_many_pixels(name: str) -> UsageError:
    return UsageError(user_messages.too_many_pixels(name, MAX_EDGE))


def _claude(image: Image, *, small: bool) -> int:
    """Return Anthropic's tokens: one per patch, after the image is scaled down to the model's longest edge."""
    edge, limit = (_CLAUDE_SMALL_EDGE, _CLAUDE_SMALL_MAX_TOKENS) if small else (_CLAUDE_EDGE, _CLAUDE_MAX_TOKENS)
    scale = min(1.0, edge / max(image.width, image.height))
    return min(limit, _patches(image, scale, _CLAUDE_PATCH))


def _gpt(image: Image) -> int:
    return math.ceil(min(_GPT_MAX_PATCHES, _patches(image, 1.0, _GPT_PATCH)) * _GPT_FACTOR)


def _patches(image: Image, scale: float, patch: int) -> int:
    return math.ceil(image.width * scale / patch) * math.ceil(image.height * scale / patch)


def _tiles(image: Image) -> int:
    """Return the number of tiles after scaling the image to 2048 by 2048 and its shorter side to 768 pixels."""
    scale = min(1.0, 2048 / max(image.width, image.height))
    scale *= min(1.0, 768 / (min(image.width, image.height) * scale))
    return math.ceil(image.width * scale / 512) * math.ceil(image.height * scale / 512)
