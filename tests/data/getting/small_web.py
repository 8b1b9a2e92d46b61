"""A small web server on this machine that serves bytes, and stumbles when it is told to."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Web:
    """What the server serves and what it was asked.

    Attributes:
        files: path (``/a/b.txt``) → content.
        script: for each coming request in order, what goes wrong: ``500``, ``cut`` (the connection ends in the middle),
            ``429`` (with Retry-After: 7); an empty string or nothing left is a good answer.
        ranges: whether ranges are understood.
        tags: whether files carry an ETag.
        asked: (path, Range header) of each request.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    script: list[str] = field(default_factory=list)
    ranges: bool = True
    tags: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)

    def url(self, path: str) -> str:
        """Address of a file."""
        return f"{self.address}{path}"


def _handler(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            web.asked.append((self.path, wanted))
            trouble = web.script.pop(0) if web.script else ""
            if trouble in ("500", "429", "403"):
                self.send_response(int(trouble))
                if trouble == "429":
                    self.send_header("Retry-After", "7")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if self.path not in web.files:
                self.send_error(404)
                return
            content = web.files[self.path]
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            start = 0
            if web.ranges and wanted and self.headers.get("If-Range", tag) == tag:
                start = int(wanted.removeprefix("bytes=").partition("-")[0])
                if start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            if web.tags:
                self.send_header("ETag", tag)
            body = content[start:]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if trouble == "cut" else body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves in the middle is what some tests are about."""


@contextmanager
def serve() -> Iterator[Web]:
    """Run a server until the block ends."""
    web = Web()
    server = _Quiet(("127.0.0.1", 0), _handler(web))
    server.daemon_threads = True
    web.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
