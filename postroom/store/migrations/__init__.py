"""How the schema became what it is: one step a file, in `versions/`, run by Alembic.

A step is frozen: it says types in words of its own and never imports `tables`, which moves on. A test holds
that all the steps together make exactly the tables, on SQLite and on PostgreSQL. After a change of
`tables`, `python -m postroom.store.migrations "Add what it adds"` writes the next step, to be read and mended;
`migrate.HEAD` then names it.
"""
