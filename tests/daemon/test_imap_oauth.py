"""A mailbox is read with tokens: by a real Dovecot that asks whose a token is, and by servers that are not as they should be."""

from __future__ import annotations

import base64
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon.test_oauth import secret
from peers.certificates import Certificate
from peers.dovecot import Dovecot
from peers.imapscript import ScriptedImap, Talk
from peers.tokenserver import TokenServer

from postroom.config import Config, parse
from postroom.daemon.imap import probe
from postroom.daemon.oauth import accounts
from postroom.daemon.oauth_file import Login
from postroom.errors import UserError

__all__ = ["secret"]
MAILBOX = """
[mailbox.support]
address = "support@example.com"
queue = "support"
[mailbox.support.imap]
host = "127.0.0.1"
port = {port}
security = "{security}"
user = "support"
oauth = "work"
ca_file = "{ca_file}"
timeout_seconds = 10
"""


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    with TokenServer(rotation="strict") as server:
        yield server


@pytest.fixture(scope="module")
def server(tokens: TokenServer, certificate: Certificate) -> Iterator[Dovecot]:
    with Dovecot(certificate=certificate, introspection=f"{tokens.url}/introspect") as dovecot:
        yield dovecot


def config(tokens: TokenServer, certificate: Certificate, folder: Path, port: int, security: str = "tls") -> Config:
    text = MAILBOX.format(port=port, security=security, ca_file=certificate.certificate) + tokens.toml()
    return parse(tomllib.loads(text), folder)


def log_in(settings: Config, refresh_token: str, access_token: str = "ended") -> Any:
    account = accounts(settings)["mailbox.support.imap"]
    at = account.clock().timestamp()
    ends = at - 1 if access_token == "ended" else at + 3600
    account.remember(Login(access_token, refresh_token, at, at - 1, ends))
    return account


@pytest.mark.servers
@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_dovecot_takes_a_token(
    tokens: TokenServer, server: Dovecot, certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    mechanism: str, security: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("postroom.daemon.imap_session.TOKEN_MECHANISMS", (mechanism,))
    port = server.tls_port if security == "tls" else server.port
    settings = config(tokens, certificate, tmp_path, port, security)
    account = log_in(settings, tokens.grant("support"))
    before, known = server.logins(), len(server.log())
    probe(settings, "support", account)
    assert server.logins() == before + 1
    assert f"method={mechanism}" in server.log()[known:]


@pytest.mark.servers
@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_token_that_dovecot_refuses_is_replaced_once_on_the_same_connection(
    tokens: TokenServer, server: Dovecot, certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    mechanism: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("postroom.daemon.imap_session.TOKEN_MECHANISMS", (mechanism,))
    settings = config(tokens, certificate, tmp_path, server.tls_port)
    account = log_in(settings, tokens.grant("support"), "access-canary-that-was-revoked")
    asked = tokens.asked["refresh_token"]
    probe(settings, "support", account)
    assert tokens.asked["refresh_token"] == asked + 1


@pytest.mark.servers
def test_the_login_of_another_account_is_refused_in_words_and_asked_for_once(
    tokens: TokenServer, server: Dovecot, certificate: Certificate, tmp_path: Path
) -> None:
    settings = config(tokens, certificate, tmp_path, server.tls_port)
    account = log_in(settings, tokens.grant("sales"))
    asked = tokens.asked["refresh_token"]
    with pytest.raises(
        UserError, match=r"refuses the token of support, though it is fresh: .*is it the one that logged in"
    ) as caught:
        probe(settings, "support", account)
    assert tokens.asked["refresh_token"] == asked + 2
    assert "canary" not in str(caught.value)


def test_a_server_without_tokens_and_one_that_quotes_them_are_told_of_without_them(
    tokens: TokenServer, certificate: Certificate, tmp_path: Path
) -> None:
    quoted: list[str] = []

    def quote(talk: Talk) -> None:
        talk.server.wrap(talk)
        for _ in range(2):
            command = talk.until("AUTHENTICATE")
            talk.say("+ ")
            said = talk.hear()
            quoted.append(said)
            token = re.search(r"Bearer ([^\x01]+)", base64.b64decode(said).decode())
            assert token
            talk.say(f"+ {base64.b64encode(token[1].encode()).decode()}")
            assert talk.hear() == ""
            talk.say(f"{command.tag} NO bad {token[1]} {said} {said[:-30]}")

    def serve(talk: Talk) -> None:
        talk.server.wrap(talk)
        talk.serve()

    with ScriptedImap({}, quote, tls=certificate, capabilities="IMAP4rev1 AUTH=XOAUTH2") as server:
        settings = config(tokens, certificate, tmp_path, server.port)
        with pytest.raises(UserError) as caught:
            probe(settings, "support", log_in(settings, tokens.grant("support")))
        assert str(caught.value).count("[hidden]") == 4
        assert not any(
            secret in str(caught.value) for secret in (*tokens.given, *quoted, *(said[:-30] for said in quoted))
        )
    with ScriptedImap({}, serve, tls=certificate) as server:
        settings = config(tokens, certificate, tmp_path, server.port)
        with pytest.raises(UserError, match="takes no token on this connection"):
            probe(settings, "support", log_in(settings, tokens.grant("support")))
