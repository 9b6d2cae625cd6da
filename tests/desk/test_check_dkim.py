import re
from base64 import b64encode

import pytest
from peers.house import mail
from peers.signing import SIGNED, key_record, sign

from postroom.desk.check_dkim import Signature, find_signatures, verify, wrong_key

NOW = 1_900_000_000.0
CY = "cy@customer.example"
D = "customer.example"


def outcome(raw, record=None, address=CY, now=NOW):
    found = find_signatures(raw, now)
    return verify(raw, [(one, record or key_record()) for one in found], address)


def test_a_signature_holds():
    assert outcome(sign(mail(), D)) == ("pass",)
    assert outcome(sign(mail(), D).replace(b"\r\n", b"\n")) == ("pass",)
    assert outcome(b"Received: from a by b; Tue, 24 Nov 2026 12:00:00 +0000\r\n" + sign(mail(), D)) == ("pass",)


@pytest.mark.parametrize(
    ("change", "to"),
    [(b"It burns.", b"It sinks."), (b"Printer on", b"Printer in"), (b"Cy Customer", b"Di Customer"), (b"bh=", b"bh=A")],
)
def test_a_changed_mail_does_not(change, to):
    raw = sign(mail(), D)
    assert change in raw
    assert outcome(raw.replace(change, to, 1))[0] != "pass"


def test_a_second_from_breaks_every_signature():
    raw = sign(mail(), D)
    assert outcome(b"From: ann@example.com\r\n" + raw) == ("the mail has 2 From fields",)


def test_what_is_signed_is_the_from_that_was_read():
    raw = sign(mail(), D)
    assert outcome(raw, address="ann@example.com") == ("what is signed is not the From that we read",)


def test_a_signature_that_leaves_out_from_is_none():
    raw = sign(mail(), D)
    assert find_signatures(re.sub(rb"h=from : ", b"h=", raw), NOW) == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"a=rsa-sha256", b"a=rsa-sha1"), (b"a=rsa-sha256", b"a=none"), (b"v=1", b"v=2"), (b"q=dns/txt", b"q=dns/txt; l=1"),
        (b"q=dns/txt", b"q=dns/txt; x=1899999999"), (b"q=dns/txt", b"q=dns/txt; x=never"),
        (b"d=customer.example", b"d=example"), (b"d=customer.example", b"d=customer.example; d=example.com"),
        (b"s=s;", b"s=;"), (b"s=s;", b"s=a b;"), (b"s=s;", b"s=s.\xc3\xa9;"), (b"i=@customer.example", b"i=@evil.example"),
        (b"i=@customer.example", b"i=@xcustomer.example"),
    ],
)  # fmt: skip
def test_a_signature_that_can_prove_nothing_is_none(old, new):
    raw = sign(mail(), D)
    assert old in raw
    assert find_signatures(raw.replace(old, new, 1), NOW) == ()


def test_a_length_is_never_trusted():
    raw = sign(mail(), D, length=True)
    assert b"l=" in raw
    assert outcome(raw + b"Words that nobody signed.\r\n") == ()
    assert outcome(raw) == ()


def test_a_short_key_proves_nothing():
    assert outcome(sign(mail(), D, bits=768), key_record(768)) == ("the key has 768 bits",)
    assert outcome(sign(mail(), D, bits=1024), key_record(1024)) == ("pass",)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda r: "", "there is no key"),
        (lambda r: r + " " * 5000, "there is no key"),
        (lambda r: r.replace("v=DKIM1", "v=DKIM2"), "the key record is broken, or of another kind"),
        (lambda r: r.replace("k=rsa", "k=ed25519"), "the key record is broken, or of another kind"),
        (lambda r: r + "; p=", "the key record is broken, or of another kind"),
        (lambda r: "v=DKIM1; p=", "the key was revoked"),
        (lambda r: "v=DKIM1; p=AAAA", "the key is broken"),
        (lambda r: "v=DKIM1; p=MII", "the key is broken"),
        (lambda r: r + "; t=y", "the domain is only testing (t=y)"),
        (lambda r: r + "; s=tlsrpt", "the key is for something else"),
        (lambda r: r + "; h=sha1", "the key is for something else"),
        (lambda r: r + "; s=tlsrpt:email; h=sha1:sha256; t=s; n=note", None),
        (lambda r: r.replace("k=rsa; ", ""), None),
    ],
)
def test_a_key_that_is_not_meant_for_it_is_none(change, why):
    assert wrong_key(change(key_record()), Signature(0, D, "s", D)) == why


def test_a_key_for_no_subdomains_is_none_for_one():
    signature = Signature(0, D, "s", f"mail.{D}")
    assert wrong_key(key_record() + "; t=s", signature) == "the key is not for subdomains (t=s)"


def test_only_the_topmost_signatures_are_looked_at():
    forged = b"DKIM-Signature: v=1; a=rsa-sha256; d=evil.example; s=s; h=from; bh=AAAA; b=AAAA\r\n"
    assert len(find_signatures(forged * 500 + mail(), NOW)) == 10
    assert find_signatures(b"X-Pad: " + b"a" * (300 << 10) + b"\r\n" + sign(mail(), D), NOW) == ()
    assert find_signatures(b"", NOW) == ()


def test_each_signature_is_the_one_at_its_place():
    raw = sign(sign(mail(), "list.example"), D)
    found = find_signatures(raw, NOW)
    assert [(s.index, s.domain, s.key_name) for s in found] == [
        (0, D, "s._domainkey.customer.example"), (1, "list.example", "s._domainkey.list.example"),
    ]  # fmt: skip
    assert verify(raw, [(found[1], key_record())], CY) == ("pass",)
    swapped = Signature(1, D, "s", D)
    assert verify(raw, [(swapped, key_record())], CY) == ("it is another one",)


@pytest.mark.parametrize(
    "raw", [b" folded first\r\n\r\n", b"\r\n", b"no colon\r\n\r\n", b"From: a@b\rFrom: c@d\r\n\r\n"]
)
def test_a_broken_header_proves_nothing(raw):
    assert "pass" not in verify(raw, [(Signature(0, D, "s", D), key_record())], CY)


def test_unsigned_fields_may_change_and_signed_ones_may_not():
    raw = sign(mail(Reply_To="cy@customer.example"), D, signed=(*SIGNED, b"reply-to"))
    assert outcome(raw.replace(b"Reply-To: cy@", b"Reply-To: di@")) != ("pass",)


def test_an_ed25519_signature_holds_too():
    import dkim
    import nacl.signing

    secret = nacl.signing.SigningKey.generate()
    public = b64encode(bytes(secret.verify_key)).decode()
    plain = mail()
    message = dkim.DKIM(plain, signature_algorithm=b"ed25519-sha256")
    raw = message.sign(b"s", D.encode(), b64encode(bytes(secret)), include_headers=SIGNED) + plain
    record = f"v=DKIM1; k=ed25519; p={public}"
    assert outcome(raw, record) == ("pass",)
    assert outcome(raw.replace(b"It burns.", b"It sinks."), record)[0] != "pass"
    assert outcome(raw, record.replace("k=ed25519", "k=rsa")) == ("the key record is broken, or of another kind",)
    assert outcome(raw, key_record()) == ("the key record is broken, or of another kind",)
    assert outcome(raw, "v=DKIM1; k=ed25519; p=") == ("the key was revoked",)
    assert outcome(raw, f"v=DKIM1; k=ed25519; p={public[4:]}") == ("the key is broken",)
    assert outcome(raw, "v=DKIM1; k=ed25519; p=*") == ("the key is broken",)
    other = b64encode(bytes(nacl.signing.SigningKey.generate().verify_key)).decode()
    assert outcome(raw, f"v=DKIM1; k=ed25519; p={other}")[0] != "pass"
