"""A proxy in front of an S3 server that fails on demand and counts its failures."""

import contextlib
import http.client
import http.server
import os
import re
import socket
import struct
import threading
import time
import urllib.parse
from dataclasses import dataclass, field

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


@dataclass
class Fault:
    """A fault of the first `times` requests with a `method` (a pattern) for keys that match `key`.

    Attributes
    ----------
    kind
        "500" or "503": the errors of S3. "reset": the connection is reset before the request is passed on.
        "cut": the answer stops in the middle. "damaged": one byte of the answer is changed.
        "slow": the answer comes after `seconds`.
    done
        Number of faults so far.
    """

    kind: str
    method: str = "GET|HEAD|PUT|POST|DELETE"
    key: str = ""
    times: float = float("inf")
    seconds: float = 2
    done: int = field(default=0, init=False)

    def takes(self, method, path):
        return self.done < self.times and re.fullmatch(self.method, method) and re.search(self.key, path)


@contextlib.contextmanager
def flaky(endpoint, *faults):
    """Run a proxy with faults to `endpoint` during the block; yield its address."""
    place = urllib.parse.urlparse(endpoint).netloc
    with serving(Proxy, endpoint=place, faults=faults, lock=threading.Lock()) as address:
        yield address


@contextlib.contextmanager
def serving(handler, **state):
    """Serve requests on a free port during the block, with some attributes of the server; yield its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        vars(server).update(state)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def pass_on(self):
        with self.server.lock:
            fault = next((each for each in self.server.faults if each.takes(self.command, self.path)), None)
            if fault:
                fault.done += 1
        kind = fault.kind if fault else None
        if kind == "reset":
            self.reset()
            return
        body = self.body()
        if kind in ("500", "503"):
            code, message = {"500": ("InternalError", "We failed"), "503": ("SlowDown", "Less, please")}[kind]
            error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
            self.answer(int(kind), {"Content-Type": "application/xml"}, error)
            return
        if kind == "slow":
            time.sleep(fault.seconds)
        connection = http.client.HTTPConnection(self.server.endpoint, timeout=60)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():  # including Host, which is signed
            if name.lower() not in HOP_BY_HOP | {"expect"}:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP}
        if kind == "damaged" and content:
            at = min(600, len(content) // 2)
            content = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        self.answer(answer.status, headers, content, cut=kind == "cut")
        connection.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on  # noqa: N815

    def body(self):
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status, headers, content, *, cut=False):
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        length = headers.get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.reset()

    def handle_expect_100(self):
        return True  # answered when the body is read

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        self.close_connection = True

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(OSError, ValueError):  # the client went away, or the connection was reset
            super().handle()

    def finish(self):
        with contextlib.suppress(OSError, ValueError):
            super().finish()
