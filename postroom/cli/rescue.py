"""`postroom rescue`: raw mail out of a database that cannot be opened any more."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from postroom import config
from postroom.cli import output
from postroom.errors import ConfigError, UserError

if TYPE_CHECKING:
    from postroom.threading.tokens import Signer

MESSAGE_ID = re.compile(rb"^message-id:\s*<([^@>\r\n]{1,100})@", re.IGNORECASE | re.MULTILINE)
HEADER_SCANNED = 16 << 10  # octets in which the Message-ID is looked for
RECEIVED, SENT = "received", "sent"


@click.command("rescue")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER")
@click.option("--database", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="The SQLite file, or a copy of it. Without it: the configuration's.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def command(config_path: str | None, folder: Path, database: Path | None, as_json: bool) -> None:
    """Write every mail that a damaged SQLite file still holds into FOLDER, as .eml files named by their SHA-256.

    The file is only read, page by page; stop the daemon before. What came in is in FOLDER/received, what we sent in
    FOLDER/sent (known by our signing keys). `postroom ingest --quiet FOLDER/received` takes it into a new database. What is
    damaged itself ends in .damaged.
    """
    from postroom.store.rescue import rescue

    settings = config.load(config_path)
    path = database or _configured(settings)
    signer = _signer(settings)
    counts = {RECEIVED: 0, SENT: 0, "damaged": 0}
    try:
        for name in (RECEIVED, SENT):
            (folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        for mail in rescue(path):
            place = SENT if signer and _is_ours(mail.content, signer) else RECEIVED
            counts[place if mail.is_whole else "damaged"] += 1
            (folder / place / f"{mail.digest}.{'eml' if mail.is_whole else 'damaged'}").write_bytes(mail.content)
    except OSError as error:
        raise UserError(f"cannot rescue {path}: {error.strerror}: {error.filename}") from error
    if as_json:
        output.print_json(counts)
    else:
        click.echo(f"{counts[RECEIVED]} received, {counts[SENT]} sent, {counts['damaged']} damaged")
    if not any(counts.values()):
        raise UserError(f"there is no mail to be found in {path}")


def _configured(settings: config.Config) -> Path:
    from sqlalchemy import make_url

    url = make_url(settings.store_url())
    if url.get_backend_name() != "sqlite" or not url.database:
        raise UserError("rescue reads SQLite files; PostgreSQL has tools of its own (pg_dump, pg_amcheck)")
    return Path(url.database)


def _signer(settings: config.Config) -> Signer | None:
    """The keys that our Message-IDs are signed with, where they are still there."""
    from postroom.daemon.keys import load_signer

    try:
        return load_signer(settings.resolve(settings.keys.file), create=False)
    except ConfigError:
        return None


def _is_ours(mail: bytes, signer: Signer) -> bool:
    found = MESSAGE_ID.search(re.split(rb"\r?\n\r?\n", mail[:HEADER_SCANNED], maxsplit=1)[0])
    return found is not None and signer.read_message_id(found[1].decode("ascii", "replace")) is not None
