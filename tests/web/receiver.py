"""A real web server on this machine that notes what it is sent and answers as the test wants."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Echo(BaseHTTPRequestHandler):
    """Notes path, body and headers of each POST."""

    def do_POST(self):
        self.server.seen.append((self.path, self.rfile.read(int(self.headers["Content-Length"])), dict(self.headers)))
        self.server.answer(self)

    def log_message(self, *_):
        pass


def answers(status: int, **headers: str):
    """An answer without a body."""

    def answer(handler: Echo) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()

    return answer


@contextmanager
def receiver() -> Iterator[ThreadingHTTPServer]:
    """The server: `seen` has what came, `answer` may be set."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        server.seen, server.answer = [], answers(204)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
