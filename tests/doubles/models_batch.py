"""The batch APIs of both providers: a batch waits until a test processes it, and its results are in another order.

batch = await llm_batch.submit(prompts)
double.batches.work(2)                # two prompts are answered
double.batches.end("expired")         # the rest is not answered
"""

from __future__ import annotations

import email
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from tests.doubles import models_wire as wire
from tests.doubles.models_billing import ProviderName
from tests.doubles.models_http import Exchange
from tests.doubles.models_replies import Seen

Ending = Literal["completed", "expired", "cancelled", "failed"]
Write = Callable[[Seen], tuple[int, dict[str, Any]]]

_LASTED, _DAY = 600, 86_400
_CUSTOM_ID = re.compile("[a-zA-Z0-9_-]{1,64}")
"""The form that Anthropic requires."""


@dataclass(slots=True)
class Job:
    """One batch. ``answers`` are status and body by ``custom_id``."""

    id: str
    provider: ProviderName
    headers: Mapping[str, str]
    requests: dict[str, Mapping[str, Any]]
    answers: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    ended: Ending | None = None
    cancelling: bool = False
    archived: bool = False
    metadata: Mapping[str, str] | None = None
    created_at: int = field(default_factory=lambda: int(time.time()))

    def counts(self) -> dict[str, int]:
        good = sum(status < 400 for status, _ in self.answers.values())
        return {"good": good, "bad": len(self.answers) - good, "rest": len(self.requests) - len(self.answers)}


class BatchDesk:
    """Batches and files. ``jobs`` holds every batch, ``files`` every file by its id."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self.jobs: list[Job] = []
        self.files: dict[str, bytes] = {}

    def work(self, most: int | None = None) -> None:
        """Answer the next prompts of the last batch."""
        job = self.jobs[-1]
        waiting = [name for name in job.requests if name not in job.answers]
        for name in waiting[:most]:
            path = "/v1/messages" if job.provider == "anthropic" else "/v1/chat/completions"
            number = len(job.answers)
            job.answers[name] = self._write(Seen(number, job.provider, path, job.headers, job.requests[name]))

    def end(self, how: Ending = "completed") -> None:
        """End the last batch."""
        self.jobs[-1].ended = how

    def serves(self, path: str, openai_kind: str) -> bool:
        if path.startswith("/v1/messages/batches"):
            return True
        return openai_kind == "openai" and path.startswith(("/v1/files", "/v1/batches"))

    async def handle(self, exchange: Exchange, seen: Seen, method: str, *, authorised: bool) -> None:
        make = wire.anthropic_error if seen.provider == "anthropic" else wire.openai_error
        if not authorised:
            await exchange.answer_json(*make(401, "authentication_error", "invalid key"))
            return
        _, _, rest = exchange.path.partition("/batches")
        if exchange.path.startswith("/v1/files"):
            await self._file(exchange, method)
        elif method == "POST" and not rest:
            await self._create(exchange, seen)
        elif not rest:
            await self._list(exchange, seen)
        else:
            name, _, action = rest.strip("/").partition("/")
            job = next((job for job in self.jobs if job.id == name), None)
            if job is None:
                await exchange.answer_json(*make(404, "not_found_error", f"batch {name} not found"))
                return
            job.cancelling = job.cancelling or action == "cancel"
            if action == "results":
                await exchange.answer(200, self._anthropic_results(job), "application/x-jsonl")
                return
            await self._show(exchange, job)

    async def _show(self, exchange: Exchange, job: Job) -> None:
        shown = self._anthropic(job, exchange) if job.provider == "anthropic" else self._openai(job)
        await exchange.answer_json(200, shown)

    async def _list(self, exchange: Exchange, seen: Seen) -> None:
        """Show every batch of the provider on one page, the newest first."""
        jobs = [job for job in reversed(self.jobs) if job.provider == seen.provider]
        if seen.provider == "anthropic":
            shown = [self._anthropic(job, exchange) for job in jobs]
        else:
            shown = [self._openai(job) for job in jobs]
        ends = {"first_id": shown[0]["id"] if shown else None, "last_id": shown[-1]["id"] if shown else None}
        await exchange.answer_json(200, {"object": "list", "data": shown, "has_more": False, **ends})

    async def _create(self, exchange: Exchange, seen: Seen) -> None:
        if seen.provider == "anthropic":
            rows = {str(row["custom_id"]): row["params"] for row in seen.body["requests"]}
        else:
            lines = map(json.loads, self.files[str(seen.body["input_file_id"])].splitlines())
            rows = {str(row["custom_id"]): row["body"] for row in lines}
        if any("stream" in row for row in rows.values()):
            await exchange.answer_json(*wire.openai_error(400, "invalid_request_error", "stream: not in a batch"))
            return
        if any(not _CUSTOM_ID.fullmatch(name) for name in rows):
            await exchange.answer_json(*wire.openai_error(400, "invalid_request_error", "custom_id: wrong form"))
            return
        job = Job(f"batch_{len(self.jobs)}", seen.provider, seen.headers, rows, metadata=seen.body.get("metadata"))
        self.jobs.append(job)
        await self._show(exchange, job)

    async def _file(self, exchange: Exchange, method: str) -> None:
        name = exchange.path.removeprefix("/v1/files").strip("/").partition("/")[0]
        if method == "POST":
            name = f"file_{len(self.files)}"
            self.files[name] = _uploaded(exchange)
            size = len(self.files[name])
            shown = {
                "id": name,
                "object": "file",
                "bytes": size,
                "created_at": int(time.time()),
                "filename": "prompts.jsonl",
            }
            await exchange.answer_json(200, shown | {"purpose": "batch", "status": "processed"})
        elif name in self.files:
            await exchange.answer(200, self.files[name], "application/octet-stream")
        else:
            await exchange.answer_json(*wire.openai_error(404, "invalid_request_error", f"No such File object: {name}"))

    # --- Anthropic

    def _anthropic(self, job: Job, exchange: Exchange) -> dict[str, Any]:
        counts = job.counts()
        over = job.ended is not None
        url = f"http://{exchange.headers['host']}/v1/messages/batches/{job.id}/results"
        return {
            "id": job.id,
            "type": "message_batch",
            "processing_status": "ended" if over else "canceling" if job.cancelling else "in_progress",
            "request_counts": {
                "processing": 0 if over else len(job.requests),
                "succeeded": counts["good"] if over else 0,
                "errored": counts["bad"] if over else 0,
                "canceled": counts["rest"] if job.ended == "cancelled" else 0,
                "expired": counts["rest"] if job.ended == "expired" else 0,
            },
            "created_at": _iso(job.created_at),
            "expires_at": _iso(job.created_at + _DAY),
            "ended_at": _iso(job.created_at + _LASTED) if over else None,
            "cancel_initiated_at": None,
            "archived_at": None,
            "results_url": url if over and not job.archived else None,
        }

    def _anthropic_results(self, job: Job) -> bytes:
        lines = []
        for name in reversed(job.requests):
            status, body = job.answers.get(name, (0, {}))
            result: dict[str, Any] = {"type": "canceled" if job.ended == "cancelled" else "expired"}
            if status:
                result = {"type": "succeeded", "message": body} if status < 400 else {"type": "errored", "error": body}
            lines.append(json.dumps({"custom_id": name, "result": result}, ensure_ascii=False))
        return "\n".join(lines).encode()

    # --- OpenAI

    def _openai(self, job: Job) -> dict[str, Any]:
        counts = job.counts()
        status = job.ended or ("cancelling" if job.cancelling else "in_progress")
        files = self._openai_files(job) if job.ended and job.ended != "failed" else {}
        wrong = {"code": "invalid_json_line", "message": "Line 1 is not valid JSON.", "param": None, "line": 1}
        return files | {
            "id": job.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "created_at": job.created_at,
            "completed_at": job.created_at + _LASTED if job.ended == "completed" else None,
            "metadata": job.metadata,
            "input_file_id": "file_0",
            "status": status,
            "errors": {"object": "list", "data": [wrong]} if job.ended == "failed" else None,
            "request_counts": {"total": len(job.requests), "completed": counts["good"], "failed": counts["bad"]},
        }

    def _openai_files(self, job: Job) -> dict[str, Any]:
        """Write answers and errors to separate files. Prompts that a cancellation left out are in neither."""
        good: list[str] = []
        bad: list[str] = []
        for name in reversed(job.requests):
            row: dict[str, Any] = {"id": f"batch_req_{name}", "custom_id": name, "response": None, "error": None}
            status, body = job.answers.get(name, (0, {}))
            if status:
                row["response"] = {"status_code": status, "request_id": "req", "body": body}
            elif job.ended == "expired":
                row["error"] = {"code": "batch_expired", "message": "This request could not be executed in time."}
            else:
                continue
            (good if 0 < status < 400 else bad).append(json.dumps(row, ensure_ascii=False))
        found: dict[str, Any] = {}
        for kind, lines in (("output_file_id", good), ("error_file_id", bad)):
            if lines:
                found[kind] = f"{job.id}_{kind}"
                self.files[found[kind]] = "\n".join(lines).encode()
        return found


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _uploaded(exchange: Exchange) -> bytes:
    """Return the file of a form; the purpose is required."""
    head = f"content-type: {exchange.headers['content-type']}\r\n\r\n".encode()
    parts = {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
        for part in email.message_from_bytes(head + exchange.body).walk()
        if not part.is_multipart()
    }
    assert parts["purpose"] == b"batch"
    file = parts["file"]
    assert isinstance(file, bytes)
    return file
