"""The wire format of both providers: validation of requests, and the format of responses."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.doubles import models_images as images
from tests.doubles.models_billing import Block, Metered
from tests.doubles.models_replies import Reply, Seen

Refusal = tuple[int, dict[str, Any]]

_ANTHROPIC_FIELDS = {
    "model", "messages", "max_tokens", "system", "stream", "metadata", "stop_sequences", "tools", "tool_choice",
    "thinking", "output_config", "service_tier", "cache_control", "container", "speed",
}  # fmt: skip
_OPENAI_ONLY = {"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "store"}
ANTHROPIC_STOPS = {"complete": "end_turn", "cut": "max_tokens", "refused": "refusal"}
OPENAI_STOPS = {"complete": "stop", "cut": "length", "refused": "content_filter"}


# --- validation of requests


def anthropic_error(status: int, kind: str, message: str) -> Refusal:
    return status, {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_double"}


def openai_error(status: int, kind: str, message: str, code: str | None = None) -> Refusal:
    return status, {"error": {"message": message, "type": kind, "param": None, "code": code}}


def key_of(seen: Seen) -> str:
    """Check the key: both providers accept a bearer token, Anthropic also x-api-key."""
    if seen.provider == "anthropic" and "x-api-key" in seen.headers:
        return seen.headers["x-api-key"]
    return seen.headers.get("authorization", "").removeprefix("Bearer ")


def refuse_anthropic(seen: Seen, key: str, *, counting: bool = False) -> Refusal | None:
    """Return the rule of the Messages API that a request breaks."""
    if key_of(seen) != key:
        return anthropic_error(401, "authentication_error", "invalid x-api-key")
    if "anthropic-version" not in seen.headers:
        return _invalid("anthropic-version: header is required")
    body = seen.body
    if not counting and not isinstance(body.get("max_tokens"), int):
        return _invalid("max_tokens: Field required")
    for name in ("temperature", "top_p", "top_k"):
        if name in body:
            return _invalid(f"{name}: this parameter is not supported by this model")
    if not _closed(((body.get("output_config") or {}).get("format") or {}).get("schema")):
        return _invalid("output_config.format.schema: For 'object' type, 'additionalProperties' must be false")
    extra = sorted(set(body) - _ANTHROPIC_FIELDS)
    if extra:
        return _invalid(f"{extra[0]}: Extra inputs are not permitted")
    listed = body.get("messages")
    if not listed:
        return _invalid("messages: at least one message is required")
    if listed[0]["role"] != "user":
        return _invalid("messages: first message must use the user role")
    if listed[-1]["role"] == "assistant":
        return _invalid("messages: prefilling assistant messages is not supported")
    wrong = images.fault(seen)
    return _invalid(f"messages: {wrong}") if wrong else _refuse_blocks(anthropic_blocks(body))


def _refuse_blocks(blocks: list[Block]) -> Refusal | None:
    if any(not block.text.strip() for block in blocks):
        return _invalid("text content blocks must be non-empty")
    ttls = [block.ttl for block in blocks if block.ttl]
    if len(ttls) > 4:
        return _invalid(f"A maximum of 4 blocks with cache_control may be provided. Found {len(ttls)}.")
    if "5m" in ttls and "1h" in ttls[ttls.index("5m") :]:
        return _invalid("cache_control ttl: a ttl='1h' block must not come after a ttl='5m' block")
    return None


def _invalid(message: str) -> Refusal:
    return anthropic_error(400, "invalid_request_error", message)


def refuse_openai(seen: Seen, key: str, *, compatible: bool) -> Refusal | None:
    """Return the rule of chat completions that a request breaks. Compatible servers reject OpenAI's own fields."""
    if key_of(seen) != key:
        return openai_error(401, "invalid_request_error", "Incorrect API key provided: sk-ab***.", "invalid_api_key")
    body = seen.body
    if not body.get("messages"):
        return openai_error(400, "invalid_request_error", "messages: expected an array of at least 1", None)
    foreign = sorted(_OPENAI_ONLY & set(body)) if compatible else []
    if foreign:
        return openai_error(400, "invalid_request_error", f"Unrecognized request argument: {foreign[0]}")
    if compatible and "response_format" in body:
        return openai_error(400, "invalid_request_error", "response_format is not supported by this server")
    if not _closed(((body.get("response_format") or {}).get("json_schema") or {}).get("schema")):
        words = "Invalid schema for response_format: 'additionalProperties' is required to be supplied and to be false."
        return openai_error(400, "invalid_request_error", words, "invalid_json_schema")
    if not compatible and "max_tokens" in body:
        words = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        return openai_error(400, "invalid_request_error", words, "unsupported_parameter")
    wrong = images.fault(seen)
    if wrong:
        return openai_error(400, "invalid_request_error", wrong, "invalid_image_format")
    return None


def _closed(schema: Any) -> bool:
    """Return whether every object in a schema forbids other properties and requires its own."""
    if isinstance(schema, list):
        return all(map(_closed, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" and (
        schema.get("additionalProperties") is not False or set(schema.get("required", [])) != set(schema["properties"])
    ):
        return False
    return all(map(_closed, schema.values()))


# --- blocks of the prompt, for counting and caching


def anthropic_blocks(body: Mapping[str, Any]) -> list[Block]:
    """Return the blocks in order: the system prompt, then each message."""
    blocks = _blocks(body.get("system") or [], "system")
    for message in body.get("messages", []):
        blocks += _blocks(message["content"], message["role"])
    return blocks


def _blocks(content: Any, role: str) -> list[Block]:
    if isinstance(content, str):
        return [Block(f"{role}\x00{content}")]
    found = []
    for block in content:
        control = block.get("cache_control")
        shown = images.source(block)
        if shown:
            found.append(images.block(role, shown, "anthropic", ttl=control.get("ttl", "5m") if control else None))
            continue
        text = block.get("text", "") if block.get("type") == "text" else json.dumps(block, sort_keys=True)
        found.append(Block(f"{role}\x00{text}" if text.strip() else "", control.get("ttl", "5m") if control else None))
    return found


def openai_blocks(body: Mapping[str, Any]) -> list[Block]:
    found = []
    for message in body["messages"]:
        content = message["content"]
        for part in content if isinstance(content, list) else []:
            shown = images.source(part)
            if shown:
                found.append(images.block(message["role"], shown, "openai", part["image_url"].get("detail", "auto")))
        text = content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)
        found.append(Block(f"{message['role']}\x00{text}"))
    return found


# --- responses


def anthropic_usage(prompt: Metered, output: int) -> dict[str, Any]:
    return {
        "input_tokens": prompt.plain,
        "cache_read_input_tokens": prompt.read,
        "cache_creation_input_tokens": prompt.written + prompt.written_long,
        "cache_creation": {
            "ephemeral_5m_input_tokens": prompt.written,
            "ephemeral_1h_input_tokens": prompt.written_long,
        },
        "output_tokens": output,
        "service_tier": "standard",
    }


def openai_usage(prompt: Metered, output: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt.total,
        "completion_tokens": output,
        "total_tokens": prompt.total + output,
        "prompt_tokens_details": {"cached_tokens": prompt.read, "cache_write_tokens": prompt.written},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def anthropic_message(seen: Seen, reply: Reply, usage: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": f"msg_{seen.number}",
        "type": "message",
        "role": "assistant",
        "model": seen.model,
        "content": [{"type": "text", "text": reply.text}],
        "stop_reason": ANTHROPIC_STOPS[reply.stop],
        "stop_sequence": None,
        "usage": dict(usage),
    }


def openai_completion(seen: Seen, reply: Reply, usage: Mapping[str, Any]) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": reply.text, "refusal": None},
        "finish_reason": OPENAI_STOPS[reply.stop],
        "logprobs": None,
    }
    return {
        "id": f"chatcmpl-{seen.number}",
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": seen.model,
        "choices": [choice],
        "usage": dict(usage),
    }


def event(kind: str, data: Mapping[str, Any]) -> bytes:
    """Return an event of Anthropic's stream."""
    return f"event: {kind}\ndata: ".encode() + encoded({"type": kind, **data}) + b"\n\n"


def data(value: Mapping[str, Any]) -> bytes:
    """Return an event of OpenAI's stream."""
    return b"data: " + encoded(value) + b"\n\n"


def encoded(value: Mapping[str, Any]) -> bytes:
    """Return JSON in UTF-8. Half of a surrogate pair, which UTF-8 cannot encode, is escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", text).encode()


def anthropic_opening(seen: Seen, usage: Mapping[str, Any]) -> list[bytes]:
    message = anthropic_message(seen, Reply(), usage) | {"content": [], "stop_reason": None}
    block = {"index": 0, "content_block": {"type": "text", "text": ""}}
    return [event("message_start", {"message": message}), event("content_block_start", block), event("ping", {})]


def anthropic_piece(text: str) -> bytes:
    return event("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": text}})


def anthropic_closing(reply: Reply, usage: Mapping[str, Any] | None) -> list[bytes]:
    """Return the last events; their usage is cumulative."""
    ending: dict[str, Any] = {"delta": {"stop_reason": ANTHROPIC_STOPS[reply.stop], "stop_sequence": None}}
    if usage is not None:
        ending["usage"] = {name: value for name, value in usage.items() if name.endswith("_tokens")}
    return [event("content_block_stop", {"index": 0}), event("message_delta", ending), event("message_stop", {})]


def openai_chunk(seen: Seen, delta: Mapping[str, Any] | None, stop: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": dict(delta), "finish_reason": stop, "logprobs": None}]
    return data(
        {
            "id": f"chatcmpl-{seen.number}",
            "object": "chat.completion.chunk",
            "created": 1_795_000_000,
            "model": seen.model,
            "choices": choices,
            **more,
        }
    )
