"""An OpenAI-compatible server that says what a test gives it, and no more until the test lets it go on."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECE = 400
"""Characters of a delta."""


class Script(ThreadingHTTPServer):
    """Answers everything with `begins` and, once `go_on` is set, with `ends`. Keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.allow = f"127.0.0.1:{self.server_port},127.0.0.0/8"
        """What an instance must be told, for its workers to reach it."""
        self.begins, self.ends = "", ""
        self.go_on = threading.Event()
        self.asked: list[dict[str, Any]] = []

    def says(self, begins: str, ends: str = "") -> None:
        """What is said next; `ends` waits for `go_on`."""
        self.go_on.clear()
        self.begins, self.ends = begins, ends

    def handle_error(self, *_: Any) -> None:
        """Clients may go away."""


class _Handler(BaseHTTPRequestHandler):
    server: Script
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._whole({"data": [{"id": "some-model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(body)
        begins, ends = self.server.begins, self.server.ends
        if not body.get("stream"):
            self._whole(
                {"choices": [{"message": {"content": begins + ends}, "finish_reason": "stop"}], "usage": _usage()}
            )
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self._tell(begins)
        if ends:
            self.server.go_on.wait(300)
            self._tell(ends)
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._event({"choices": [], "usage": _usage()})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _tell(self, text: str) -> None:
        for at in range(0, len(text), PIECE):
            delta = {"content": text[at : at + PIECE]}
            self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    def _event(self, event: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())

    def _whole(self, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _usage() -> dict[str, int]:
    return {"prompt_tokens": 7, "completion_tokens": 3}


@contextmanager
def scripted() -> Iterator[Script]:
    """A running one."""
    server = Script()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.go_on.set()
        server.shutdown()
        server.server_close()
