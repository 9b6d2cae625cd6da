"""Which ticket is it about, and how do we know?

A `ParsedEmail` and an index of Message-IDs go in, a `Match` with its evidence comes out. This room
never writes and never opens a session: it sees the store through a Protocol of its own.
"""
