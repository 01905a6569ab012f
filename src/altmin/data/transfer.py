"""Bytes from a web server into a partial file: within bounds of size and time, whatever the server sends."""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from threading import Event, Timer
from typing import Any, BinaryIO
from urllib import request
from urllib.error import HTTPError

from altmin.errors import DataError

DownloadProgress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes that are there, and how many it has in all where that is known."""

CHUNK = 1 << 18
TIMEOUT = 30.0
SLOWEST = 1024  # bytes a second; a server that sends fewer has stalled
TRIES = 100  # transfers of one file that may break off


def complete(url: str, part: BinaryIO, name: str, most: int, progress: DownloadProgress | None, timeout: float) -> None:
    """Transfer until `part` is complete; a transfer that breaks off is taken up again as long as it gains bytes.

    Raises:
        DataError: More than `most` bytes.
        OSError: No whole file, after all tries.
        HTTPException: The same, where the server does not speak HTTP.
    """
    for left in reversed(range(TRIES)):
        before = size(part)
        try:
            return transfer(url, part, name, most, progress, timeout)
        except TimeoutError:
            raise
        except (OSError, HTTPException):
            if size(part) <= before or not left:
                raise


def transfer(url: str, part: BinaryIO, name: str, most: int, progress: DownloadProgress | None, timeout: float) -> None:
    """Append to `part` what it lacks of `url`, or write it anew if the server cannot resume."""
    start = size(part)
    headers = {"User-Agent": "altmin", "Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        reply = _opener().open(request.Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        if error.code == 416 and start:  # nothing lies beyond `start`: whether the bytes are right is for the check
            return error.close()
        raise
    with reply:
        if reply.status != 206:
            start = 0
        elif not reply.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise ConnectionError("the server sent another range than was asked for")
        length = _length(reply)
        total = None if length is None else start + length
        if total is not None and total > most:
            raise DataError(f"the server offers {total:,} bytes, but the file has {most:,} at most")
        receive(reply, part, name, start, total, most, progress, timeout)


def receive(
    reply: HTTPResponse,
    part: BinaryIO,
    name: str,
    start: int,
    total: int | None,
    most: int,
    progress: DownloadProgress | None,
    timeout: float,
) -> None:
    """Write a reply to `part` from byte `start` on."""
    part.seek(start)
    part.truncate()
    watched, since = time.monotonic(), start
    while chunk := reply.read1(CHUNK):
        start += len(chunk)
        if start > most:
            raise DataError(f"the server sends more than {most:,} bytes, which the file has at most")
        _write(part, chunk)
        if progress:
            progress(name, start, total)
        if (passed := time.monotonic() - watched) > timeout:
            if start - since < SLOWEST * passed:
                raise TimeoutError(f"the server sent {start - since:,} bytes in {passed:.0f} seconds")
            watched, since = time.monotonic(), start
    if total is not None and start != total:
        raise ConnectionError(f"the transfer broke off at {start:,} of {total:,} bytes")


def size(part: BinaryIO) -> int:
    """A file's number of bytes."""
    return os.fstat(part.fileno()).st_size


def _write(part: BinaryIO, chunk: bytes) -> None:
    """Write all of a chunk to a file without a buffer, which may take less at once."""
    view = memoryview(chunk)
    while view:
        view = view[part.write(view) :]


def _length(reply: HTTPResponse) -> int | None:
    """What a reply says of its length."""
    text = reply.headers.get("Content-Length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise ConnectionError(f"the server sent the length {text[:40]!r}, which is no number of bytes")
    return int(text)


class _Hurried(request.AbstractHTTPHandler):
    """Hangs up where the headers are not there in time: a socket's own timeout starts again with every byte."""

    def do_open(self, http_class: Any, req: request.Request, **options: Any) -> HTTPResponse:
        def connection(host: str, **more: Any) -> Any:
            made = http_class(host, **more)
            made.getresponse = _in_time(made, made.getresponse)
            return made

        return super().do_open(connection, req, **options)  # type: ignore[arg-type]


def _in_time(connection: Any, respond: Callable[[], HTTPResponse]) -> Callable[[], HTTPResponse]:
    def getresponse() -> HTTPResponse:
        late = Event()
        timer = Timer(connection.timeout, _hang_up, (connection.sock, late))
        timer.daemon = True
        timer.start()
        try:
            return respond()
        finally:
            timer.cancel()
            if late.is_set():  # an end that is a hang-up looks like the end of the headers
                connection.close()
                raise TimeoutError(f"the server sent no whole headers in {connection.timeout:g} seconds")

    return getresponse


def _hang_up(sock: socket.socket, late: Event) -> None:
    late.set()
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


class _HTTP(_Hurried, request.HTTPHandler):
    pass


class _HTTPS(_Hurried, request.HTTPSHandler):
    pass


class _Redirect(request.HTTPRedirectHandler):
    """Follows to other web servers, without the page that comes with the redirection: it may have no end."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        fp.close()
        return super().http_error_302(req, io.BytesIO(), code, msg, headers)  # type: ignore[arg-type]

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener() -> request.OpenerDirector:
    """What opens addresses of web servers, and none of files or by FTP."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler,
        _HTTP,
        _HTTPS,
        _Redirect,
        request.UnknownHandler,
        request.HTTPDefaultErrorHandler,
        request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener
