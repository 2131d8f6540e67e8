"""A local HTTP server that misbehaves on demand and records requests and responses."""

import contextlib
import email.utils
import hashlib
import http.server
import os
import re
import socket
import struct
import threading
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Literal, Self

BLOCK = 4096
Status = int | tuple[int, Mapping[str, str]]


@dataclass
class Request:
    """A request and the response to it. `sent` is the number of file bytes that the server sent."""

    path: str
    headers: dict[str, str]
    status: int = 0
    sent: int = 0

    @property
    def range(self) -> str | None:
        return self.headers.get("Range")


@dataclass
class FlakyServer:
    """Serve the files in `folder` at `url` during the `with` block. All settings can be changed between requests.

    Attributes
    ----------
    ranges
        True: respect Range. False: ignore Range and send the complete file. "blindly": respect Range, ignore If-Range.
    validators
        Headers to send: any of ETag, W/ETag (a weak ETag) and Last-Modified. Their values depend on the content only.
    drop_after
        Number of file bytes after which a response is cut off; None: never.
    drops
        Number of responses to cut off; None: all.
    manner
        Method of cutting a response off: "close" the connection, "reset" it, or "stall" until the server ends.
    statuses
        The first responses for each path: a status, or a status and headers. 200 is a regular response.
    contents
        Contents of successive regular responses for each path; the last one repeats. They take precedence over
        `folder`.
    content_range
        Content-Range to send with status 206 and 416; None: the correct value.
    framing
        Method of marking the end of a response: "length" (Content-Length), "chunked", or "close" the connection.
    requests
        All requests received, in order.
    """

    folder: str | Path = "."
    _: KW_ONLY
    ranges: bool | Literal["blindly"] = True
    validators: Iterable[str] = ("ETag", "Last-Modified")
    drop_after: int | None = None
    drops: int | None = None
    manner: Literal["close", "reset", "stall"] = "close"
    statuses: Mapping[str, Iterable[Status]] = field(default_factory=dict)
    contents: Mapping[str, Iterable[bytes]] = field(default_factory=dict)
    content_range: str | None = None
    framing: Literal["length", "chunked", "close"] = "length"
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.statuses = {path: list(answers) for path, answers in self.statuses.items()}
        self.contents = {path: list(versions) for path, versions in self.contents.items()}
        self.ended = threading.Event()
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.flaky = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def content(self, path: str) -> bytes | None:
        """Return the content to send for `path`; None if there is no such file."""
        if versions := self.contents.get(path):
            return versions.pop(0) if len(versions) > 1 else versions[0]
        file = Path(self.folder) / path.lstrip("/")
        return file.read_bytes() if file.is_file() else None

    def version(self, content: bytes) -> dict[str, str]:
        """Return the validator headers for a content."""
        digest = hashlib.sha256(content).hexdigest()
        about = {
            "ETag": f'"{digest[:16]}"',
            "W/ETag": f'W/"{digest[:16]}"',
            "Last-Modified": email.utils.formatdate(1.6e9 + int(digest[:7], 16) // 10, usegmt=True),
        }
        return {name.removeprefix("W/"): about[name] for name in self.validators}

    def next_status(self, path: str) -> Status:
        answers = self.statuses.get(path)
        return answers.pop(0) if answers else 200

    def next_drop(self) -> int | None:
        """Return the number of bytes after which this response is cut off; None for a complete response."""
        if self.drop_after is None or self.drops == 0:
            return None
        if self.drops is not None:
            self.drops -= 1
        return self.drop_after


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.close_connection = True
        self.flaky: FlakyServer = self.server.flaky  # type: ignore[attr-defined]
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        self.request_seen = Request(path, dict(self.headers))
        self.flaky.requests.append(self.request_seen)
        with contextlib.suppress(ConnectionError):
            self._answer(path)

    def _answer(self, path: str) -> None:
        status = self.flaky.next_status(path)
        status, headers = status if isinstance(status, tuple) else (status, {})
        content = self.flaky.content(path) if status == 200 else None
        if content is None:
            self._refuse(404 if status == 200 else status, headers)
            return
        about = self.flaky.version(content)
        start = self._start(about)
        if start is None:
            self._send(200, about, content)
            return
        if start < len(content):
            status, place = 206, f"bytes {start}-{len(content) - 1}/{len(content)}"
        else:
            status, place = 416, f"bytes */{len(content)}"
        headers = {**about, "Content-Range": self.flaky.content_range or place}
        if status == 206:
            self._send(status, headers, content[start:])
        else:
            self._refuse(status, headers)

    def _start(self, about: Mapping[str, str]) -> int | None:
        """Return the position of the first byte to send; None for the complete file without a range."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not asked or not self.flaky.ranges:
            return None
        condition = self.headers.get("If-Range")
        changed = condition is not None and condition not in about.values()
        return None if changed and self.flaky.ranges != "blindly" else int(asked[1])

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        framing = {
            "length": {"Content-Length": str(len(body))},
            "chunked": {"Transfer-Encoding": "chunked"},
            "close": {},
        }[self.flaky.framing]
        drop = self.flaky.next_drop()
        sent = body if drop is None else body[:drop]
        self.request_seen.sent = len(sent)  # set before sending, because a test may read it as soon as it has the bytes
        self._head(status, {**headers, **framing})
        chunked = self.flaky.framing == "chunked"
        for at in range(0, len(sent), BLOCK):
            block = sent[at : at + BLOCK]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
        if drop is None or drop >= len(body):
            self.wfile.write(b"0\r\n\r\n" if chunked else b"")
        elif self.flaky.manner == "stall":
            self.flaky.ended.wait(60)
        elif self.flaky.manner == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())

    def _refuse(self, status: int, headers: Mapping[str, str]) -> None:
        self._head(status, {**headers, "Content-Length": "6"})
        self.wfile.write(b"sorry\n")

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.request_seen.status = status
        self.send_response(status)
        for name, value in {**headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
