"""Chromium without a screen, and pages on loopback that tell what it asks for."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from peers.processes import need

BROWSER_SECONDS = 120  # on a machine that is busy
VIRTUAL_MILLISECONDS = 5_000  # of the page's own time, which passes as fast as its work is done


class Pages:
    """What is served, by path, and what was asked for."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.pages: dict[str, str] = {}
        self.asked: list[str] = []

    def hits(self, inside: str = "/hit/") -> set[str]:
        """What stands behind `/hit/` in the addresses that were asked for."""
        return {path.partition("/hit/")[2].partition("?")[0] for path in self.asked if inside in path}


@contextmanager
def served() -> Iterator[Pages]:
    """Pages on a port of loopback; whatever else is asked for is noted, and is not there."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            pages.asked.append(self.path)
            page = pages.pages.get(self.path)
            body = (page or "").encode("utf-8", "replace")
            self.send_response(200 if page is not None else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):  # the page that wanted it is gone
                self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Nothing on standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        pages = Pages(f"127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield pages
        finally:
            server.shutdown()
            thread.join()


def browse(url: str, *options: str) -> str:
    """Open a page and let its time pass; the page as it is then. `options`: of Chromium. Raises PeerMissing without it."""
    program = need("chromium", "chromium")
    with tempfile.TemporaryDirectory(prefix="chromium.") as profile:
        command = [
            program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-popup-blocking",
            f"--user-data-dir={profile}", f"--virtual-time-budget={VIRTUAL_MILLISECONDS}", *options, "--dump-dom", url,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, check=False, timeout=BROWSER_SECONDS)
    if b"<html" not in done.stdout:
        raise RuntimeError(f"chromium showed nothing: {done.stderr[-1000:]!r}")
    return done.stdout.decode("utf-8", "replace")
