"""How the schema became what it is: one step a file, in `versions/`, run by Alembic.

A step is frozen: it says types in words of its own and never imports `tables`, which moves on. A test holds
that all the steps together make exactly the tables, on SQLite and on PostgreSQL. After a change of
`tables`, `python -m postroom.store.migrations "Add what it adds"` writes the next step, to be read and mended;
`migrate.HEAD` then names it.

Daemons of two versions work on one PostgreSQL while it is upgraded, so a change comes in two releases. The first one expands:
new tables, new columns that may be NULL or have a default in the database, new indexes; what is there keeps its name, type and
meaning, for older programs go on writing it. The last line of such a step leaves `compatibility` as it is. A later release
contracts: it takes away, renames or demands. Such a step writes its own number into `compatibility` (`UPDATE compatibility SET since =
'0007'`), and programs that do not know that step refuse the database, exit 78, from their next start on.
"""
