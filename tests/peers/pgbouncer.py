"""A private PgBouncer in front of a PostgreSQL: two ways to one database, by session and by transaction.

with PgBouncer(server) as pooler:
    pooler.url(migrated_url, "transaction")
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from peers.postgresql import OWNER, PostgreSQL
from peers.processes import Program, Server, accepts, free_port, need, private_folder

PACKAGE = "pgbouncer"
MODES = ("session", "transaction")
CONNECTIONS = 4  # to the server by each way: fewer than two daemons want at once, so that they are lent in turn
CONFIG = """
[databases]
{databases}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
max_client_conn = 200
default_pool_size = {connections}
"""


class PgBouncer(Server):
    """Runs while the `with` block does."""

    def __init__(self, server: PostgreSQL, url: str) -> None:
        """`url`: of the database that it leads to."""
        self._server, self._database = server, url.rpartition("/")[2]
        self.port = 0
        super().__init__()

    def _open(self) -> None:
        program = need("pgbouncer", PACKAGE)
        folder = self._closing.enter_context(private_folder("pgbouncer"))
        self.port = free_port()
        path = folder / "pgbouncer.ini"
        user = OWNER if os.geteuid() == 0 else None  # it refuses to run as root
        path.write_text(CONFIG.format(databases=self._databases(), port=self.port, connections=CONNECTIONS))
        if user:
            shutil.chown(folder, user, user)
        running = Program([program, "-q", path], folder / "output", cwd=Path("/"), user=user, group=user)
        self._closing.callback(running.stop)
        running.wait_until_ready(lambda: accepts(self.port), f"PgBouncer listens on port {self.port}")

    def _databases(self) -> str:
        to = f"host={self._server.host} port={self._server.port} dbname={self._database} user={OWNER}"
        return "\n".join(f"{mode} = {to} pool_mode={mode}" for mode in MODES)

    def url(self, mode: str) -> str:
        """The URL of the database, for SQLAlchemy, by a way that lends connections for a session or a transaction."""
        return f"postgresql+psycopg://{OWNER}@127.0.0.1:{self.port}/{mode}"
