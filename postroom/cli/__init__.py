"""The commands of `postroom`, thin over the rooms.

Each command is a file of its own and is imported only when it is called, so that `--help` and one
`parse` start fast. Nothing here decides anything about mail or tickets.
"""
