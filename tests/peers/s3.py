"""A store of objects of a test's own: moto's S3 server, in a process of its own, which can go, hang, and come back empty.

    with S3() as s3:
        s3.section()          # [raw_mail] for it
        s3.objects()          # what lies there: name → bytes
        s3.stall(); s3.go_on(); s3.kill(); s3.start()

In front of it stands a gate, where a test counts requests, and answers some in the server's place: `s3.answer(...)`.
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from xml.etree import ElementTree

from peers.processes import PeerMissing, Program, accepts, free_port, private_folder

BUCKET, PREFIX = "mail", "post/room"
ACCESS, SECRET = "AKIAPOSTROOM", "object-secret-canary-9921"
SIGNED = f"AWS4-HMAC-SHA256 Credential={ACCESS}/20261123/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"  # moto believes it
XMLNS = "{http://s3.amazonaws.com/doc/2006-03-01/}"

Answer = Callable[[str, str], tuple[int, bytes] | None]  # verb and path → status and body; None asks the server


class S3:
    """Runs while the `with` block does."""

    def __init__(self) -> None:
        if importlib.util.find_spec("moto") is None or importlib.util.find_spec("obstore") is None:
            raise PeerMissing("moto or obstore is not installed: pip install 'moto[server]' obstore")
        self.port = free_port()
        self.requests: list[tuple[str, str]] = []
        self._answer: Answer = lambda verb, path: None
        self._stack = ExitStack()
        self._program: Program | None = None

    def __enter__(self) -> Self:
        self.folder = self._stack.enter_context(private_folder("postroom-s3"))
        self._stack.callback(self.kill)
        self.start()
        self._gate = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._gate.daemon_threads = True
        threading.Thread(target=self._gate.serve_forever, daemon=True).start()
        self._stack.callback(self._gate.server_close)
        self._stack.callback(self._gate.shutdown)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stack.close()

    @property
    def endpoint(self) -> str:
        """Where Postroom finds it: the gate."""
        return f"http://127.0.0.1:{self._gate.server_port}"

    def start(self) -> None:
        """Start the server, which is empty but for the bucket."""
        command = [sys.executable, "-P", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        env = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONPATH": ""}
        self._program = Program(command, self.folder / "moto.log", cwd=self.folder, env=env)
        self._program.wait_until_ready(lambda: accepts(self.port), "moto answers", 60)
        self.ask("PUT", f"/{BUCKET}")

    def begin(self) -> None:
        """As new, whatever was done to it."""
        self._answer = lambda verb, path: None
        if self._program is None:
            self.start()
        self.go_on()
        for name in self.objects():
            self.remove(name)
        self.requests.clear()

    def kill(self) -> None:
        """The server dies; whoever asks is refused."""
        if self._program is not None:
            self._program.send(signal.SIGCONT)
            self._program.stop(signal.SIGKILL)
            self._program = None

    def stall(self) -> None:
        """It takes connections, and says nothing."""
        assert self._program
        self._program.send(signal.SIGSTOP)

    def go_on(self) -> None:
        """It answers again."""
        assert self._program
        self._program.send(signal.SIGCONT)

    def answer(self, answer: Answer) -> None:
        """Let the gate answer in the server's place, where `answer(verb, path)` is not None."""
        self._answer = answer

    def section(self, **changes: Any) -> dict[str, Any]:
        """`[raw_mail]` for it; the secret is in $POSTROOM_TEST_SECRET."""
        return {
            "url": f"s3://{BUCKET}/{PREFIX}", "endpoint": self.endpoint, "access_key": ACCESS,
            "secret_key_env": "POSTROOM_TEST_SECRET", **changes,
        }  # fmt: skip

    def objects(self) -> dict[str, bytes]:
        """What lies below the prefix: name → bytes."""
        page = ElementTree.fromstring(self.ask("GET", f"/{BUCKET}?list-type=2&prefix={PREFIX}/"))
        keys = [str(found.text) for found in page.iter(f"{XMLNS}Key")]
        return {key.removeprefix(f"{PREFIX}/"): self.ask("GET", f"/{BUCKET}/{key}") for key in keys}

    def put(self, name: str, content: bytes) -> None:
        """Write over an object, or make one."""
        self.ask("PUT", f"/{BUCKET}/{PREFIX}/{name}", content)

    def remove(self, name: str) -> None:
        """Take an object away."""
        self.ask("DELETE", f"/{BUCKET}/{PREFIX}/{name}")

    def ask(self, verb: str, path: str, body: bytes | None = None) -> bytes:
        """One request to the server itself, past the gate."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body, method=verb)
        request.add_header("Authorization", SIGNED)
        request.add_header("Content-Type", "application/octet-stream")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())

    def forward(self, verb: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """What the server, or the gate in its place, says to a request."""
        self.requests.append((verb, re.sub(r"\?.*", "", path)))
        if (said := self._answer(verb, path)) is not None:
            return said[0], {}, said[1]
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body or None, method=verb)
        for name, value in {"Content-Type": "application/octet-stream", **headers}.items():
            request.add_header(name, value)  # without a type urllib says that it is a form
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()


def _handler(s3: S3) -> type[BaseHTTPRequestHandler]:
    class Gate(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            given = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
            given["Host"] = self.headers["Host"]
            try:
                status, headers, answer = s3.forward(self.command, self.path, given, body)
            except OSError:  # the server is gone: so are we
                self.close_connection = True
                return
            try:
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(name, value)
                length = headers.get("Content-Length", len(answer)) if self.command == "HEAD" else len(answer)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)
            except OSError:
                self.close_connection = True

        do_PUT = do_POST = do_DELETE = do_HEAD = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Gate
