"""Streams of model providers, broken in every way: each ends in one complete answer or in one error that says why."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from hypothesis import strategies as st

from bot.llm.providers.anthropic import AnthropicLLM
from bot.llm.providers.openai import OpenAILLM
from knowledge.text.storable_text import storable
from tests.doubles import models_wire
from tests.doubles.models_http import ClientGoneError, Exchange, HttpServer
from tests.fuzz.mutated_json import mutations
from tests.fuzz.target import Target
from tests.llm.llm_requests import ANTHROPIC_MODELS, OPENAI_MODELS, Adapter, accounting, ask

_USAGE = {"input_tokens": 9, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 3}
_ANTHROPIC: list[tuple[str, dict[str, Any]]] = [
    ("message_start", {"message": {"id": "m", "type": "message", "role": "assistant", "content": [], "usage": _USAGE}}),
    ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
    ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": "Thirty [1]"}}),
    ("content_block_delta", {"index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
    ("content_block_stop", {"index": 0}),
    ("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}),
    ("message_stop", {}),
    ("ping", {}),
    ("error", {"error": {"type": "overloaded_error", "message": "busy"}}),
]


def _chunk(delta: dict[str, Any] | None, stop: str | None = None, **more: Any) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": stop}]
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}


_OPENAI = [
    _chunk({"role": "assistant", "content": ""}),
    _chunk({"content": "Thirty <think>hm</think> [1]"}),
    _chunk({"reasoning_content": "hm"}),
    _chunk({}, "stop"),
    _chunk(None, usage={"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1}}),
    {"error": {"message": "context length 9", "type": "invalid_request_error", "code": "context_length_exceeded"}},
    {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Thirty"}, "finish_reason": "stop"}]},
]
_EVENTS = st.one_of(
    mutations([{"type": kind, **data} for kind, data in _ANTHROPIC]).map(
        lambda event: models_wire.event(str(event.get("type")) if isinstance(event, dict) else "?", _mapping(event))
    ),
    st.sampled_from(_ANTHROPIC).map(lambda event: models_wire.event(*event)),
    mutations(_OPENAI).map(models_wire.data),
    st.sampled_from(_OPENAI).map(models_wire.data),
    st.sampled_from(
        [
            b"data: [DONE]\n\n",
            b"data: \n\n",
            b"data: {\n\n",
            b": x\n\n",
            b"event: error\n\n",
            b"\xff\xfe\n\n",
            b"\r\r",
            b"id: \x00\n",
        ]
    ),
    st.binary(max_size=12),
)
_WHOLE_ANTHROPIC = b"".join(models_wire.event(*event) for event in _ANTHROPIC[:7])
_WHOLE_OPENAI = b"".join([*map(models_wire.data, _OPENAI[:5]), b"data: [DONE]\n\n"])
_BODIES = st.lists(_EVENTS, max_size=8).map(b"".join)
_STREAMS = st.tuples(
    st.sampled_from(["text/event-stream", "application/json", "text/html"]) | st.just("text/event-stream"),
    st.sampled_from([200, 200, 200, 400, 429, 500]),
    st.one_of(_BODIES, _BODIES.map(_WHOLE_ANTHROPIC.__add__), _BODIES.map(_WHOLE_OPENAI.__add__)),
    st.lists(st.integers(0, 600), max_size=3),
    st.sampled_from(["complete", "cut off", "reset"]) | st.just("complete"),
)
Stream = tuple[str, int, bytes, Sequence[int], str]


def _mapping(value: Any) -> dict[str, Any]:
    return {name: one for name, one in value.items() if name != "type"} if isinstance(value, dict) else {"x": value}


class _Server:
    """Answers every request with the stream that is set."""

    def __init__(self) -> None:
        self.stream: Stream = ("text/event-stream", 200, b"", (), "complete")
        self.http = HttpServer(self._answer)

    async def _answer(self, exchange: Exchange) -> None:
        content_type, status, body, cuts, end = self.stream
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
        exchange.writer.write(head.encode())
        places = [0, *sorted(cut for cut in cuts if 0 < cut < len(body)), len(body)]
        with suppress(ClientGoneError):
            for start, stop in itertools.pairwise(places):
                if start < stop:
                    await exchange.send(body[start:stop])
            if end == "complete":
                await exchange.end_stream()
        if end == "reset":
            exchange.reset()
        elif end == "cut off":
            exchange.cut_off()


async def _check(llm: Adapter) -> None:
    asked = await asyncio.wait_for(ask(llm), 120)
    (call,) = asked.calls
    for number in (call.usage.prompt_tokens, call.usage.completion_tokens, call.usage.reasoning_tokens):
        assert isinstance(number, int)
        assert 0 <= number < 2**31, number
    assert asked.text == storable(asked.text)
    if asked.error is not None:
        assert not asked.ended
        assert "\n" not in str(asked.error)
        assert call.status == "error"
    else:
        assert asked.events[-1:] == asked.ended
        assert call.status == "ok"


@contextmanager
def _opened() -> Iterator[Callable[[Any], None]]:
    server = _Server()
    with asyncio.Runner() as runner:
        runner.run(server.http.start())
        url = f"http://127.0.0.1:{server.http.port}"
        llms: list[Adapter] = [
            AnthropicLLM("k", ANTHROPIC_MODELS, accounting("anthropic"), base_url=url),
            *(
                OpenAILLM(
                    "k", OPENAI_MODELS, accounting("openai"), base_url=f"{url}/v1", compatible=kind, usage_timeout=1
                )
                for kind in (False, True)
            ),
        ]

        def check(stream: Stream) -> None:
            server.stream = stream
            for llm in llms:
                runner.run(_check(llm))

        yield check
        for llm in llms:
            runner.run(llm.aclose())
        runner.run(server.http.stop())


STREAMS = Target("answer-streams", _STREAMS, _opened, few=60)
