"""The courier and real servers: Postfix as smarthost, with its refusals, TLS and limits, and Dovecot by LMTP."""

from __future__ import annotations

import pytest
from peers.courier import courier_of, put, settings, state, until
from peers.dovecot import Dovecot
from peers.outgoing import desk_in

pytestmark = pytest.mark.xdist_group("couriers")


async def test_postfix_is_understood_whatever_it_says(tmp_path, smarthost, certificate, start_postfix):
    """Its commands are grouped, its answers come as it likes, and the connection lives on through refusals."""
    (tmp_path / "recipients").write_text(
        "busy@example.org 450 4.2.1 busy\nno@example.org 550 5.1.1 no such user\ndown@example.org 421 4.3.2 down\n"
    )
    postfix = start_postfix(
        default=(smarthost.host, smarthost.port),
        settings={
            "smtpd_recipient_restrictions": f"check_recipient_access texthash:{tmp_path}/recipients, permit_mynetworks, reject",
            "message_size_limit": "20000", "smtpd_tls_security_level": "encrypt", "smtpd_tls_cert_file": str(certificate.certificate),
            "smtpd_tls_key_file": str(certificate.key), "smtpd_delay_reject": "yes",
        },
    )  # fmt: skip
    text = settings(postfix, security="starttls", ca_file=str(certificate.certificate), connections=1)
    with desk_in(tmp_path, text) as desk:
        for number, recipient in enumerate(("a", "busy", "no", "b", "down", "c"), 1):
            put(desk, number, recipient=f"{recipient}@example.org")
        put(desk, 7, raw=b"Subject: 7\r\n\r\n" + b"x" * 70 + b"\r\n" * 20_000)
        put(desk, 8, raw="Subject: 8\r\n\r\n.Grüße\r\n.\r\n".encode())
        await courier_of(desk).deliver_due()
        assert [state(desk, n).state for n in range(1, 9)] == [
            "sent",
            "retry",
            "failed",
            "sent",
            "retry",
            "sent",
            "failed",
            "sent",
        ]
        assert "450 4.2.1" in state(desk, 2).reason
        assert "550 5.1.1" in state(desk, 3).reason
        assert "takes at most 20000" in state(desk, 7).reason
        await until(lambda: len(smarthost.messages) == 4)
        [odd] = [taken for taken in smarthost.messages if taken.message["Subject"] == "8"]
        assert odd.content.endswith("\r\n\r\n.Grüße\r\n.\r\n".encode())
        assert "NOTIFY=FAILURE,DELAY" in odd.parameters  # handed on
        assert "improper command pipelining" not in postfix.log()


async def test_postfix_with_a_certificate_that_nobody_vouches_for_gets_nothing(
    tmp_path, smarthost, certificate, start_postfix
):
    postfix = start_postfix(
        default=(smarthost.host, smarthost.port),
        settings={"smtpd_tls_security_level": "may", "smtpd_tls_cert_file": str(certificate.certificate), "smtpd_tls_key_file": str(certificate.key)},
    )  # fmt: skip
    with desk_in(tmp_path, settings(postfix, security="starttls")) as desk:
        put(desk)
        await courier_of(desk).deliver_due()
        assert (state(desk).state, "its certificate is not to be trusted" in state(desk).reason) == ("pending", True)
        assert "from=<" not in postfix.log()


async def test_dovecot_takes_mail_by_lmtp_and_refuses_whom_it_does_not_know(tmp_path):
    with Dovecot(lmtp=True) as dovecot:
        by_socket = (
            f"[outgoing]\ncourier = 'smtp'\n[outgoing.smtp]\nprotocol = 'lmtp'\nhost = 'unix:{dovecot.lmtp_socket}'\n"
        )
        by_port = f"[smarthost.port]\nprotocol = 'lmtp'\nport = {dovecot.lmtp_port}\n"
        sales = "[mailbox.sales]\naddress = 'sales@example.com'\nqueue = 'support'\nsmarthost = 'port'\n"
        with desk_in(tmp_path, by_socket + by_port + sales) as desk:
            put(desk, 1, recipient="support@example.org")
            put(desk, 2, recipient="sales@example.org", mailbox="sales")
            put(desk, 3, recipient="nobody@example.org")
            await courier_of(desk).deliver_due()
            assert [state(desk, n).state for n in (1, 2, 3)] == ["sent", "sent", "failed"], [
                state(desk, n).reason for n in (1, 2, 3)
            ]
            assert state(desk, 3).reason.startswith("550 5.1.1")
            assert [len(dovecot.messages(user)) for user in ("support", "sales")] == [1, 1]
