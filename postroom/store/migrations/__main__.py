"""Writes the next step: what `tables` has and the steps so far have not."""

from __future__ import annotations

import sys

from alembic import command

from postroom.store.engine import Store
from postroom.store.migrate import FOLDER, alembic_config, run_steps

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit('usage: python -m postroom.store.migrations "Add what it adds"')
    store = Store("sqlite://")
    with store.write() as connection:
        run_steps(connection)
        number = len(list((FOLDER / "versions").glob("[0-9]*.py"))) + 1
        command.revision(alembic_config(connection), sys.argv[1], autogenerate=True, rev_id=f"{number:04}")
    store.dispose()
