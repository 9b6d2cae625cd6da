"""What we sign, verified by two programs that know nothing of us: dkimpy and opendkim; and by our own check."""

import re
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import dkim
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import commandline, nameserver
from peers.outgoing import desk_in, mail
from peers.processes import need

from postroom import config
from postroom.desk.check_dkim import find_signatures, verify
from postroom.errors import ConfigError
from postroom.outbound.compose import File, Mail, compose, content_of
from postroom.outbound.signing import Signing, zone_line
from postroom.parsers.parsed import Address

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
US = "support@example.com"
MAKE = {
    "rsa": ["genrsa", "2048"], "ed": ["genpkey", "-algorithm", "ed25519"], "weak": ["genrsa", "512"],
    "ec": ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "locked": ["genrsa", "-aes256", "-passout", "pass:x", "2048"],
}  # fmt: skip


@cache
def pem(kind: str) -> str:
    return subprocess.run([need("openssl", "openssl"), *MAKE[kind]], check=True, capture_output=True, text=True).stdout


def settings_with(folder: Path, *kinds: str, domain: str = "example.com", mailbox: str = US) -> config.Config:
    keys = {}
    for kind in kinds:
        (folder / f"{kind}.pem").write_text(pem(kind))
        (folder / f"{kind}.pem").chmod(0o600)
        keys[kind] = {"domain": domain, "selector": f"s-{kind}", "key_file": f"{kind}.pem"}
    return config.parse({"mailbox": {"support": {"address": mailbox, "queue": "support"}}, "dkim": keys}, folder)


def a_mail(text="Hello\n\n  two  blanks\t\n\n\n", **changes) -> bytes:
    values = {
        "sender": Address("Support", US), "to": (Address("Ann", "ann@example.org"),), "subject": "Hello",
        "message_id": "token@example.com", "date": NOON, "content": content_of(text, "<p>Hello</p>"),
        "references": ("a@example.org", "b@example.org"), "marks": (("Auto-Submitted", "auto-replied"),),
    }  # fmt: skip
    return compose(Mail(**{**values, **changes}))


def records(signing: Signing) -> dict[str, str]:
    return {key.record_name: key.record for key in signing.keys().values()}


def by_dkimpy(raw: bytes, published: dict[str, str]) -> list[bool]:
    message = dkim.DKIM(raw)
    count = sum(name.lower() == b"dkim-signature" for name, _ in message.headers)
    dns = {f"{name}.".encode(): record.encode() for name, record in published.items()}
    return [_holds(message, index, dns) for index in range(count)]


def _holds(message: dkim.DKIM, index: int, dns: dict[bytes, bytes]) -> bool:
    try:
        return bool(message.verify(index, dnsfunc=lambda name, timeout=5: dns[name]))
    except dkim.ValidationError:
        return False


def by_opendkim(mails: list[bytes], published: dict[str, str], folder: Path) -> list[str]:
    """What opendkim says of each mail, by its Authentication-Results."""
    program = need("opendkim", "opendkim")
    (folder / "dns").write_text("".join(f"{name} {record}\n" for name, record in published.items()))
    (folder / "opendkim.conf").write_text(f"Mode v\nSyslog no\nTestDNSData {folder}/dns\n")
    names = []
    for number, raw in enumerate(mails):
        names.append(str(folder / f"{number}.eml"))
        Path(names[-1]).write_bytes(raw)
    command = [program, "-x", str(folder / "opendkim.conf"), "-vv", "-t", ",".join(names)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return said.stdout.split("### INSHEADER")[1:]


def test_both_kinds_of_signature_hold_by_dkimpy_by_opendkim_and_by_our_own_check(tmp_path):
    signing = Signing(settings_with(tmp_path, "rsa", "ed"))
    files = [
        File("Größe.pdf", "application/pdf", b"%PDF" * 3000),
        File("a.eml", "message/rfc822", b"Subject: a\n\n b  c \n"),
    ]
    mails = [
        signing.signed(raw, US, NOON)
        for raw in (
            a_mail(), a_mail("", subject="Grüße " * 50), a_mail(content=content_of("x", None, files)), a_mail(content=b"\r\n\r\n\r\n"),
            a_mail(to=(Address("Jörg", "jörg@exämple.org"),)), a_mail("Привет, у меня горит принтер\n" * 50, cc=(Address("", "c@example.net"),)),
        )
    ]  # fmt: skip
    published = records(signing)
    for raw in mails:
        assert by_dkimpy(raw, published) == [True, True]
        found = find_signatures(raw, NOON.timestamp())
        assert verify(raw, [(one, published[one.key_name]) for one in found], US) == ("pass", "pass")
    said = by_opendkim(mails, published, tmp_path)
    assert len(said) == len(mails)
    for one in said:
        assert re.findall(r"dkim=(\w+)[^;]*header\.s=s-(\w+)", one) == [("pass", "rsa"), ("pass", "ed")], one


TEXT = st.text(max_size=200) | st.from_regex(r"[ \t\r\n.a]{0,40}")


@settings(max_examples=60)
@given(TEXT, TEXT, TEXT)
def test_whatever_is_written_its_signature_holds(subject, name, text):
    signing = _signing()
    raw = signing.signed(a_mail(text, subject=subject, to=(Address(name, "ann@example.org"),)), US, NOON)
    assert by_dkimpy(raw, records(signing)) == [True]
    assert max(map(len, raw.partition(b"\r\n\r\n")[0].split(b"\r\n"))) <= 998
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", raw)


@cache
def _signing() -> Signing:
    from tempfile import mkdtemp

    signing = Signing(settings_with(Path(mkdtemp(prefix="signing.")), "ed"))
    signing.keys()
    return signing


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b"Hello", b"Hullo", 1),
        lambda raw: raw.replace(b"two", b"tow", 1),
        lambda raw: raw + b"more\r\n",
        lambda raw: b"From: else@example.org\r\n" + raw,
        lambda raw: raw.replace(b"\r\n\r\n", b"\r\nSubject: another\r\n\r\n", 1),
        lambda raw: raw.replace(b"\r\n\r\n", b"\r\nReply-To: thief@example.org\r\n\r\n", 1),
        lambda raw: raw.replace(b"\r\n\r\n", b"\r\nCc: thief@example.org\r\n\r\n", 1),
        lambda raw: raw.replace(b"\r\n\r\n", b"\r\nContent-Type: text/html\r\n\r\n", 1),
        lambda raw: raw.replace(b"b@example.org", b"c@example.org", 1),
    ],
)
def test_nothing_that_a_reader_sees_can_be_changed_or_added(change):
    raw = _signing().signed(a_mail(), US, NOON)
    assert change(raw) != raw
    assert by_dkimpy(change(raw), records(_signing())) == [False]


def test_what_relays_do_breaks_nothing():
    raw = _signing().signed(a_mail(), US, NOON)
    relayed = (
        b"Received: from a by b; Tue, 24 Nov 2026 12:00:00 +0000\r\n"
        + raw.replace(b"Subject: ", b"Subject:  ")
        + b"\r\n\r\n"
    )
    assert by_dkimpy(relayed, records(_signing())) == [True]


def test_only_the_domain_of_a_key_is_signed_for_and_those_below_it(tmp_path):
    signing = Signing(settings_with(tmp_path, "ed"))
    assert signing.signed(b"raw", "support@example.net", NOON) == b"raw"
    assert signing.signed(b"raw", "support@notexample.com", NOON) == b"raw"
    assert b"d=example.com;" in signing.signed(a_mail(), "support@help.Example.com", NOON)
    assert Signing(settings_with(tmp_path)).signed(b"raw", US, NOON) == b"raw"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda path: path.chmod(0o640), r"^dkim\.ed\.key_file: others can read .*; run: chmod 600 "),
        (lambda path: path.unlink(), r"^dkim\.ed\.key_file: .*ed\.pem: No such file or directory$"),
        (lambda path: path.write_text("-----BEGIN"), r"^dkim\.ed\.key_file: ed\.pem is no private key in PEM$"),
        (lambda path: path.write_text(pem("weak")), r"^dkim\.ed\.key_file: 512 bits are not between 1024 and 4096"),
        (
            lambda path: path.write_text(pem("ec")),
            r"^dkim\.ed\.key_file: ed\.pem is neither an RSA nor an Ed25519 key$",
        ),
        (lambda path: path.write_text(pem("locked")), r"^dkim\.ed\.key_file: ed\.pem needs a passphrase"),
    ],
)
def test_a_key_that_cannot_sign_is_named_and_nothing_goes_out_unsigned(tmp_path, change, why):
    made = settings_with(tmp_path, "ed")
    change(tmp_path / "ed.pem")
    with pytest.raises(ConfigError, match=why):
        Signing(made).signed(a_mail(), US, NOON)


def test_a_credential_of_systemds_is_taken_whatever_its_mode(tmp_path, monkeypatch):
    made = settings_with(tmp_path, "ed")
    (tmp_path / "credentials").mkdir()
    (tmp_path / "ed.pem").rename(tmp_path / "credentials" / "ed.pem").chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    assert Signing(made).signed(a_mail(), US, NOON).startswith(b"DKIM-Signature: ")


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"a": {"domain": "example.com", "selector": "s;", "key_file": "x"}}, r"^dkim\.a\.selector: .s;. is no name"),
        ({"a": {"domain": "com\n", "selector": "s", "key_file": "x"}}, r"^dkim\.a\.domain: "),
        (
            {name: {"domain": "example.com", "selector": "s", "key_file": "x"} for name in "ab"},
            r"^dkim\.b\.selector: dkim\.a is published there",
        ),
        ({"a": {"domain": "example.com", "selector": "s"}}, r"^dkim\.a\.key_file: is missing$"),
    ],
)  # fmt: skip
def test_a_key_that_makes_no_sense_is_refused(keys, why):
    with pytest.raises(ConfigError, match=why):
        config.parse({"mailbox": {"support": {"address": US, "queue": "support"}}, "dkim": keys}, Path())


def test_every_mail_of_a_desk_is_signed_once_and_kept_as_it_is(tmp_path):
    (tmp_path / "ed.pem").write_text(pem("ed"))
    (tmp_path / "ed.pem").chmod(0o600)
    key = '[dkim.main]\ndomain = "example.com"\nselector = "s"\nkey_file = "ed.pem"\n'
    with desk_in(tmp_path, key) as desk:
        desk.receive(mail())
        waiting = desk.outbox()
        assert [one.purpose for one in waiting] == ["confirmation", "new_ticket", "new_ticket"]
        published = records(Signing(desk.config))
        for delivery in waiting:
            assert by_dkimpy(desk.raw(delivery), published) == [True]


def test_a_record_is_split_into_strings_that_fit():
    line = zone_line("s._domainkey.example.com", "v=DKIM1; k=rsa; p=" + "A" * 400)
    assert line.startswith('s._domainkey.example.com. IN TXT ( "v=DKIM1; k=rsa; p=AAA')
    assert [len(one) for one in re.findall('"([^"]*)"', line)] == [255, 163]


def test_what_is_to_be_published_is_printed_and_checked(tmp_path, monkeypatch):
    signing = Signing(settings_with(tmp_path, "rsa", "ed"))
    keys = signing.keys()
    text = commandline.CONFIG
    for name, key in keys.items():
        text += f'[dkim.{name}]\ndomain = "example.com"\nselector = "{key.selector}"\nkey_file = "{name}.pem"\n'

    def run(*arguments: str, resolver: str = "127.0.0.1:9") -> str:
        asks = f'[authentication]\nresolver = "{resolver}"\n'
        ran = commandline.Desk(tmp_path, text + asks)(*arguments)
        return ran.out + ran.err

    printed = run("dkim", "record", "rsa").strip()
    assert printed == zone_line(keys["rsa"].record_name, keys["rsa"].record)
    assert len(run("dkim", "record").strip().splitlines()) == 2
    assert "there is no [dkim.else]" in run("dkim", "record", "else")
    for name, published, words in (
        ("rsa", keys["rsa"].record, "rsa-sha256 for example.com, published as s-rsa._domainkey.example.com"),
        ("ed", keys["rsa"].record, "publishes another key"),
        ("ed", keys["ed"].record, "ed25519-sha256 for example.com, published"),
        ("ed", keys["ed"].record + "; t=y", "the domain is only testing"),
        ("ed", keys["ed"].record.replace("k=ed25519", "k=rsa"), "of another kind"),
    ):
        quoted = " ".join(f'"{published[at : at + 255]}"' for at in range(0, len(published), 255))
        monkeypatch.setitem(nameserver.RECORDS, (f"s-{name}._domainkey.example.com.", "TXT"), [quoted])
        with nameserver.serving() as resolver:
            lines = run("check", "--dns", resolver=resolver).splitlines()
        assert words in next(line for line in lines if f"dkim.{name}:" in line)
    text = text.replace('domain = "example.com"', 'domain = "example.org"', 1)
    assert "no mailbox sends from example.org" in run("check")
    monkeypatch.delitem(nameserver.RECORDS, ("s-ed._domainkey.example.com.", "TXT"))
    with nameserver.serving() as resolver:
        lines = run("check", "--dns", resolver=resolver).splitlines()
    assert any("there is no TXT record s-ed._domainkey.example.com; publish what this prints" in line for line in lines)
