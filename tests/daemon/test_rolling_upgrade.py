"""Upgrading node by node: an older daemon and a newer one on one PostgreSQL, whose schema has grown under the older one."""

import shutil
import smtplib
from pathlib import Path

import pytest
from peers.daemon import Daemon, Ran
from peers.house import mail
from peers.processes import wait_until
from peers.stores import migrate

import postroom

CONFIG = """
[store]
url = "{url}"
[smtp]
listen = ["127.0.0.1:{port}"]
[keys]
file = "../keys"
[processing]
workers = 1
[mailbox.support]
address = "support@example.com"
queue = "support"
"""
GROWS = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade():
    op.add_column("ticket", sa.Column("mood", sa.Text(), nullable=False, server_default="calm"))
    op.add_column("inbound_email", sa.Column("weather", sa.Text()))
    op.create_table("mood_log", sa.Column("ticket_id", sa.BigInteger(), primary_key=True))
    op.create_index("ix_ticket_mood", "ticket", ["mood"])
"""
BREAKS = """
from alembic import op

revision, down_revision = "0003", "0002"


def upgrade():
    op.alter_column("ticket", "subject", new_column_name="title")
    op.execute("UPDATE compatibility SET since = '0003'")
"""


def release(folder: Path, *steps: str) -> dict[str, str]:
    """A copy of this program with more steps; the environment of who runs it."""
    shutil.copytree(Path(postroom.__file__).parent, folder / "postroom")  # with what is compiled
    for number, step in enumerate(steps, 2):
        (folder / "postroom/store/migrations/versions" / f"{number:04}_later.py").write_text(step)
    path = folder / "postroom/store/migrate.py"
    path.write_text(path.read_text().replace('HEAD = "0001"', f'HEAD = "{len(steps) + 1:04}"'))
    return {"PYTHONPATH": str(folder)}


def send(daemon, **headers):
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=30) as client:
        client.sendmail("cy@customer.example", ["support@example.com"], mail(**headers))


@pytest.mark.xdist_group("journeys")
def test_an_older_daemon_goes_on_beside_a_newer_one_and_starts_again_until_something_is_taken_away(
    postgresql, postgresql_url, tmp_path
):
    migrate(postgresql_url)
    database = postgresql_url.rpartition("/")[2]
    config = CONFIG.replace("{url}", postgresql_url)
    newer = Daemon(tmp_path / "newer", config, env=release(tmp_path / "next", GROWS))
    newest = Daemon(tmp_path / "newest", config, env=release(tmp_path / "last", GROWS, BREAKS))
    older = Daemon(tmp_path / "older", config)
    tickets = []

    def arrives(daemon, when):
        name = when.replace(" ", "-")
        send(daemon, Message_ID=f"<{name}@customer.example>")
        tickets.append((f"{name}@customer.example",))
        ids = "SELECT email_message_id FROM ticket ORDER BY id"
        wait_until(lambda: postgresql.query(ids, database) == tickets, f"a ticket of what came {when}")

    with older:
        arrives(older, "before")
        assert newer.cli("migrate") == Ran(0, "the schema is now 0002, it was 0001\n", "")
        arrives(older, "after the step")
        with newer:
            arrives(older, "to the older beside the newer")
            arrives(newer, "to the newer beside the older")
            older.restart()
            arrives(older, "to the older that was started again")
        assert (
            older.cli("migrate").out
            == "the schema is 0002, which a later version made; this one (0001) can work on it\n"
        )
        assert {ticket["status"] for ticket in older.json("tickets", "export")} == {"new"}
        assert older.stop() == 0
    moods = "SELECT DISTINCT mood FROM ticket"
    assert postgresql.query(moods, database) == [("calm",)]

    assert newest.cli("migrate").exit == 0
    older.start(wait=False)
    assert older.wait() == 78
    assert "was made by a later version of Postroom (schema 0003, this one knows 0001)" in older.log()
