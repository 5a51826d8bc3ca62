"""Streams an answer of the model provider double, and its faults in the middle of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.doubles import models_wire as wire
from tests.doubles.models_billing import Metered, tokens
from tests.doubles.models_http import Exchange
from tests.doubles.models_replies import Reply, Seen

FOR_EVER = 60.0
_ABSURD = Metered(plain=-5, read=10**9)


async def stream(exchange: Exchange, seen: Seen, reply: Reply, prompt: Metered) -> bool:
    """Stream the reply; return whether it ended with its terminal event. Raises ClientGoneError."""
    if reply.fault == "deaf":
        await exchange.wait(FOR_EVER)
        return False
    await exchange.begin_stream()
    if reply.fault == "silence":
        await exchange.wait(FOR_EVER)
        return False
    if reply.fault == "empty_stream":
        await exchange.end_stream()
        return False
    if reply.fault == "error_event" and reply.after == 0:
        return await _break(exchange, seen, reply)
    for frame in _opening(seen, reply, prompt):
        await exchange.send(frame, shred=reply.shred)
    if reply.fault in ("pings", "thinking"):
        return await _only_alive(exchange, seen, reply)
    if reply.reasoning:
        await exchange.send(_reasoning(seen, reply.reasoning), shred=reply.shred)
    for number, piece in enumerate(_pieces(reply)):
        if number == reply.after and _breaks(reply):
            return await _break(exchange, seen, reply)
        while number == reply.after and reply.held is not None and not reply.held.is_set():
            await exchange.wait(0.02)
        if reply.pause:
            await exchange.wait(reply.pause)
        if reply.fault == "unknown_events":
            await exchange.send(_unknown(seen))
        await exchange.send(_piece(seen, reply, piece), shred=reply.shred)
        seen.pieces_sent += 1
    if _breaks(reply):
        return await _break(exchange, seen, reply)
    await _close(exchange, seen, reply, prompt)
    return True


def _breaks(reply: Reply) -> bool:
    return reply.fault in ("error_event", "stall", "reset", "hang_up", "broken_json", "broken_utf8", "cut_off")


async def _break(exchange: Exchange, seen: Seen, reply: Reply) -> bool:
    anthropic = seen.provider == "anthropic"
    match reply.fault:
        case "error_event" if reply.error is not None:
            await exchange.send(wire.event("error", reply.error) if anthropic else wire.data(reply.error))
        case "error_event" if anthropic:
            await exchange.send(wire.event("error", {"error": {"type": "overloaded_error", "message": "Overloaded"}}))
        case "error_event":
            await exchange.send(wire.data({"error": {"message": "The server had an error", "type": "server_error"}}))
        case "stall":
            await exchange.wait(FOR_EVER)
        case "cut_off":
            exchange.cut_off()
            return False
        case "reset":
            exchange.reset()
            return False
        case "broken_json":
            head = b"event: content_block_delta\n" if anthropic else b""
            await exchange.send(head + b'data: {"type": "content_block_delta", "ind\n\n')
        case "broken_utf8":
            head = b"event: content_block_delta\n" if anthropic else b""
            await exchange.send(head + b'data: {"a": "\xff\xfe\xc3"}\n\n')
    await exchange.end_stream()
    return False


async def _only_alive(exchange: Exchange, seen: Seen, reply: Reply) -> bool:
    """Send pings forever and no text."""
    while True:
        await exchange.wait(reply.pause or 0.02)
        if seen.provider == "anthropic" and reply.fault == "thinking":
            delta = {"type": "thinking_delta", "thinking": "hm "}
            await exchange.send(wire.event("content_block_delta", {"index": 0, "delta": delta}))
        elif seen.provider == "anthropic":
            await exchange.send(wire.event("ping", {}))
        elif reply.fault == "thinking":
            await exchange.send(wire.openai_chunk(seen, {"reasoning_content": "hm "}))
        else:
            await exchange.send(b": keep-alive\n\n")


def _opening(seen: Seen, reply: Reply, prompt: Metered) -> list[bytes]:
    if seen.provider == "openai":
        return [wire.openai_chunk(seen, {"role": "assistant", "content": ""})]
    usage: dict[str, Any] = wire.anthropic_usage(_ABSURD if reply.fault == "absurd_usage" else prompt, 1)
    return wire.anthropic_opening(seen, {} if reply.fault == "no_usage" else usage)


def _pieces(reply: Reply) -> Iterator[str]:
    for at in range(0, len(reply.text), reply.piece):
        yield reply.text[at : at + reply.piece]


def _piece(seen: Seen, reply: Reply, text: str) -> bytes:
    if seen.provider == "anthropic":
        return wire.anthropic_piece(text)
    name = "refusal" if reply.fault == "refusal_field" else "content"
    return wire.openai_chunk(seen, {name: text}, "" if reply.fault == "empty_reasons" else None)


def _reasoning(seen: Seen, text: str) -> bytes:
    if seen.provider == "anthropic":
        delta = {"type": "thinking_delta", "thinking": text}
        return wire.event("content_block_delta", {"index": 0, "delta": delta})
    return wire.openai_chunk(seen, {"reasoning_content": text})


def _unknown(seen: Seen) -> bytes:
    if seen.provider == "anthropic":
        return wire.event("glimmer_delta", {"index": 0, "delta": {"type": "glimmer", "glow": 1}}) + wire.event(
            "content_block_delta", {"index": 0, "delta": {"type": "hum_delta", "hum": "la"}}
        )
    return wire.openai_chunk(seen, None, moderation=None, aura={"glow": 1})


async def _close(exchange: Exchange, seen: Seen, reply: Reply, prompt: Metered) -> None:
    told = _ABSURD if reply.fault == "absurd_usage" else prompt
    output = tokens(reply.text) + tokens(reply.reasoning)
    with_usage = reply.fault != "no_usage"
    if seen.provider == "anthropic":
        usage = wire.anthropic_usage(told, output) if with_usage else None
        for frame in wire.anthropic_closing(reply, usage):
            await exchange.send(frame, shred=reply.shred)
        await exchange.end_stream()
        return
    if reply.fault != "no_reason":
        await exchange.send(wire.openai_chunk(seen, {}, wire.OPENAI_STOPS[reply.stop]))
    if reply.fault == "late_usage":
        await exchange.wait(FOR_EVER)
    if with_usage and (seen.body.get("stream_options") or {}).get("include_usage"):
        await exchange.send(wire.openai_chunk(seen, None, usage=wire.openai_usage(told, output)), shred=reply.shred)
    await exchange.send(b"data: [DONE]\n\n")
    await exchange.end_stream()
