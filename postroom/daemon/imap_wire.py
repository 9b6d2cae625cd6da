"""The bytes between us and an IMAP server: bounded in time and amount, and interruptible.

imaplib reads whatever a server announces, for as long as it takes, and IMAPClient's way to wait in IDLE overlooks
what lies in a buffer already. `Wire` takes the place of imaplib's own reading, below IMAPClient.
"""

from __future__ import annotations

import contextlib
import imaplib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Literal

RECEIVE = 256 << 10  # octets asked of the socket at once
ANSWER = 1 << 20  # octets; what any command but a FETCH or SEARCH may be answered with
COMMAND_SECONDS = 1800.0  # for a whole answer: a server may be slow, but not drip for days
DONE = b"DONE\r\n"  # ends IDLE (RFC 2177)


class TooLarge(Exception):
    """The server announced a literal larger than what we would read; the connection is of no use any more."""

    def __init__(self, size: int) -> None:
        super().__init__(f"a literal of {size} octets was announced")
        self.size = size  # octets


class Plug:
    """Pulled from any thread, it ends whatever waits on the connection at once, also while that is being made."""

    def __init__(self, beat: Callable[[], None] = lambda: None) -> None:
        """`beat` is called whenever something came."""
        self.beat = beat
        self._lock = threading.Lock()
        self._pulled = False
        self._handle: socket.socket | None = None

    def hold(self, connection: socket.socket) -> None:
        """Be ready to end this connection. Raises ConnectionAbortedError where the plug was pulled before."""
        self.release()
        with self._lock:
            if self._pulled:
                raise ConnectionAbortedError("interrupted")
            self._handle = connection.dup()  # TLS replaces the object around the descriptor; the copy stays valid

    def pull(self) -> None:
        """End the connection, or the attempt at one. Returns at once."""
        with self._lock:
            self._pulled = True
            if self._handle is not None:
                with contextlib.suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """The connection is closed: let go of it."""
        with self._lock:
            if self._handle is not None:
                self._handle.close()
                self._handle = None


class Wire(imaplib.IMAP4):
    """imaplib's connection, with a buffer of our own.

    Every wait ends after `timeout` seconds without an octet. `expect()` bounds the next command's whole answer.
    """

    def __init__(self, host: str, port: int, timeout: float, tls: ssl.SSLContext | None, plug: Plug) -> None:
        """Connects and reads the greeting; with `tls` the connection begins with the handshake."""
        self._timeout = timeout
        self._tls = tls
        self._plug = plug
        self._buffer = bytearray()
        self.expect(ANSWER)
        super().__init__(host, port, timeout)

    def expect(self, octets: int, seconds: float = COMMAND_SECONDS) -> None:
        """From now on, until called again, read at most so much for at most so long."""
        self._budget = octets
        self._deadline = time.monotonic() + seconds

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        """Connect; called by imaplib."""
        self.host = host
        self.port = port
        self.sock = self._connected()
        if self._tls is not None:
            self.sock = self._secured(self._tls)

    def starttls(self, ssl_context: ssl.SSLContext | None = None) -> tuple[Literal["OK"], list[None]]:
        """Go on in TLS, or raise: never without it. What was said before it is forgotten (RFC 3501 §6.2.1)."""
        if ssl_context is None or "STARTTLS" not in self.capabilities:
            raise self.abort("the server does not offer STARTTLS")
        status, _ = self._simple_command("STARTTLS")
        if status != "OK":
            raise self.abort("the server refuses STARTTLS")
        if self._buffer:  # someone in between has put words into the server's mouth
            raise self.abort("the server went on in the clear after STARTTLS")
        self.sock = self._secured(ssl_context)
        self.untagged_responses = {}
        self._tls_established = True
        self._get_capabilities()
        return "OK", [None]

    def shutdown(self) -> None:
        """Close the connection; called by imaplib."""
        self.sock.close()

    def read(self, size: int) -> bytes:
        """A literal. Raises TooLarge before reading what is beyond the bounds."""
        if size > self._budget:
            raise TooLarge(size)
        while len(self._buffer) < size:
            self._receive()
        return self._take(size)

    def readline(self) -> bytes:
        """A line with its end."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > self._budget:
                raise self.abort("the server sent more than it was asked for")
            self._receive()
        return self._take(end + 1)

    def idle(self, seconds: float) -> None:
        """Wait in IDLE (RFC 2177) until the server tells of a message, at most so long; not at all where it has.

        Raises abort where the connection is dead: on BYE, on its end, and where nobody answers our DONE.
        """
        until = time.monotonic() + seconds
        self.expect(ANSWER, seconds + self._timeout)
        tag = self._command("IDLE")
        while self._get_response() is not None:  # None is the continuation; news may come before it
            if self.tagged_commands[tag] is not None:
                _, data = self._command_complete("IDLE", tag)
                raise self.error(data[-1])
        while "EXISTS" not in self.untagged_responses and self._has_line(until):
            self._get_response()
            self._check_bye()
        self.expect(ANSWER, self._timeout)
        self.send(DONE)
        status, data = self._command_complete("IDLE", tag)
        if status != "OK":
            raise self.error(data[-1])

    def _connected(self) -> socket.socket:
        """Like socket.create_connection(), but each attempt can be interrupted."""
        failure: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            attempt = socket.socket(family, kind, protocol)
            try:
                attempt.settimeout(self._timeout)
                self._plug.hold(attempt)
                attempt.connect(address)
            except OSError as error:
                attempt.close()
                failure = error
            else:
                return attempt
        raise failure or OSError("the name has no address")

    def _secured(self, context: ssl.SSLContext) -> socket.socket:
        plain: socket.socket = self.sock
        plain.settimeout(self._timeout)
        try:
            return context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise

    def _has_line(self, until: float) -> bool:
        """Whether a whole line is there, at the latest at the time `until` of the monotonic clock."""
        while b"\n" not in self._buffer:
            left = until - time.monotonic()
            if left <= 0:
                return False
            try:
                self._receive(left)
            except TimeoutError:
                return False
        return True

    def _receive(self, seconds: float | None = None) -> None:
        """Wait for at least one octet more."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        self.sock.settimeout(min(left, self._timeout if seconds is None else seconds))
        received = self.sock.recv(RECEIVE)
        if not received:
            raise self.abort("the server closed the connection")
        self._plug.beat()
        self._buffer += received

    def _take(self, size: int) -> bytes:
        self._budget -= size
        if self._budget < 0:
            raise self.abort("the server sent more than it was asked for")
        with memoryview(self._buffer) as view:
            taken = bytes(view[:size])
        del self._buffer[:size]
        return taken
