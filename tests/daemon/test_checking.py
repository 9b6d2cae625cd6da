"""Who sent it, checked by ourselves on the daemon's own way: claimed, parsed, checked, written."""

import hashlib
import smtplib
import threading

import pytest
from peers.house import ANN, CONFIG, SUPPORT, answer, mail, open_test_house
from peers.nameserver import serving
from peers.processes import wait_until
from peers.signing import Zone, publish, sign

from postroom.config import Processing
from postroom.daemon import house
from postroom.daemon.checking import Checker
from postroom.daemon.process import Processor
from postroom.daemon.workers import Broken, Workers
from postroom.desk.lookup import DnsFailure
from postroom.parsers.email import parse
from postroom.store import inbound

CY, D, OUTSIDE = "cy@customer.example", "customer.example", "192.0.2.7"
SECONDS = 4


@pytest.fixture(scope="module")
def workers():
    with Workers(Processing(workers=2)) as running:
        yield running


@pytest.fixture
def zone():
    return Zone()


@pytest.fixture
def desk(store_url, tmp_path):
    with open_test_house(
        tmp_path, store={"url": store_url}, authentication={"check": "smtp", "timeout_seconds": SECONDS}
    ) as opened:
        yield opened


def take(desk, workers, dns, *raws, recipient=SUPPORT, client="127.0.0.1", sender=None, source="smtp"):
    """Take mail by the daemon's own way; the rows of what was received."""
    with desk.store.write() as connection:
        new = [
            inbound.NewInbound(
                "support", recipient, raw, hashlib.sha256(raw).hexdigest(), source,
                parse(raw).from_[0].address if sender is None else sender, house.now(),
                {"address": client, "helo": "mx.customer.example"},
            )
            for raw in raws
        ]  # fmt: skip
        ids = [accepted.id for accepted in inbound.accept(connection, new)]
    checker = Checker(desk.house.config, workers, dns)
    try:
        process = Processor(
            desk.house.config, desk.store, workers, desk.house.reception, house.now, check=checker.check_all
        )
        process.drain()
    finally:
        checker.close()
    with desk.store.read() as connection:
        return [inbound.get(connection, id_) for id_ in ids]


def line(row):
    return next((one for one in row.decision if one["rule"] == "dmarc"), None)


def test_the_result_is_kept_with_the_decision(desk, workers, zone):
    publish(zone, D)
    (row,) = take(desk, workers, zone, sign(mail(), D))
    found = line(row)
    assert (found["step"], found["outcome"]) == ("author", "held")
    assert found["evidence"]["dkim"] == "pass"
    assert next(one for one in row.decision if one["rule"] == "customer")["evidence"]["authenticated"] is True
    assert desk.sent("confirmation", CY).subject == "Re: Printer on fire"


def test_a_forged_sender_is_not_answered(desk, workers, zone):
    publish(zone, D)
    (row,) = take(desk, workers, zone, mail(), client=OUTSIDE)
    assert (line(row)["outcome"], row.state) == ("failed", "processed")
    (confirmation,) = desk.outbox(purpose="confirmation")
    assert (confirmation[0].state, confirmation[0].reason.partition(":")[0]) == ("suppressed", "authentication-failed")


def test_an_agent_whose_domain_has_a_policy_must_pass(desk, workers, zone):
    publish(zone, "example.com")
    (opened,) = take(desk, workers, zone, mail())
    notice = desk.sent("new_ticket", ANN)
    to = notice.reply_to[0].address
    take(desk, workers, zone, answer(notice, "Forged.\n"), recipient=to)
    assert desk.conversation(opened.ticket_id)[-1].flags == ["unproven-agent"]
    take(desk, workers, zone, sign(answer(notice, "Mine.\n"), "example.com"), recipient=to)
    assert desk.conversation(opened.ticket_id)[-1].author_type == "agent"


def test_an_agent_whose_policy_nobody_can_tell_must_pass_too(desk, workers, zone):
    (opened,) = take(desk, workers, zone, mail())
    notice = desk.sent("new_ticket", ANN)
    zone.records["TXT _dmarc.example.com"] = None
    take(desk, workers, zone, answer(notice, "Forged?\n"), recipient=notice.reply_to[0].address)
    assert desk.conversation(opened.ticket_id)[-1].flags == ["unproven-agent"]


def test_an_agent_whose_domain_has_no_policy_is_proven_as_without_a_check(desk, workers, zone):
    (opened,) = take(desk, workers, zone, mail())
    notice = desk.sent("new_ticket", ANN)
    take(desk, workers, zone, answer(notice), recipient=notice.reply_to[0].address)
    assert desk.conversation(opened.ticket_id)[-1].author_type == "agent"


def test_an_agent_must_pass_where_the_check_did_not_happen(desk):
    id_ = desk.take(mail()).ticket_id
    notice = desk.sent("new_ticket", ANN)
    desk.take(answer(notice), recipient=notice.reply_to[0].address)
    assert desk.conversation(id_)[-1].flags == ["unproven-agent"]


def test_the_pinned_server_is_believed_first_and_asked_about_instead_of_the_dns(tmp_path, workers, zone):
    support = {**CONFIG["mailbox"]["support"], "authserv_id": "mx.example.com"}
    with open_test_house(tmp_path, mailbox={"support": support}, authentication={"check": "smtp"}) as desk:
        zone.records["TXT _dmarc.customer.example"] = ["v=DMARC1; p=reject"]
        zone.records["TXT customer.example"] = ["v=spf1 +all"]
        said = mail(Authentication_Results="mx.example.com; dmarc=fail header.from=customer.example")
        (row,) = take(desk, workers, zone, said, client=OUTSIDE)
        assert (zone.asked, line(row)) == ([], None)
        # without its word the client is that very server, and no SPF record can vouch for whom it relays
        (row,) = take(desk, workers, zone, mail(text="Unsaid.\n"), client=OUTSIDE)
        assert line(row)["outcome"] == "unknown"
        assert "TXT customer.example" not in zone.asked


@pytest.mark.parametrize("source", ["imap", "ingest"])
def test_mail_that_did_not_come_by_smtp_is_not_checked(desk, workers, zone, source):
    (row,) = take(desk, workers, zone, mail(), source=source)
    assert (zone.asked, line(row)) == ([], None)


def test_switched_off_nothing_is_asked_and_nothing_counts(tmp_path, workers, zone):
    publish(zone, D)
    with open_test_house(tmp_path) as desk:
        (row,) = take(desk, workers, zone, sign(mail(), D))
        assert line(row) is None


def test_a_dns_that_hangs_holds_a_batch_for_no_longer_than_one_message(tmp_path, workers):
    let_go = threading.Event()
    most = []

    def hanging(name, kind, seconds):
        most.append(seconds)
        let_go.wait(30)  # a resolver that does not keep its time
        raise DnsFailure("no answer")

    with open_test_house(tmp_path, authentication={"check": "smtp", "timeout_seconds": 0.2}) as desk:
        rows = take(desk, workers, hanging, *(mail(f"c{n}@d{n}.example", text=f"{n}\n") for n in range(20)))
        let_go.set()
        assert {row.state for row in rows} == {"processed"}
        assert {line(row)["outcome"] for row in rows} == {"unknown"}
        assert max(most) <= 0.2


def test_a_resolver_that_breaks_is_unknown_and_breaks_nothing(desk, workers):
    def broken(name, kind, seconds):
        raise RuntimeError("bug")

    (row,) = take(desk, workers, broken, mail())
    assert (row.state, line(row)["why"]) == ("processed", "the check failed")


def test_a_body_made_to_keep_its_verifier_busy_is_unknown_in_time_and_the_next_one_passes(tmp_path, workers, zone):
    publish(zone, D)
    field, _, rest = sign(mail(), D).partition(b"\r\n\r\n")
    slow = field.replace(b"c=relaxed/simple", b"c=relaxed/relaxed") + b"\r\n\r\n" + b" " * (2 << 20) + b"x" + rest
    with open_test_house(tmp_path, authentication={"check": "smtp", "timeout_seconds": 1}) as desk:
        (row,) = take(desk, workers, zone, slow)
        assert (row.state, line(row)["outcome"]) == ("processed", "unknown")
        (row,) = take(desk, workers, zone, sign(mail(), D))
        assert line(row)["outcome"] == "held"


def test_the_daemon_checks_where_it_is_told_to(start_daemon):
    with serving() as server:
        daemon = start_daemon(
            '[smtp]\nlisten = ["127.0.0.1:{port}"]\nmin_free_disk = 1\n[mailbox.support]\naddress = "support@example.com"\n'
            f'queue = "support"\n[authentication]\ncheck = "smtp"\nresolver = "{server}"\n'
        )
        with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=20) as client:
            client.sendmail(CY, [SUPPORT], mail())
        wait_until(
            lambda: [row for row in daemon.json("inbound", "list", "--json") if row["state"] == "processed"], "a ticket"
        )
        (row,) = daemon.json("inbound", "explain", "1", "--json")
    found = next(one for one in row["decision"] if one["rule"] == "dmarc")
    assert (found["outcome"], found["evidence"]["policy"]) == ("unknown", "absent")


def test_workers_do_other_work_within_its_time(workers):
    assert workers.run(len, ["four"], 5) == 4
    assert isinstance(workers.run(int, ["four"], 5), Broken)
