"""One connection to an IMAP folder: the few things that we ask of a server, by UID, each with one clear error.

IMAPClient speaks, `Wire` bounds what it reads. The traps that this file is shaped by: UIDs go out as lists of bounded
length (ranges raise after the server has acted, and 60,000 at once are too long), bodies are only ever peeked at,
and no bare EXPUNGE is sent, for it would remove what others have marked.
"""

from __future__ import annotations

import contextlib
import functools
import imaplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from imapclient import DELETED, SEEN, IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

from postroom.config import Config, Imap
from postroom.config_secrets import without
from postroom.daemon.credentials import Secret
from postroom.daemon.imap_wire import ANSWER, Plug, TooLarge, Wire
from postroom.daemon.oauth import Account
from postroom.errors import TemporaryFailure
from postroom.outbound.smtp_wire import certificate_end

KEYWORD = "$Postroom"  # set beside \Seen where the folder permits it: people's clients clear \Seen
TOKEN_MECHANISMS = ("XOAUTH2", "OAUTHBEARER")  # the first is what Google and Microsoft use themselves
UIDS_IN_COMMAND = 500  # a line under 8,000 octets (RFC 7162 §4)
UID_ANSWER = 11  # octets: a UID of ten digits in a list
SAID_LENGTH = 300  # characters of what a server said that we repeat
MESSAGES_MAX = 5_000_000  # in a folder, as far as we believe the server
SIZE_ANSWER = 1 << 10  # octets a message
BODY_OVERHEAD = 1 << 20  # octets beside the bodies themselves
HIGHEST_UID = 2**32 - 1  # RFC 3501 §9, nz-number


class Refused(TemporaryFailure):
    """The server says no, or something that makes no sense; the connection stands."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A message as the server gave it."""

    raw: bytes = field(repr=False)  # empty: the server gave none
    internal_date: datetime | None


class Session:
    """A connection for one thread; `plug.pull()` ends it from any other.

    Every method raises TemporaryFailure where the connection is of no use any more, Refused where it still is.
    """

    def __init__(self, config: Config, imap: Imap, plug: Plug) -> None:
        self._imap = imap
        self._config = config
        self._plug = plug
        self._client: _Client
        self._permitted: Sequence[bytes] | None = None  # None: any flag
        self._exist = 0  # messages in the folder when it was opened
        self.where = f"{imap.host}:{imap.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self, secret: Secret) -> None:
        """Connect, in verified TLS but for `security = "none"`, and log in, with a password or an account's token."""
        token = "" if isinstance(secret, str) else secret.token()  # before a connection that would wait for it
        with self._asking("connect"):
            tls = None
            if self._imap.security != "none":
                ca_file = self._config.resolve(self._imap.ca_file) if self._imap.ca_file else None
                tls = ssl.create_default_context(cafile=ca_file)
            self._client = _Client(self._imap, tls, self._plug)
            if self._imap.security == "starttls":
                if not self._client.has_capability("STARTTLS"):
                    raise TemporaryFailure(f"{self.where} does not offer STARTTLS")
                self._client.starttls(tls)
        with self._asking("log in"):
            if isinstance(secret, str):
                self._log_in(self._client, secret)
            else:
                self._show_token(self._client, secret, token)

    def _log_in(self, client: _Client, password: str) -> None:
        try:
            if client.has_capability("AUTH=PLAIN"):  # LOGIN knows ASCII only
                client.plain_login(self._imap.user, password)
            elif client.has_capability("LOGINDISABLED"):
                raise TemporaryFailure(f"{self.where} takes no password on this connection; is security right?")
            else:
                client.login(_quoted(self._imap.user), password)
        except LoginError as error:
            if isinstance(error.__context__, imaplib.IMAP4.abort):
                raise error.__context__ from None
            said = _text(error.__context__ or error).replace(password, "[hidden]")
            raise TemporaryFailure(
                f"{self.where} refuses the user {self._imap.user} or the password: {said}"
            ) from error

    def _show_token(self, client: _Client, account: Account, token: str) -> None:
        """Log in with a token; with another one where this one is refused, once."""
        mechanism = next((name for name in TOKEN_MECHANISMS if client.has_capability(f"AUTH={name}")), None)
        if mechanism is None:
            raise TemporaryFailure(f"{self.where} takes no token on this connection (neither XOAUTH2 nor OAUTHBEARER)")
        if self._takes(client, mechanism, token) is None:
            return
        token = account.another(token)
        if (refusal := self._takes(client, mechanism, token)) is not None:
            raise TemporaryFailure(
                f"{self.where} refuses the token of {account.user}, though it is fresh: {refusal}; does the account allow "
                "IMAP, is it the one that logged in, and were the scopes allowed?"
            )

    def _takes(self, client: _Client, mechanism: str, token: str) -> str | None:
        """None where the server takes it; else what it says, without the token."""
        said: list[str] = []

        def answer(challenge: bytes) -> bytes:
            if not said:
                said.append("")
                return _first_words(mechanism, self._imap, token)
            said.append(challenge.decode("utf-8", "replace"))  # the reason; then the NO comes (RFC 7628 §3.2.3)
            return b"\x01" if mechanism == "OAUTHBEARER" else b""

        try:
            client.sasl_login(mechanism, answer)
        except LoginError as error:
            if isinstance(error.__context__, imaplib.IMAP4.abort):
                raise error.__context__ from None
            words = f"{_text(error.__context__ or error)} {' '.join(said[1:])}"
            return without("".join(c if c.isprintable() else "?" for c in words), (token,)).strip()[:SAID_LENGTH]
        return None

    @property
    def certificate_ends(self) -> datetime | None:
        """Until when the server's certificate is valid; None in the clear."""
        sock = self._client.wire.sock
        return certificate_end(sock.getpeercert()) if isinstance(sock, ssl.SSLSocket) else None

    def select(self, readonly: bool) -> int:
        """Open the folder, also anew; its UIDVALIDITY. `readonly` leaves no trace."""
        with self._asking(f"open the folder {self._imap.folder!r}") as client:
            answer = client.select_folder(self._imap.folder, readonly=readonly)
            self._permitted = answer.get(b"PERMANENTFLAGS")
            self._exist = min(max(0, answer.get(b"EXISTS", 0)), MESSAGES_MAX)
            uidvalidity = answer.get(b"UIDVALIDITY", 0)
            if not 0 < uidvalidity <= HIGHEST_UID:
                raise IMAPClientError("it has no UIDVALIDITY")
            return int(uidvalidity)

    def uids(self) -> list[int]:
        """The UID of every message in the folder, oldest first; what is told of later ends the next IDLE at once."""
        self._client.wire.untagged_responses.pop("EXISTS", None)
        with self._asking("list the messages", ANSWER + UID_ANSWER * self._exist) as client:
            status, lines = client.wire.uid("SEARCH", "ALL")  # IMAPClient's search() knows one line only
            if status != "OK":
                raise IMAPClientError(lines[-1])
            uids = {int(word) for line in lines if line for word in line.split() if word.isdigit()}
            return sorted(uid for uid in uids if 0 < uid <= HIGHEST_UID)

    def sizes(self, uids: Sequence[int]) -> dict[int, int | None]:
        """Octets of each message that is still there, as far as the server says so; at most UIDS_IN_COMMAND."""
        with self._asking("ask for sizes", ANSWER + SIZE_ANSWER * len(uids)) as client:
            found = client.fetch(list(uids), ["RFC822.SIZE"])
            return {uid: _whole_number(data.get(b"RFC822.SIZE")) for uid, data in found.items()}

    def bodies(self, uids: Sequence[int], octets: int) -> dict[int, Fetched]:
        """Each message that is still there, unmarked. Raises TooLarge where one is announced beyond `octets`."""
        with self._asking("fetch", octets + BODY_OVERHEAD) as client:
            found = client.fetch(list(uids), ["BODY.PEEK[]", "INTERNALDATE"])
            return {uid: _fetched(data) for uid, data in found.items()}

    def flag(self, uids: Sequence[int]) -> None:
        r"""Mark messages as taken: \Seen, and our keyword where the folder permits it."""
        permitted = self._permitted
        flags = [
            flag for flag in (SEEN, KEYWORD.encode())
            if permitted is None or flag in permitted or (flag != SEEN and b"\\*" in permitted)
        ]  # fmt: skip
        if not flags:
            raise Refused(f'{self.where}: {self._imap.folder!r} permits no flags; set after = "leave"')
        with self._asking("flag") as client:
            client.add_flags(list(uids), flags, silent=True)

    def can_move(self) -> bool:
        """Whether the server moves in one step (RFC 6851)."""
        with self._asking("ask for capabilities") as client:
            return bool(client.has_capability("MOVE"))

    def move(self, uids: Sequence[int], folder: str) -> None:
        """Move messages in one step."""
        with self._asking(f"move to {folder!r}") as client:
            self._creating(folder, lambda: client.move(list(uids), folder))

    def copy(self, uids: Sequence[int], folder: str) -> None:
        """Copy messages: all or none (RFC 3501 §6.4.7)."""
        with self._asking(f"copy to {folder!r}") as client:
            self._creating(folder, lambda: client.copy(list(uids), folder))

    def delete(self, uids: Sequence[int]) -> None:
        r"""Mark messages \Deleted, and remove these only (RFC 4315); where that cannot be, they stay marked."""
        with self._asking("delete") as client:
            client.add_flags(list(uids), [DELETED], silent=True)
            if client.has_capability("UIDPLUS"):
                client.uid_expunge(list(uids))

    def idles(self) -> bool:
        """Whether the server can tell us of mail."""
        with self._asking("ask for capabilities") as client:
            return bool(client.has_capability("IDLE"))

    def idle(self, seconds: float) -> None:
        """Wait until the server tells of mail, at most so long; TemporaryFailure where the connection is dead."""
        with self._asking("wait in IDLE") as client:
            client.wire.idle(seconds)

    def close(self) -> None:
        """Close the connection without a word."""
        self._plug.release()
        if hasattr(self, "_client"):
            self._client.wire.shutdown()

    def _creating(self, folder: str, act: Any) -> None:
        """Do it; where the server says that only the folder is missing, create that first (RFC 3501 §6.3.11)."""
        try:
            act()
        except IMAPClientError as error:
            if "[TRYCREATE]" not in str(error) or isinstance(error, imaplib.IMAP4.abort):
                raise
            self._client.create_folder(folder)
            act()

    @contextlib.contextmanager
    def _asking(self, to: str, octets: int = ANSWER) -> Iterator[Any]:
        """What goes wrong within becomes one clear line, and whether the connection stands."""
        if hasattr(self, "_client"):
            self._client.wire.expect(octets)
        try:
            yield getattr(self, "_client", None)
        except (imaplib.IMAP4.abort, OSError) as error:
            raise TemporaryFailure(f"cannot {to}: {self._lost(error)}") from error
        except IMAPClientError as error:
            raise self._failed(f"cannot {to}: {self.where} answers: {_text(error)}") from error
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise self._failed(f"cannot {to}: {self.where} answers what is no IMAP: {_text(error)}") from error
        except TooLarge as error:
            if to == "fetch":
                raise
            raise TemporaryFailure(f"cannot {to}: {self.where}: {error}") from error

    def _failed(self, text: str) -> TemporaryFailure:
        """Refused, unless the answer stopped making sense before its end: then what follows would be misread."""
        answered = hasattr(self, "_client") and None not in self._client.wire.tagged_commands.values()
        return Refused(text) if answered else TemporaryFailure(text)

    def _lost(self, error: Exception) -> str:
        """Why the connection failed, in words for the one who can mend it."""
        match error:
            case ssl.SSLCertVerificationError():
                return f"the certificate of {self.where} is not verified: {error.verify_message}"
            case ssl.SSLError():
                return f"no TLS with {self.where}: {error.reason or error}; are port and security right?"
            case TimeoutError():
                return f"{self.where} does not answer within {self._imap.timeout_seconds:g} s"
            case socket.gaierror():
                return f"there is no host {self._imap.host}: {error.strerror}"
            case OSError():
                return f"{self.where}: {error.strerror or error}"
            case _:
                return f"{self.where}: {_text(error)}"


class _Client(IMAPClient):  # type: ignore[misc]
    """IMAPClient on our wire."""

    def __init__(self, imap: Imap, tls: ssl.SSLContext | None, plug: Plug) -> None:
        implicit = tls if imap.security == "tls" else None
        self._connect = functools.partial(Wire, imap.host, imap.port, imap.timeout_seconds, implicit, plug)
        super().__init__(imap.host, imap.port, ssl=implicit is not None, timeout=imap.timeout_seconds)
        self.wire.debug = 0  # IMAPClient sets 5, which formats every message for a log that nobody reads
        self.normalise_times = False

    def _create_IMAP4(self) -> Wire:
        self.wire = self._connect()
        return self.wire


def _first_words(mechanism: str, imap: Imap, token: str) -> bytes:
    """Google's and Microsoft's own mechanism, or RFC 7628 §3.1."""
    if mechanism == "XOAUTH2":
        return f"user={imap.user}\x01auth=Bearer {token}\x01\x01".encode()
    name = imap.user.replace("=", "=3D").replace(",", "=2C")
    return f"n,a={name},\x01host={imap.host}\x01port={imap.port}\x01auth=Bearer {token}\x01\x01".encode()


def _fetched(data: dict[bytes, Any]) -> Fetched:
    raw = data.get(b"BODY[]")
    at = data.get(b"INTERNALDATE")
    try:
        internal_date = at.astimezone(UTC) if isinstance(at, datetime) else None
    except (ValueError, OverflowError):
        internal_date = None
    return Fetched(raw if isinstance(raw, bytes) else b"", internal_date)


def _whole_number(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _text(error: BaseException) -> str:
    """What a server said, in one line that any screen and store can hold."""
    said = error.args[0] if error.args else ""
    said = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return "".join(c if c.isprintable() else "?" for c in " ".join(said.split()))[:SAID_LENGTH]


def _quoted(text: str) -> str:
    """A user's name as a quoted string (RFC 3501 §9); imaplib quotes the password only."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
