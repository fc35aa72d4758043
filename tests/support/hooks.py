"""A receiver of webhooks: a real HTTP server that checks signatures by itself and does as it is told."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Received(NamedTuple):
    """A message that came: its id, what it says, and which of the known secrets signed it."""

    id: str
    path: str
    message: dict[str, Any]
    signed_by: list[str]


class Answer(NamedTuple):
    """What to answer; after so many seconds."""

    status: int = 204
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    after: float = 0.0


class Hooks:
    """The receiver. ``plan`` says what the n-th request (from 0) is answered; ``secrets`` are those that it knows."""

    def __init__(self, plan: Callable[[int], Answer] = lambda _number: Answer()) -> None:
        self.plan = plan
        self.secrets: list[str] = []
        self.received: list[Received] = []
        hooks = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = hooks.plan(len(hooks.received))
                hooks.received.append(hooks.read(self.path, dict(self.headers), body))
                time.sleep(answer.after)
                try:
                    self.send_response(answer.status)
                    for name, value in answer.headers:
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(answer.body)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def read(self, path: str, headers: dict[str, str], body: bytes) -> Received:
        """Check a message as the specification says, with nothing of ours."""
        sent = {name.lower(): value for name, value in headers.items()}
        assert sent["content-type"] == "application/json"
        signed = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + body
        given = sent["webhook-signature"].split(" ")
        found = []
        for secret in self.secrets:
            key = base64.b64decode(secret.removeprefix("whsec_"))
            if "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode() in given:
                found.append(secret)
        return Received(sent["webhook-id"], path, json.loads(body), found)

    def kinds(self) -> list[str]:
        """What came, in order."""
        return [each.message["type"] for each in self.received]

    def close(self) -> None:
        """Stop listening."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
