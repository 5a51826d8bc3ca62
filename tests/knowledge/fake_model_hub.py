"""A model hub on loopback: serves the files of folders as the hub's HTTP API does, and records every request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeHub:
    """``folders`` maps the names of models to their files. A request for a name in ``failing`` gets HTTP 503."""

    folders: Mapping[str, Path]
    failing: frozenset[str]
    url: str = ""
    requests: list[str] = field(default_factory=list)

    def requests_for(self, model: str) -> list[str]:
        """Return the requests for one model, in order."""
        return [request for request in self.requests if model in request]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, hub: FakeHub, *args: object) -> None:
        self._hub = hub
        super().__init__(*args)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Write no access log."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self._hub.requests.append(f"{self.command} {path}")
        parts = path.removeprefix("api/models/").split("/")
        model, rest = "/".join(parts[:2]), parts[2:]
        if model in self._hub.failing:
            self._send(503)
        elif model not in self._hub.folders:
            self._send(404, error="RepoNotFound")
        elif path.startswith("api/models/"):
            self._describe(model, rest)
        else:
            self._send_file(self._hub.folders[model] / "/".join(rest[2:]))

    def _describe(self, model: str, rest: list[str]) -> None:
        folder = self._hub.folders[model]
        files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
        if rest[:1] == ["tree"]:
            self._send(404, error="EntryNotFound")
            return
        document = {"id": model, "modelId": model, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
        self._send(200, json.dumps(document).encode())

    def _send_file(self, file: Path) -> None:
        if file.is_file():
            self._send(200, file.read_bytes())
        else:
            self._send(404, error="EntryNotFound")

    def _send(self, status: int, body: bytes = b"", error: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def serving(folders: Mapping[str, Path], failing: frozenset[str] = frozenset()) -> Iterator[FakeHub]:
    """Serve models from folders; the folders may be filled later."""
    hub = FakeHub(folders, failing)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, hub)) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
