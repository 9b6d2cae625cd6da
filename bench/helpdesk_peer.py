"""An import beside django-helpdesk's: the same mails, on the same machine, in the same run. Needs the package index.

Its current release is installed into a virtual environment of its own, without teams and with a mail backend that sends nothing. Its
`helpdesk.email.extract_email_metadata()` is given each mail, as its command `get_email` does for all kinds of mailboxes; that command itself
is not called, since over a folder of files it ends for good at the first mail that is no UTF-8. Then the same mails again, for what it
makes of a redelivery. Beside it `postroom ingest --archive`, measured as in archive.py.

    python bench/helpdesk_peer.py [--count 2000] [--folder FOLDER] [--postgresql]

Prints a table, then one JSON line. CPU is that of all processes, the database server's included, with their start.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from archive import take
from corpus import SEED, Mail, make_corpus
from end_to_end import LOOK_SECONDS, Processors, expect_exit
from grow import Server
from peers.postgresql import PostgreSQL
from peers.processes import Program

PACKAGES = ("django-helpdesk", "psycopg[binary]")
# what runs in its environment: `prepare` makes the tables and the queue, `take` reads the folder, `count` says what is there
DRIVER = """
import json, logging, os, pathlib, sys
import django
from django.conf import settings

folder, what = sys.argv[1:]
logger, taken, broken = logging.getLogger("bench"), 0, {}
database = json.loads(os.environ["HELPDESK_DATABASE"])
settings.configure(
    SECRET_KEY="a benchmark", USE_TZ=True, SITE_ID=1, ROOT_URLCONF="urls", DATABASES={"default": database},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField", MEDIA_ROOT=folder + "/media", STATIC_URL="/static/", LOGIN_URL="/login",
    HELPDESK_TEAMS_MODEL="auth.User", HELPDESK_TEAMS_MIGRATION_DEPENDENCIES=[], HELPDESK_KBITEM_TEAM_GETTER=lambda _: None,
    EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend", QUEUE_EMAIL_BOX_UPDATE_ONLY=False,
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    INSTALLED_APPS=["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
                    "django.contrib.messages", "django.contrib.sites", "django.contrib.humanize", "rest_framework", "helpdesk"],
)
sys.path.insert(0, folder)
django.setup()
from django.core.management import call_command
from helpdesk.models import FollowUp, Queue, Ticket

if what == "prepare":
    call_command("migrate", verbosity=0)
    Queue.objects.create(
        title="Support", slug="support", email_address="support@example.com", allow_email_submission=True, email_box_type="local",
        email_box_local_dir=folder + "/mail", email_box_interval=0,
    )
elif what == "take":
    from helpdesk.email import extract_email_metadata

    queue = Queue.objects.get()
    for path in sorted(pathlib.Path(folder, "mail").iterdir()):
        try:
            taken += extract_email_metadata(message=path.read_bytes().decode("utf-8", "replace"), queue=queue, logger=logger) is not None
        except Exception as error:
            broken[type(error).__name__] = broken.get(type(error).__name__, 0) + 1
        path.unlink()
print(json.dumps({"tickets": Ticket.objects.count(), "followups": FollowUp.objects.count(), "taken": taken, "broken": broken}))
"""

URLS = """
from django.urls import include, path

urlpatterns = [path("", include("helpdesk.urls", namespace="helpdesk"))]
"""


def main() -> int:
    """Measure, print, and say by the exit status whether our outcome was right."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--count", type=int, default=2000)
    options.add_argument("--folder", help="where its environment is kept, and found again; else it goes with the run")
    options.add_argument("--postgresql", action="store_true", help="instead of SQLite; a private server is started")
    given = options.parse_args()
    mails = list(make_corpus(given.count, SEED))
    with ExitStack() as running:
        kept = given.folder or running.enter_context(tempfile.TemporaryDirectory(prefix="bench."))
        python = installed(Path(kept))
        peer = running.enter_context(PostgreSQL(durable=True)) if given.postgresql else None
        server = Server(peer.pid) if peer else None
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="bench.")))
        theirs = take_theirs(python, folder, mails, peer, server)
        ours = take(mails, peer.create_database() if peer else "sqlite:///postroom.db", server)
    print(f"django-helpdesk took {theirs['taken']:.0f} of {len(mails)} mails")
    rate, cpu = float(str(ours["mailsPerSecond"])), float(str(ours["cpuMs"]))
    print(
        f"{'':<18}{'mails/s':>9}{'CPU ms/mail':>13}{'tickets':>9}{'again':>7}  (tickets after the same mails came twice)"
    )
    print(
        f"{'django-helpdesk':<18}{theirs['mailsPerSecond']:>9.1f}{theirs['cpuMs']:>13.2f}{theirs['tickets']:>9.0f}{theirs['again']:>7.0f}"
    )
    print(f"{'postroom':<18}{rate:>9.1f}{cpu:>13.2f}")
    ratios = {"rate": round(rate / theirs["mailsPerSecond"], 2), "cpu": round(theirs["cpuMs"] / cpu, 2)}
    print(f"{ratios['rate']} times the rate, at 1/{ratios['cpu']} of the CPU")
    database = "postgresql" if given.postgresql else "sqlite"
    print(
        json.dumps(
            {"benchmark": "helpdesk_peer", "database": database, "theirs": theirs, "ours": ours, "ratios": ratios}
        )
    )
    return 1 if ours["mistakes"] else 0


def installed(folder: Path) -> Path:
    """The interpreter of an environment that has django-helpdesk."""
    python = folder / "django-helpdesk" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PACKAGES], check=True)
    return python


def take_theirs(
    python: Path, folder: Path, mails: Sequence[Mail], peer: PostgreSQL | None, server: Server | None
) -> dict[str, float]:
    """Have django-helpdesk take these mails, twice."""
    for name, content in (("driver.py", DRIVER), ("urls.py", URLS)):
        (folder / name).write_text(content)
    drive(python, folder, "prepare", peer, None)
    put(folder, mails)
    wall, cpu, first = drive(python, folder, "take", peer, server)
    put(folder, mails)
    _, _, again = drive(python, folder, "take", peer, server)
    return {
        "mailsPerSecond": round(len(mails) / wall, 2), "cpuMs": round(1000 * cpu / len(mails), 3), "taken": first["taken"],
        "tickets": first["tickets"], "followups": first["followups"], "again": again["tickets"],
    }  # fmt: skip


def put(folder: Path, mails: Sequence[Mail]) -> None:
    """Lay each mail into its folder, as a file."""
    (folder / "mail").mkdir(exist_ok=True)
    for number, mail in enumerate(mails):
        (folder / "mail" / f"{number:06d}").write_bytes(mail.raw)


def drive(
    python: Path, folder: Path, what: str, peer: PostgreSQL | None, server: Server | None
) -> tuple[float, float, dict[str, int]]:
    """Seconds that passed, CPU seconds, and what is there afterwards."""
    database: dict[str, object] = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "helpdesk.db")}
    if peer is not None:
        if what == "prepare":
            peer.query("CREATE DATABASE helpdesk")
        database = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "helpdesk",
            "USER": "postgres",
            "HOST": peer.host,
            "PORT": peer.port,
        }
    environment = {"HELPDESK_DATABASE": json.dumps(database), "PATH": os.environ["PATH"]}
    cpu, before, start = Processors(), server.seconds() if server else 0.0, time.monotonic()
    command = [
        "/usr/bin/env",
        "-i",
        *(f"{key}={value}" for key, value in environment.items()),
        str(python),
        str(folder / "driver.py"),
    ]
    program = Program([*command, str(folder), what], folder / "log")
    try:
        while program.exit_status is None:
            cpu.look(program.group())
            time.sleep(LOOK_SECONDS)
        wall = time.monotonic() - start
        expect_exit(program.exit_status, program.output())
        counted: dict[str, int] = json.loads(program.output().strip().splitlines()[-1])
    finally:
        program.stop()
    return wall, cpu.seconds + (server.seconds() - before if server else 0.0), counted


if __name__ == "__main__":
    sys.exit(main())
