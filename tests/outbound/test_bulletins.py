"""What is told by the calendar: digests, the quarantine, the month. Each once, and only where there is something to say."""

import email
import hashlib
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import policy

import pytest
from peers.house import ANN, BOB, CONFIG, SUPPORT, TestHouse, mail

from postroom import config as settings
from postroom.daemon import house
from postroom.daemon.calendar_jobs import jobs_of
from postroom.daemon.schedule import Schedule
from postroom.store import inbound
from postroom.store.tables import RawMail, Ticket

DAY = timedelta(days=1)


class Bulletins(TestHouse):
    """A house whose calendar is the test's."""

    def at(self, moment):
        """Do what the calendar has by then; the mails that it wrote."""
        notifier = self.house.notifier
        jobs = jobs_of(self.house.config, notifier, lambda: moment)
        before = {row.id for row, _ in self.outbox()}
        Schedule(self.house.config, self.store, lambda: moment, notifier, jobs=jobs).make_up()
        return [(row, found) for row, found in self.outbox() if row.id not in before]


@pytest.fixture
def desk_with(tmp_path):
    @contextmanager
    def opened(queue=None, **changes):
        queues = {**CONFIG["queue"], "support": {**CONFIG["queue"]["support"], **(queue or {})}}
        with house.open_house(settings.parse({**CONFIG, "queue": queues, **changes}, tmp_path)) as rooms:
            yield Bulletins(rooms)

    return opened


def tomorrow_at(hour):
    return (datetime.now(UTC) + DAY).replace(hour=hour, minute=30)


def test_each_agent_of_a_queue_gets_its_digest_once_a_day(desk_with):
    with desk_with({"digest_at": "08:00", "first_response_hours": 1}) as desk:
        assert desk.at(datetime.now(UTC)) == []
        desk.take(mail(subject="The oldest question"))
        desk.take(mail(subject="For sales", to="sales@example.com"), "sales@example.com")
        told = desk.at(tomorrow_at(9))
        assert {row.recipient for row, _ in told} == {ANN, BOB}
        assert {row.purpose for row, _ in told} == {"digest"}
        for _, found in told:
            assert found.subject == "Support: 1 open"
            assert "The oldest question" in found.text
            assert "Nobody's: 1." in found.text
            assert "For sales" not in found.text
            assert found.header("Auto-Submitted") == "auto-generated"
        assert desk.at(tomorrow_at(10)) == []


def test_where_there_is_nothing_to_say_nothing_is_said(desk_with):
    with desk_with({"digest_at": "08:00"}, operator={"address": "root@example.com"}) as desk:
        desk.at(datetime.now(UTC))
        assert desk.at(tomorrow_at(9)) == []


def test_the_operator_is_told_once_a_day_what_waits_in_quarantine(desk_with):
    with desk_with(operator={"address": "root@example.com"}) as desk:
        desk.at(datetime.now(UTC))
        raw = mail()
        with desk.store.write() as connection:
            digest = hashlib.sha256(raw).hexdigest()
            new = inbound.NewInbound("support", SUPPORT, raw, digest, "smtp", "cy@customer.example", house.now())
            [accepted] = inbound.accept(connection, [new])
            inbound.quarantine(connection, accepted.id, "the parse worker died", house.now())
        [(row, found)] = desk.at(tomorrow_at(9))
        assert (row.recipient, row.purpose) == ("root@example.com", "quarantine")
        assert "the parse worker died" in found.text
        assert "inbound quarantine" in found.text
        assert desk.at(tomorrow_at(10)) == []
        assert len(desk.at(tomorrow_at(9) + DAY)) == 1


def test_on_the_first_the_month_before_is_sent_with_its_chart_and_its_table(desk_with):
    reports = {"monthly_to": ["boss@example.com", "board@example.com"], "time_zone": "Europe/Berlin"}
    with desk_with(reports=reports) as desk:
        desk.at(datetime(2026, 10, 15, tzinfo=UTC))
        desk.take(mail())
        with desk.store.write() as connection:
            october = {"created_at": datetime(2026, 10, 20, tzinfo=UTC)}
            connection.execute(Ticket.__table__.update().values(october))
        assert desk.at(datetime(2026, 11, 1, 4, 59, tzinfo=UTC)) == []
        told = desk.at(datetime(2026, 11, 1, 5, tzinfo=UTC))
        assert [row.recipient for row, _ in told] == reports["monthly_to"]
        assert desk.at(datetime(2026, 11, 2, tzinfo=UTC)) == []
        with desk.store.read() as connection:
            raw = (
                connection.execute(RawMail.__table__.select().where(RawMail.digest == told[0][0].digest)).one().content
            )
    message = email.message_from_bytes(raw, policy=policy.default)
    kinds = [part.get_content_type() for part in message.walk() if not part.is_multipart()]
    assert kinds == ["text/plain", "text/html", "image/png", "text/csv"]
    assert message["Subject"] == "Report on October 2026"
    picture = next(part for part in message.walk() if part.get_content_type() == "image/png")
    assert picture.get_content()[:8] == b"\x89PNG\r\n\x1a\n"
    html = message.get_body(("related", "html"))
    assert f"cid:{picture['Content-ID'].strip('<>')}" in str(html)
    [table] = message.iter_attachments()
    assert table.get_filename() == "report-2026-10.csv"
    assert "2026-10,all,,1,0,0,0,1" in str(table.get_content())
