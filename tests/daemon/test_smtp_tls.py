"""TLS on the way in: offered, required or from the first octet; and nothing said in the clear survives it."""

import smtplib
import socket
import ssl
from pathlib import Path

import pytest
from peers.certificates import Certificate
from peers.door import Client, Door
from peers.processes import wait_until

from postroom.config import parse
from postroom.daemon import smtp_connection
from postroom.daemon.tls import server_context
from postroom.errors import ConfigError

MAIL = b"Subject: hello\r\n\r\nhello\r\n"


def files(certificate: Certificate) -> dict[str, str]:
    return {"tls_certificate": str(certificate.certificate), "tls_key": str(certificate.key)}


def test_starttls_is_offered_used_and_noted(tmp_path: Path, certificate: Certificate) -> None:
    with Door(tmp_path, tls="starttls", **files(certificate)) as door:
        with smtplib.SMTP("127.0.0.1", door.port) as client:
            client.ehlo()
            assert client.has_extn("starttls")
            client.starttls(context=ssl.create_default_context(cafile=str(certificate.certificate)))
            client.ehlo()
            assert not client.has_extn("starttls")
            assert not client.has_extn("auth")
            client.sendmail("ann@example.org", ["support@example.com"], MAIL)
        [row] = door.kept()
        assert row.peer["tls"] == "TLSv1.3"
        assert door.raw(row.id) == MAIL


def test_starttls_that_is_not_used_is_no_hindrance(tmp_path: Path, certificate: Certificate) -> None:
    with Door(tmp_path, tls="starttls", **files(certificate)) as door:
        with smtplib.SMTP("127.0.0.1", door.port) as client:
            client.sendmail("ann@example.org", ["support@example.com"], MAIL)
        assert [row.peer["tls"] for row in door.kept()] == [""]


def test_a_long_content_comes_through_tls(tmp_path: Path, certificate: Certificate) -> None:
    mail = MAIL + (b"x" * 998 + b"\r\n") * 3000
    with Door(tmp_path, tls="starttls", **files(certificate)) as door:
        with smtplib.SMTP("127.0.0.1", door.port) as client:
            client.starttls(context=ssl.create_default_context(cafile=str(certificate.certificate)))
            client.sendmail("ann@example.org", ["support@example.com"], mail)
        assert door.raw(door.kept()[0].id) == mail


def test_where_it_is_required_nothing_goes_before_it(tmp_path: Path, certificate: Certificate) -> None:
    with Door(tmp_path, tls="required", **files(certificate)) as door, door.client() as client:
        assert "STARTTLS" in client.say("EHLO client.example")
        assert client.say("MAIL FROM:<ann@example.org>").startswith("530 5.7.0 ")
        assert client.say("NOOP").startswith("250 ")
        assert client.say("STARTTLS").startswith("220 2.0.0 ")
        client.start_tls(certificate.certificate)
        client.begin()
        assert client.say("Subject: one\r\n\r\n.").startswith("250 2.0.0 ")


def test_implicit_tls_speaks_it_from_the_first_octet(tmp_path: Path, certificate: Certificate) -> None:
    with Door(tmp_path, tls="implicit", **files(certificate)) as door:
        context = ssl.create_default_context(cafile=str(certificate.certificate))
        with smtplib.SMTP_SSL("localhost", door.port, context=context) as client:
            client.ehlo()
            assert not client.has_extn("auth")  # aiosmtpd would offer it here
            client.sendmail("ann@example.org", ["support@example.com"], MAIL)
            assert client.docmd("STARTTLS")[0] == 503
        assert [row.peer["tls"] for row in door.kept()] == ["TLSv1.3"]


def test_commands_pipelined_behind_starttls_are_never_obeyed(tmp_path: Path, certificate: Certificate) -> None:
    """STARTTLS injection: what is sent in the clear would count as said inside TLS (RFC 3207 §6)."""
    with Door(tmp_path, tls="starttls", **files(certificate)) as door, door.client() as client:
        client.say("EHLO client.example")
        client.send(b"STARTTLS\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<support@example.com>\r\n")
        assert client.reply() == "421 4.7.0 plaintext after STARTTLS"
        assert client.reply() == ""


def test_plaintext_between_starttls_and_the_handshake_is_never_obeyed(tmp_path: Path, certificate: Certificate) -> None:
    with Door(tmp_path, tls="starttls", **files(certificate)) as door, door.client() as client:
        client.say("EHLO client.example")
        assert client.say("STARTTLS").startswith("220 ")
        client.send(b"EHLO evil.example\r\nMAIL FROM:<evil@example.org>\r\n")
        with pytest.raises((ssl.SSLError, OSError)):
            client.start_tls(certificate.certificate)


def test_what_was_said_in_the_clear_is_forgotten(tmp_path: Path, certificate: Certificate) -> None:
    """RFC 3207 §4.2."""
    with Door(tmp_path, tls="starttls", **files(certificate)) as door, door.client() as client:
        client.say("EHLO client.example")
        client.say("MAIL FROM:<ann@example.org>")
        client.say("RCPT TO:<support@example.com>")
        client.say("STARTTLS")
        client.start_tls(certificate.certificate)
        assert client.say("DATA").startswith("503 ")
        assert client.say("EHLO client.example").startswith("250")
        assert client.say("DATA").startswith("503 5.5.1 ")


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_handshake_that_fails_frees_its_place(tmp_path: Path, certificate: Certificate, tls: str) -> None:
    with Door(tmp_path, tls=tls, connections=1, **files(certificate)) as door:
        for garbage in (b"\x16\x03\x01garbage garbage garbage", b"GET / HTTP/1.0\r\n\r\n", b""):
            with knocking(door, tls) as client:
                if garbage:
                    client.send(garbage)
                    while client.socket.recv(1000):
                        pass
        with knocking(door, tls) as client:
            client.start_tls(certificate.certificate)
            client.say("NOOP") if tls == "starttls" else client.reply()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_handshake_that_never_comes_frees_its_place(
    tmp_path: Path, certificate: Certificate, tls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp_connection, "HANDSHAKE_SECONDS", 0.2)
    with Door(tmp_path, tls=tls, **files(certificate)) as door, door.client(greet=tls == "starttls") as client:
        if tls == "starttls":
            client.say("STARTTLS")
        assert client.socket.recv(1000) == b""
        wait_until(lambda: not door.server._gate._open, "the place is free again")


def test_a_handshake_holds_no_shutdown_up(tmp_path: Path, certificate: Certificate) -> None:
    with Door(tmp_path, tls="implicit", **files(certificate)) as door:
        client = socket.create_connection(("127.0.0.1", door.port), 10)
        wait_until(lambda: door.server._sessions, "the client is in")
    assert client.recv(1000) == b""
    client.close()


def test_without_a_place_implicit_tls_says_nothing_in_the_clear(tmp_path: Path, certificate: Certificate) -> None:
    with Door(tmp_path, tls="implicit", connections=1, **files(certificate)) as door, door.client(greet=False):
        wait_until(lambda: door.server._sessions, "the first is in")
        with door.client(greet=False) as second:
            assert second.socket.recv(1000) == b""


def test_old_tls_is_refused(tmp_path: Path, certificate: Certificate) -> None:
    context = server_context(parse({"smtp": {"tls": "implicit", **files(certificate)}}, tmp_path))
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path, certificate: Certificate) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    for bad, words in (
        ({"tls_certificate": "missing.pem"}, r"^smtp.tls_certificate: .*missing.pem: No such file"),
        ({"tls_certificate": str(junk)}, r"^smtp.tls_certificate: .*junk.pem"),
        ({"tls_certificate": str(certificate.certificate), "tls_key": "missing.key"}, r"^smtp.tls_key: .*No such file"),
        ({"tls_certificate": str(certificate.certificate)}, r"^smtp.tls_certificate: .*certificate.pem"),
    ):
        with pytest.raises(ConfigError, match=words):
            server_context(parse({"smtp": {"tls": "starttls", **bad}}, tmp_path))


def test_without_tls_there_is_no_context(tmp_path: Path) -> None:
    assert server_context(parse({}, tmp_path)) is None


def knocking(door: Door, tls: str) -> Client:
    """A client at the moment before the handshake; it waits for a place."""

    def attempt() -> Client | None:
        client = door.client(greet=False)
        if tls == "implicit":
            client.socket.settimeout(0.3)
            try:
                refused = client.socket.recv(1) == b""
            except TimeoutError:
                refused = False
            client.socket.settimeout(20)
        else:
            refused = not client.reply().startswith("220 ")
            if not refused:
                client.say("EHLO client.example")
                assert client.say("STARTTLS").startswith("220 ")
        if refused:
            client.socket.close()
            return None
        return client

    return wait_until(attempt, "a place at the door")  # type: ignore[return-value]
