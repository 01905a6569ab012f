"""A place without data, a mirror on this machine, and the folder of real data where there is one."""

from __future__ import annotations

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("ALTMIN_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


class Handler(BaseHTTPRequestHandler):
    """Serves the mirror's files; ranges, breaks and silence as the mirror says."""

    def do_GET(self):
        mirror: Mirror = self.server.mirror  # type: ignore[attr-defined]
        mirror.requests.append((self.path, self.headers.get("Range")))
        if any(self.path.startswith(path) for path in mirror.silent):
            mirror.over.wait(30)
            return
        if self.path in mirror.raw:
            self.send(mirror)
            return
        if self.path not in mirror.files:
            self.send_error(404)
            return
        self.reply(mirror, mirror.files[self.path])

    def send(self, mirror: Mirror) -> None:
        """Send bytes as they are, over and over where they shall have no end."""
        head, again, pause = mirror.raw[self.path]
        with suppress(OSError):
            self.wfile.write(head)
            while again and not mirror.over.wait(pause):
                self.wfile.write(again)
                mirror.sent += len(again)
        self.close_connection = True

    def reply(self, mirror: Mirror, body: bytes) -> None:
        start = int(self.headers["Range"][6:-1]) if mirror.ranges and "Range" in self.headers else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = mirror.breaks.pop(0) if mirror.breaks else len(body)
        self.wfile.write(body[start:end])

    def log_message(self, format, *args):
        pass


class Mirror:
    """A web server on this machine.

    Attributes:
        files: What it serves by path.
        breaks: The byte of the file at which each of the next replies breaks off.
        ranges: Whether it can resume.
        silent: Paths it never answers.
        raw: By path: bytes that are sent as they are, headers included, bytes that follow them without an end, and the
            seconds between these.
        sent: How many of the latter were sent.
        requests: The (path, range) of every request so far.
        over: Set when the test is over.
    """

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.breaks: list[int] = []
        self.ranges = True
        self.silent: list[str] = []
        self.raw: dict[str, tuple[bytes, bytes, float]] = {}
        self.sent = 0
        self.requests: list[tuple[str, str | None]] = []
        self.over = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.mirror = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def mirror(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    mirror = Mirror()
    thread = threading.Thread(target=mirror.server.serve_forever, args=(0.01,))
    thread.start()
    yield mirror
    mirror.over.set()
    mirror.server.shutdown()
    mirror.server.server_close()
    thread.join()
