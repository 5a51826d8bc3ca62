"""A double of the model providers: a server on loopback with their wire format, their rules and their bills.

    async with ModelDouble() as double:
        double.script = lambda seen: Reply("Thirty days. [1]")
        settings = load(anthropic_api_key=double.anthropic_key, anthropic_base_url=double.anthropic_url)
        ...
        assert double.bill[0].prompt.read > 0

``script`` is asked for every call that writes text. ``requests`` holds every request, ``bill`` every call that the
provider would charge for. ``now`` is the clock of the prompt caches, in seconds; move it to let them expire.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from types import TracebackType
from typing import Any, Literal

from tests.doubles import models_wire as wire
from tests.doubles.models_batch import BatchDesk
from tests.doubles.models_billing import (
    _TOKEN,
    PRICES,
    AnthropicCache,
    Billed,
    Metered,
    OpenAICache,
    ProviderName,
    dollars,
    tokens,
)
from tests.doubles.models_http import ClientGoneError, Exchange, HttpServer, closed_port
from tests.doubles.models_images import images
from tests.doubles.models_replies import Reply, Seen, quoting
from tests.doubles.models_streams import stream

__all__ = ["Billed", "ModelDouble", "Reply", "Seen", "closed_port", "quoting", "tokens"]

HTML = b"<!DOCTYPE html><html><body><h1>Welcome to nginx!</h1></body></html>"
_STATUS_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class ModelDouble:
    """A server for both providers on one port."""

    def __init__(self, *, openai_kind: Literal["openai", "compatible"] = "compatible") -> None:
        self.script: Callable[[Seen], Reply] = quoting
        self.bill: list[Billed] = []
        self.requests: list[Seen] = []
        self.now = 0.0
        self.models = set(PRICES)
        self.blind: set[str] = set()
        self.unlisted: set[str] = set()
        self.counts = True
        self.context_limit = 1_000_000
        self.anthropic_key = "sk-ant-double"
        self.openai_key = "sk-double"
        self.openai_kind = openai_kind
        self._caches = (AnthropicCache(), OpenAICache())
        self.batches = BatchDesk(self.write_later)
        self._server = HttpServer(self._handle)

    async def __aenter__(self) -> ModelDouble:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen on the same port as before."""
        await self._server.start()

    async def stop(self) -> None:
        """Refuse connections from now on."""
        await self._server.stop()

    @property
    def anthropic_url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def openai_url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}/v1"

    @property
    def connections(self) -> int:
        """Return the number of connections opened so far."""
        return self._server.accepted

    @property
    def dollars(self) -> Decimal:
        """Return the total bill, without calls of models that have no price."""
        return sum((line.usd for line in self.bill if line.usd is not None), Decimal(0))

    def charge(self, seen: Seen, prompt: Metered, output: int, *, complete: bool, share: Decimal = Decimal(1)) -> None:
        """Add a line to the bill, at a share of the price."""
        usd = dollars(seen.provider, seen.model, prompt, output)
        usd = None if usd is None else usd * share
        self.bill.append(Billed(seen.provider, seen.model, prompt, output, usd, complete, seen.number))

    # --- routes

    def write_later(self, seen: Seen) -> tuple[int, dict[str, Any]]:
        """Return status and body for one request of a batch, billed at half the price."""
        refused = self.refusal(seen)
        if refused is not None:
            return refused
        reply = self.script(seen)
        if reply.fault == "status":
            kind = _STATUS_TYPES.get(reply.status, "api_error")
            make = wire.anthropic_error if seen.provider == "anthropic" else wire.openai_error
            return make(reply.status, kind, f"scripted {reply.status}")
        reply, prompt = _cut(reply, seen), self._meter(seen)
        output = max(1, tokens(reply.text))
        self.charge(seen, prompt, output, complete=True, share=Decimal("0.5"))
        if seen.provider == "anthropic":
            return 200, wire.anthropic_message(seen, reply, wire.anthropic_usage(prompt, output))
        return 200, wire.openai_completion(seen, reply, wire.openai_usage(prompt, output))

    async def _handle(self, exchange: Exchange) -> None:
        seen = self._seen(exchange)
        self.requests.append(seen)
        match exchange.method, exchange.path:
            case "POST", "/v1/messages":
                await self._write(exchange, seen)
            case "POST", "/v1/messages/count_tokens" if self.counts:
                await self._count(exchange, seen)
            case "POST", "/v1/chat/completions":
                await self._write(exchange, seen)
            case "POST", "/v1/embeddings":
                await self._embed(exchange, seen)
            case "GET", path if path.startswith("/v1/models"):
                await self._list(exchange, seen)
            case method, path if self.batches.serves(path, self.openai_kind):
                wanted = self.anthropic_key if seen.provider == "anthropic" else self.openai_key
                await self.batches.handle(exchange, seen, method, authorised=wire.key_of(seen) == wanted)
            case _:
                await exchange.answer(404, b"404 page not found", "text/plain")

    def _seen(self, exchange: Exchange) -> Seen:
        anthropic = "anthropic-version" in exchange.headers or exchange.path.startswith("/v1/messages")
        provider: ProviderName = "anthropic" if anthropic else "openai"
        is_json = exchange.body and "multipart" not in exchange.headers.get("content-type", "")
        body = json.loads(exchange.body) if is_json else {}
        return Seen(len(self.requests), provider, exchange.path, exchange.headers, body)

    async def _write(self, exchange: Exchange, seen: Seen) -> None:
        refusal = self.refusal(seen)
        if refusal is not None:
            await exchange.answer_json(*refusal)
            return
        reply = self.script(seen)
        if await self._fails_at_once(exchange, seen, reply):
            return
        prompt = self._meter(seen)
        if prompt.total > self.context_limit:
            await exchange.answer_json(*self._too_long(seen, prompt.total))
            return
        reply = _cut(reply, seen)
        if not seen.body.get("stream") or reply.fault == "whole":
            await self._whole(exchange, seen, reply, prompt)
            return
        await self._streamed(exchange, seen, reply, prompt)

    async def _streamed(self, exchange: Exchange, seen: Seen, reply: Reply, prompt: Metered) -> None:
        complete = False
        try:
            complete = await stream(exchange, seen, reply, prompt)
        except ClientGoneError:
            seen.closed.set()
            raise
        finally:
            pieces = "".join(reply.text[at : at + reply.piece] for at in range(0, len(reply.text), reply.piece))
            sent = pieces if complete else pieces[: seen.pieces_sent * reply.piece]
            if complete or reply.fault not in ("error_event", "empty_stream") or seen.pieces_sent:
                self.charge(seen, prompt, tokens(sent) + tokens(reply.reasoning), complete=complete)

    async def _fails_at_once(self, exchange: Exchange, seen: Seen, reply: Reply) -> bool:
        if reply.fault == "html":
            await exchange.answer(reply.status if reply.status != 500 else 200, HTML, "text/html")
        elif reply.fault == "untyped_html":
            await exchange.answer(200, HTML, "text/plain")
        elif reply.fault == "status":
            headers = {"retry-after": reply.retry_after} if reply.retry_after else {}
            kind = _STATUS_TYPES.get(reply.status, "api_error")
            make = wire.anthropic_error if seen.provider == "anthropic" else wire.openai_error
            words = f"model: {seen.model}" if reply.status == 404 else f"scripted {reply.status}"
            body = reply.error or make(reply.status, kind, words)[1]
            await exchange.answer_json(reply.status, body, headers)
        elif reply.fault == "reset" and reply.after < 0:
            exchange.reset()
        else:
            return False
        return True

    def refusal(self, seen: Seen) -> wire.Refusal | None:
        """Return the provider's reason to reject a request, regardless of the script."""
        if seen.provider == "anthropic":
            refused = wire.refuse_anthropic(seen, self.anthropic_key)
        else:
            refused = wire.refuse_openai(seen, self.openai_key, compatible=self.openai_kind == "compatible")
        return refused or self._unknown_model(seen) or self._cannot_see(seen)

    def _cannot_see(self, seen: Seen) -> wire.Refusal | None:
        if seen.model not in self.blind or not any(images(seen.body)):
            return None
        make = wire.anthropic_error if seen.provider == "anthropic" else wire.openai_error
        return make(400, "invalid_request_error", "image input is not supported by this model")

    def _unknown_model(self, seen: Seen) -> wire.Refusal | None:
        if seen.model in self.models:
            return None
        if seen.provider == "anthropic":
            return wire.anthropic_error(404, "not_found_error", f"model: {seen.model}")
        words = f"The model `{seen.model}` does not exist or you do not have access to it."
        return wire.openai_error(404, "invalid_request_error", words, "model_not_found")

    def _too_long(self, seen: Seen, total: int) -> wire.Refusal:
        if seen.provider == "anthropic":
            words = f"prompt is too long: {total} tokens > {self.context_limit} maximum"
            return wire.anthropic_error(400, "invalid_request_error", words)
        words = f"This model's maximum context length is {self.context_limit} tokens, however you sent {total}."
        return wire.openai_error(400, "invalid_request_error", words, "context_length_exceeded")

    def _meter(self, seen: Seen) -> Metered:
        if seen.provider == "anthropic":
            return self._caches[0].meter(seen.model, wire.anthropic_blocks(seen.body), self.now)
        key = str(seen.body.get("prompt_cache_key", ""))
        return self._caches[1].meter(seen.model, key, wire.openai_blocks(seen.body), self.now)

    async def _whole(self, exchange: Exchange, seen: Seen, reply: Reply, prompt: Metered) -> None:
        output = max(1, tokens(reply.text))
        self.charge(seen, prompt, output, complete=True)
        if seen.provider == "anthropic":
            value = wire.anthropic_message(seen, reply, wire.anthropic_usage(prompt, output))
        else:
            value = wire.openai_completion(seen, reply, wire.openai_usage(prompt, output))
        await exchange.answer_json(200, value)

    async def _count(self, exchange: Exchange, seen: Seen) -> None:
        refusal = wire.refuse_anthropic(seen, self.anthropic_key, counting=True) or self._unknown_model(seen)
        if refusal is not None:
            await exchange.answer_json(*refusal)
            return
        total = sum(block.tokens for block in wire.anthropic_blocks(seen.body))
        await exchange.answer_json(200, {"input_tokens": total})

    async def _list(self, exchange: Exchange, seen: Seen) -> None:
        wanted = self.anthropic_key if seen.provider == "anthropic" else self.openai_key
        make = wire.anthropic_error if seen.provider == "anthropic" else wire.openai_error
        if wire.key_of(seen) != wanted:
            await exchange.answer_json(*make(401, "authentication_error", "invalid key"))
            return
        await exchange.answer_json(200, _models(sorted(self.models - self.unlisted), seen.provider))

    async def _embed(self, exchange: Exchange, seen: Seen) -> None:
        if wire.key_of(seen) != self.openai_key:
            await exchange.answer_json(*wire.openai_error(401, "invalid_request_error", "Incorrect API key provided."))
            return
        refusal = self._unknown_model(seen)
        if refusal is not None:
            await exchange.answer_json(*refusal)
            return
        reply = self.script(seen) if self.script is not quoting else Reply()
        if await self._fails_at_once(exchange, seen, reply):
            return
        texts = [seen.body["input"]] if isinstance(seen.body["input"], str) else list(seen.body["input"])
        size = int(seen.body.get("dimensions") or (3072 if "large" in seen.model else 1536))
        total = sum(map(tokens, texts))
        self.charge(seen, Metered(total), 0, complete=True)
        rows = [_embedding(at, _vector(text, size), seen.body) for at, text in enumerate(texts)]
        usage = {"prompt_tokens": total, "total_tokens": total}
        await exchange.answer_json(200, {"object": "list", "data": rows, "model": seen.model, "usage": usage})


def _cut(reply: Reply, seen: Seen) -> Reply:
    """Cut an answer at max_tokens."""
    most = seen.body.get("max_tokens") or seen.body.get("max_completion_tokens") or 1_000_000
    found = list(_TOKEN.finditer(reply.text))
    if len(found) <= most:
        return reply
    return replace(reply, text=reply.text[: found[most - 1].end()], stop="cut")


def _models(names: list[str], provider: ProviderName) -> dict[str, Any]:
    if provider == "openai":
        rows = [{"id": name, "object": "model", "created": 1_790_000_000, "owned_by": "double"} for name in names]
        return {"object": "list", "data": rows}
    created = "2026-10-14T00:00:00Z"
    listed = [{"id": n, "type": "model", "display_name": n, "created_at": created} for n in names]
    return {"data": listed, "has_more": False, "first_id": names[0], "last_id": names[-1]}


def _vector(text: str, size: int) -> list[float]:
    """Return a unit vector from the words of a text, so that texts that share words have similar vectors."""
    sums = [0.0] * size
    for word in _TOKEN.findall(text.lower()):
        digest = hashlib.sha256(word.encode()).digest()
        for at in range(0, 32, 4):
            sums[int.from_bytes(digest[at : at + 3], "big") % size] += 1.0 if digest[at + 3] & 1 else -1.0
    length = sum(value * value for value in sums) ** 0.5 or 1.0
    return [value / length for value in sums]


def _embedding(at: int, vector: list[float], body: Mapping[str, Any]) -> dict[str, Any]:
    packed = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    return {
        "object": "embedding",
        "index": at,
        "embedding": packed if body.get("encoding_format") == "base64" else vector,
    }
