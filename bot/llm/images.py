"""Images for models that see: checked by their bytes, in each provider's form, and what they cost in tokens."""

from __future__ import annotations

import base64
import io
import math
import warnings
from typing import Any, get_args

from bot.engine.ports.llm import Image, ImageType
from bot.errors import UsageError

LARGEST_BYTES = 3_900_000
"""Anthropic takes 5 MiB of base64, which is four characters for three bytes."""
LONGEST_EDGE = 8000
"""Pixels: Anthropic refuses a longer edge."""

DETAIL = "high"
"""What OpenAI is asked for: without it the newest models take a photo at full size, at five times the tokens."""

_NAMES = "PNG, JPEG, GIF or WebP"
_MEDIA_TYPES: dict[str, ImageType] = {name.removeprefix("image/").upper(): name for name in get_args(ImageType)}

_CLAUDE_PATCH = 28
_CLAUDE_EDGE, _CLAUDE_MOST = 2576, 4784
_CLAUDE_SMALL_EDGE, _CLAUDE_SMALL_MOST = 1568, 1568
_CLAUDE_SMALL = ("claude-3", "claude-haiku-4", "claude-sonnet-4")
_GPT_PATCH, _GPT_MOST, _GPT_FACTOR = 32, 2500, 1.2
_GPT_TILES = {"gpt-4o-mini": (2833, 5667), "gpt-4o": (85, 170), "o1": (75, 150), "o3": (75, 150)}
"""Older models see tiles of 512 pixels: tokens for the image and for each tile."""


def read(data: bytes, name: str = "The image") -> Image:
    """The image in these bytes, whatever its name or declared type says. Raises UsageError with one line."""
    if len(data) > LARGEST_BYTES:
        raise UsageError(
            f"{name} is too large ({len(data) / 1e6:.1f} MB). "
            f"Send one of at most {LARGEST_BYTES / 1e6:.1f} MB, for example a JPEG."
        )
    import PIL.Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size in pixels is checked below
            with PIL.Image.open(io.BytesIO(data), formats=list(_MEDIA_TYPES)) as opened:
                form, (width, height) = opened.format or "", opened.size
    except PIL.Image.DecompressionBombError:
        raise _too_wide(name) from None
    except Exception:
        raise UsageError(f"{name} is not an image that models can read. Send {_NAMES}.") from None
    if max(width, height) > LONGEST_EDGE:
        raise _too_wide(name)
    return Image(_MEDIA_TYPES[form], data, width, height)


def tokens(image: Image, model: str) -> int:
    """What a model is billed for an image, by its provider's published rule; the dearest rule for unknown models."""
    if model.startswith("claude"):
        return _claude(image, small=model.startswith(_CLAUDE_SMALL))
    for name, (base, tile) in _GPT_TILES.items():
        if model.startswith(name):
            return base + tile * _tiles(image)
    if model.startswith(("gpt", "o4", "chatgpt")):
        return _gpt(image)
    return max(_claude(image, small=False), _gpt(image))


def anthropic_block(image: Image) -> dict[str, Any]:
    """A content block of the Messages API."""
    return {"type": "image", "source": {"type": "base64", "media_type": image.media_type, "data": _base64(image)}}


def openai_part(image: Image) -> dict[str, Any]:
    """A content part of chat completions."""
    url = f"data:{image.media_type};base64,{_base64(image)}"
    return {"type": "image_url", "image_url": {"url": url, "detail": DETAIL}}


def _base64(image: Image) -> str:
    return base64.b64encode(image.data).decode("ascii")


def _too_wide(name: str) -> UsageError:
    return UsageError(f"{name} has too many pixels. Send one of at most {LONGEST_EDGE} pixels on each side.")


def _claude(image: Image, *, small: bool) -> int:
    """Patches, after the image was shrunk to the model's longest edge and its most patches."""
    edge, most = (_CLAUDE_SMALL_EDGE, _CLAUDE_SMALL_MOST) if small else (_CLAUDE_EDGE, _CLAUDE_MOST)
    shrink = min(1.0, edge / max(image.width, image.height))
    return min(most, _patches(image, shrink, _CLAUDE_PATCH))


def _gpt(image: Image) -> int:
    return math.ceil(min(_GPT_MOST, _patches(image, 1.0, _GPT_PATCH)) * _GPT_FACTOR)


def _patches(image: Image, shrink: float, patch: int) -> int:
    return math.ceil(image.width * shrink / patch) * math.ceil(image.height * shrink / patch)


def _tiles(image: Image) -> int:
    """Tiles of 512 pixels after fitting the image into 2048 by 2048 and its shorter side into 768."""
    fit = min(1.0, 2048 / max(image.width, image.height))
    fit *= min(1.0, 768 / (min(image.width, image.height) * fit))
    return math.ceil(image.width * fit / 512) * math.ceil(image.height * fit / 512)
