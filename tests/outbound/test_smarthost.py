"""What is said to a smarthost: nothing in the clear that should not be, and what it offers is used."""

import re
from base64 import b64encode

import pytest
from peers.courier import courier_of, put, settings, state
from peers.outgoing import desk_in
from peers.smarthost import OFFERS, STALL, Smarthost

from postroom.errors import ConfigError, TemporaryFailure
from postroom.outbound.smtp_auth import Password, Token, passwords
from postroom.outbound.smtp_wire import Wire, WireLost


def secure(smarthost, certificate, **more):
    return settings(smarthost, **{"security": "starttls", "ca_file": str(certificate.certificate), **more})


async def send(desk, credentials=None, **changes):
    put(desk, **changes)
    await courier_of(desk, credentials).deliver_due()
    return state(desk)


# -- TLS


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_tls_is_verified_and_used(tmp_path, certificate, security):
    with (
        Smarthost(certificate, implicit_tls=security == "tls") as smarthost,
        desk_in(tmp_path, secure(smarthost, certificate, security=security)) as desk,
    ):
        assert (await send(desk)).state == "sent"
        assert smarthost.messages[0].encrypted


async def test_a_server_without_starttls_gets_no_mail(tmp_path, certificate):
    with Smarthost() as smarthost, desk_in(tmp_path, secure(smarthost, certificate)) as desk:
        row = await send(desk)
        assert (row.state, row.attempts) == ("pending", 0)
        assert row.reason.endswith("the server offers no STARTTLS, and nothing is sent in the clear")
        assert smarthost.commands["MAIL"] == 0


@pytest.mark.parametrize("answer", ["454 4.7.0 TLS not available", "502 5.5.2 unknown", "501 5.5.4 no"])
async def test_a_server_whose_starttls_does_not_work_gets_neither_mail_nor_password(tmp_path, certificate, answer):
    more = {"user": "support", "password_env": "UNUSED"}
    with (
        Smarthost(certificate, {"support": "secret"}) as smarthost,
        desk_in(tmp_path, secure(smarthost, certificate, **more)) as desk,
    ):
        smarthost.on("STARTTLS", answer)
        row = await send(desk, passwords(desk.config, {"outgoing.smtp": "secret"}))
        assert (row.state, row.reason.endswith(f"STARTTLS: {answer}")) == ("pending", True)
        assert (smarthost.commands["MAIL"], smarthost.commands["AUTH"]) == (0, 0)


async def test_what_is_said_in_the_clear_behind_starttls_is_an_attack(tmp_path, certificate):
    with Smarthost(certificate) as smarthost, desk_in(tmp_path, secure(smarthost, certificate)) as desk:
        smarthost.on("STARTTLS", "220 go ahead\r\n250 2.0.0 taken")
        row = await send(desk)
        assert (row.state, "spoke in the clear after STARTTLS" in row.reason) == ("pending", True)
        assert smarthost.messages == []


@pytest.mark.parametrize(("security", "implicit"), [("starttls", False), ("tls", True)])
async def test_a_server_whose_certificate_nobody_vouches_for_gets_no_mail(tmp_path, certificate, security, implicit):
    with (
        Smarthost(certificate, implicit_tls=implicit) as smarthost,
        desk_in(tmp_path, settings(smarthost, security=security)) as desk,
    ):
        row = await send(desk)
        assert (row.state, "its certificate is not to be trusted: self-signed" in row.reason) == ("pending", True)
        assert smarthost.messages == []


async def test_a_server_with_a_good_certificate_of_another_name_gets_no_mail(tmp_path, certificate):
    settings_ = "host = '127.0.0.2'".join(["", ""])
    with Smarthost(certificate) as smarthost:
        smarthost.stop()
        smarthost.host = "127.0.0.2"
        smarthost.start()
        text = secure(smarthost, certificate).replace("host = '127.0.0.1'", settings_)
        with desk_in(tmp_path, text) as desk:
            row = await send(desk)
            assert (row.state, "IP address mismatch" in row.reason) == ("pending", True)
            assert smarthost.messages == []


# -- who we are


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
async def test_we_log_in_with_a_password(tmp_path, certificate, mechanism):
    more = {"user": "support", "password_env": "UNUSED"}
    with (
        Smarthost(certificate, {"support": "s3cret ü"}, mechanisms=f"GSSAPI {mechanism}") as smarthost,
        desk_in(tmp_path, secure(smarthost, certificate, **more)) as desk,
    ):
        assert (await send(desk, {"outgoing.smtp": Password("support", "s3cret ü")})).state == "sent"
        assert smarthost.messages[0].user == "support"
        assert smarthost.commands[f"AUTH {mechanism}"] == 1


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
@pytest.mark.parametrize("token", ["good", "stale"])
async def test_we_log_in_with_a_token_that_is_fetched_when_it_is_needed(tmp_path, certificate, mechanism, token):
    more = {"user": "support@example.com", "password_env": "UNUSED"}
    with (
        Smarthost(certificate, {"support@example.com": "good"}, mechanisms=f"PLAIN {mechanism}") as smarthost,
        desk_in(tmp_path, secure(smarthost, certificate, **more)) as desk,
    ):
        row = await send(desk, {"outgoing.smtp": Token("support@example.com", lambda: token)})
        assert row.state == ("sent" if token == "good" else "pending")
        if token == "stale":
            refusal = '535 5.7.8 wrong user or password ({"status":"401"})'
            assert row.reason.endswith(f"AUTH {mechanism} as support@example.com: {refusal}")
            assert "stale" not in row.reason


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
@pytest.mark.parametrize("another", ["good", "stale too"])
async def test_a_token_that_is_refused_is_replaced_once(tmp_path, certificate, mechanism, another):
    more = {"user": "support@example.com", "password_env": "UNUSED"}
    refused = []

    def renew(token):
        refused.append(token)
        return another

    with (
        Smarthost(certificate, {"support@example.com": "good"}, mechanisms=mechanism) as smarthost,
        desk_in(tmp_path, secure(smarthost, certificate, **more)) as desk,
    ):
        row = await send(desk, {"outgoing.smtp": Token("support@example.com", lambda: "stale", renew)})
        assert (row.state, refused) == ("sent" if another == "good" else "pending", ["stale"])
        assert smarthost.commands[f"AUTH {mechanism}"] == 2


@pytest.mark.parametrize("mechanism", ["PLAIN", "XOAUTH2"])
async def test_a_server_that_quotes_what_we_log_in_with_does_not_have_it_repeated(tmp_path, certificate, mechanism):
    secret = "ya29.a0AfB_byC-canary-0123456789"
    more = {"user": "support@example.com", "password_env": "UNUSED"}
    login = (
        Password("support@example.com", secret)
        if mechanism == "PLAIN"
        else Token("support@example.com", lambda: secret)
    )
    words = (
        b64encode(f"\0support@example.com\0{secret}".encode())
        if mechanism == "PLAIN"
        else b64encode(f"user=support@example.com\x01auth=Bearer {secret}\x01\x01".encode())
    ).decode()
    with (
        Smarthost(certificate, {"support@example.com": "other"}, mechanisms=mechanism) as smarthost,
        desk_in(tmp_path, secure(smarthost, certificate, **more)) as desk,
    ):
        smarthost.on("AUTH", f"535 5.7.8 no: {secret} {secret[:20]} {words} {words[:-9]}")
        row = await send(desk, {"outgoing.smtp": login})
        assert row.state == "pending"
        assert "canary" not in row.reason
        assert words[:60] not in row.reason
        assert row.reason.count("[hidden]") == 4


async def test_a_token_never_goes_out_in_the_clear(tmp_path):
    more = {"user": "support", "password_env": "UNUSED"}
    with (
        Smarthost(logins={"support": "good"}, mechanisms="XOAUTH2") as smarthost,
        desk_in(tmp_path, settings(smarthost, **more)) as desk,
    ):
        row = await send(desk, {"outgoing.smtp": Token("support", lambda: "good")})
        assert "no way to log in: we have none without TLS; the server XOAUTH2" in row.reason
        assert smarthost.commands["AUTH"] == 0


async def test_a_token_that_cannot_be_had_loses_no_mail(tmp_path, certificate):
    def fetch():
        raise TemporaryFailure("the token server does not answer")

    more = {"user": "support", "password_env": "UNUSED"}
    with (
        Smarthost(certificate, {"support": "x"}, mechanisms="XOAUTH2") as smarthost,
        desk_in(tmp_path, secure(smarthost, certificate, **more)) as desk,
    ):
        row = await send(desk, {"outgoing.smtp": Token("support", fetch)})
        assert (row.state, row.reason.endswith("the token server does not answer")) == ("pending", True)


async def test_a_wrong_password_loses_no_mail_and_is_not_shown(tmp_path, certificate):
    more = {"user": "support", "password_env": "UNUSED"}
    with (
        Smarthost(certificate, {"support": "secret"}) as smarthost,
        desk_in(tmp_path, secure(smarthost, certificate, **more)) as desk,
    ):
        row = await send(desk, {"outgoing.smtp": Password("support", "wr0ng-one")})
        assert (row.state, row.attempts) == ("pending", 0)
        assert row.reason.endswith("AUTH PLAIN as support: 535 5.7.8 wrong user or password")
        assert "wr0ng" not in row.reason + repr(Password("support", "wr0ng-one"))


async def test_a_server_that_wants_a_login_loses_no_mail(tmp_path):
    with Smarthost(logins={"support": "secret"}) as smarthost, desk_in(tmp_path, settings(smarthost)) as desk:
        row = await send(desk)
        assert (row.state, row.reason) == ("retry", "530 5.7.0 log in first")


# -- what it offers


@pytest.fixture
def desk(tmp_path, smarthost):
    with desk_in(tmp_path, settings(smarthost, connections=1)) as made:
        yield made


async def test_a_mail_over_the_size_that_a_server_takes_fails_at_once(tmp_path):
    with Smarthost(offers=["SIZE 1000", "PIPELINING"]) as smarthost, desk_in(tmp_path, settings(smarthost)) as desk:
        row = await send(desk, raw=b"Subject: s\r\n\r\n" + b"x" * 1000)
        assert row.state == "failed"
        assert row.reason == f"the mail has 1014 octets, and 127.0.0.1:{smarthost.port} takes at most 1000"
        assert smarthost.commands["MAIL"] == 0


@pytest.mark.parametrize("size", ["SIZE", "SIZE 0"])
async def test_a_server_that_names_no_size_takes_any(tmp_path, size):
    with Smarthost(offers=[size]) as smarthost, desk_in(tmp_path, settings(smarthost)) as desk:
        assert (await send(desk)).state == "sent"


async def test_where_it_can_the_server_is_asked_to_say_what_becomes_of_a_mail(desk, smarthost):
    await send(desk, recipient="ann+a=b@example.org", key=0xBEEF)
    assert smarthost.messages[0].parameters == (
        "SIZE=53", "RET=HDRS", "ENVID=beef", "NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;ann+2Ba+3Db@example.org",
    )  # fmt: skip


async def test_a_null_sender_is_written_as_one_and_asks_for_no_report(desk, smarthost):
    row = await send(desk, envelope_sender="", automatic=True)
    assert row.state == "sent"
    assert (smarthost.messages[0].sender, smarthost.messages[0].parameters) == ("", ("SIZE=53",))


async def test_without_smtputf8_there_is_no_writing_to_a_name_that_needs_it(tmp_path):
    offers = [offer for offer in OFFERS if offer != "SMTPUTF8"]
    with Smarthost(offers=offers) as smarthost, desk_in(tmp_path, settings(smarthost)) as desk:
        row = await send(desk, recipient="jörg@example.org")
        assert (row.state, row.reason) == (
            "failed",
            "the smarthost cannot write to jörg@example.org (it has no SMTPUTF8)",
        )


async def test_eight_bits_are_announced(desk, smarthost):
    await send(desk, raw="Subject: s\r\n\r\nGrüße\r\n".encode())
    assert "BODY=8BITMIME" in smarthost.messages[0].parameters
    assert "SMTPUTF8" not in smarthost.messages[0].parameters


@pytest.mark.parametrize("offers", [OFFERS, ("SIZE",)], ids=["pipelining", "word by word"])
async def test_refused_mails_cost_no_new_connection(tmp_path, offers):
    with Smarthost(offers=offers) as smarthost, desk_in(tmp_path, settings(smarthost, connections=1)) as desk:
        smarthost.on("RCPT", "550 5.1.1 no such user", match="bad@")
        smarthost.on("MAIL", "450 4.2.1 busy", match="+3@")
        smarthost.on("DOT", "554 5.7.1 spam", match="+4@")
        for number, recipient in enumerate(("a@example.org", "bad@example.org", "c@x.org", "d@x.org", "e@x.org"), 1):
            put(desk, number, recipient=recipient)
        await courier_of(desk).deliver_due()
        assert [state(desk, n).state for n in range(1, 6)] == ["sent", "failed", "retry", "failed", "sent"]
        assert [taken.recipients for taken in smarthost.messages] == [("a@example.org",), ("e@x.org",)]
        assert smarthost.connections == 1


async def test_a_server_that_wants_the_content_of_a_refused_mail_gets_nothing(desk, smarthost):
    """RFC 2920 §3.1: the go-ahead was underway; an empty mail to nobody is no way out."""
    smarthost.on("RCPT", "550 5.1.1 no such user")
    smarthost.on("DATA", "354 go ahead")
    row = await send(desk)
    assert (row.state, row.reason) == ("failed", "550 5.1.1 no such user")
    assert (smarthost.commands["DOT"], smarthost.messages) == (0, [])


async def test_an_old_server_that_knows_no_ehlo_is_greeted_with_helo(desk, smarthost):
    smarthost.on("EHLO", "502 5.5.2 unknown")
    assert (await send(desk)).state == "sent"
    assert smarthost.commands["HELO"] == 1


# -- the connection


async def test_a_kept_connection_that_was_dropped_meanwhile_costs_no_mail_an_attempt(desk, smarthost):
    smarthost.on("MAIL", "421 4.4.2 idle for too long", after=1, times=1)
    put(desk, 1)
    put(desk, 2)
    await courier_of(desk).deliver_due()
    assert [(state(desk, n).state, state(desk, n).attempts) for n in (1, 2)] == [("sent", 1), ("sent", 1)]
    assert smarthost.connections == 2


async def test_a_large_mail_goes_out_block_by_block_as_it_is(desk, smarthost):
    raw = b"Subject: s\r\n\r\n" + b"".join(b".line %d\r\n" % n for n in range(60_000))
    assert (await send(desk, raw=raw)).state == "sent"
    assert smarthost.messages[0].content == raw


async def test_a_server_that_refuses_in_the_middle_of_a_large_mail_is_heard(desk, smarthost):
    smarthost.on("CONTENT", "552 5.3.4 too much of it")
    row = await send(desk, automatic=True, raw=b"Subject: s\r\n\r\n" + b"xxxxxxx\r\n" * (1 << 21))
    assert (row.state, row.reason) == ("failed", "552 5.3.4 too much of it")


@pytest.mark.parametrize("answer", ["hello\r\n", "250 " + "x" * 100_000, "250-a\r\n" * 20_000, "\x00\xff\r\n"])
async def test_a_server_that_speaks_nonsense_is_hung_up_on(desk, smarthost, answer):
    smarthost.on("EHLO", answer)
    row = await send(desk)
    assert (row.state, row.attempts) == ("pending", 0)
    assert re.search(r"what is no reply|an endless line|says too much", row.reason)


async def test_a_wire_that_was_never_connected_says_so():
    with pytest.raises(WireLost, match="not connected"):
        Wire().write(b"x")


async def test_a_connection_that_cannot_be_made_in_time_is_given_up(tmp_path, smarthost):
    with desk_in(tmp_path, settings(smarthost, timeout_seconds=0.2)) as desk:
        smarthost.on("CONNECT", STALL)
        row = await send(desk)
        assert (row.state, row.reason.endswith("the server fell silent for 0.2 s")) == ("pending", True)


# -- LMTP


async def test_lmtp_hands_mail_to_a_socket_of_this_machine(tmp_path):
    with (
        Smarthost(socket=str(tmp_path / "lmtp")) as store,
        desk_in(tmp_path, settings(store, protocol="lmtp").replace("127.0.0.1", f"unix:{tmp_path}/lmtp")) as desk,
    ):
        assert (await send(desk)).state == "sent"
        assert store.commands["LHLO"] == 1


# -- the configuration


def test_a_ca_file_that_is_not_there_is_a_mistake_in_the_configuration(tmp_path, smarthost):
    said = r"outgoing\.smtp\.ca_file: .*gone\.pem: No such file"
    text = settings(smarthost, security="starttls", ca_file="gone.pem")
    with desk_in(tmp_path, text) as desk, pytest.raises(ConfigError, match=said):
        courier_of(desk)
