"""Opening an SQLite store: what others may do to its files meanwhile."""

import subprocess
import sys

from postroom.store.engine import Store
from postroom.store.migrate import upgrade

LOOK = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(c.execute('SELECT count(*) FROM ticket').fetchone()); c.close()"


def test_a_store_that_is_opened_again_keeps_its_locks_so_nobody_takes_its_log_away(tmp_path):
    """A process that closes any descriptor of a file loses its locks on it: the log would go with the next command that ends."""
    url = f"sqlite:///{tmp_path}/postroom.db"
    first = Store(url)
    upgrade(first)
    second = Store(url)
    try:
        with first.read() as connection:
            connection.exec_driver_sql("SELECT 1 FROM ticket").all()
        subprocess.run([sys.executable, "-c", LOOK, tmp_path / "postroom.db"], check=True, capture_output=True)
        assert (tmp_path / "postroom.db-wal").exists()
    finally:
        second.dispose()
        first.dispose()
