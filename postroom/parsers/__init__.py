"""What does this message say?

Bytes go in through one door, `postroom.parsers.email.parse`, and a `ParsedEmail` comes out, whatever
the bytes are: damage is named in `defects`, never raised. This room is pure. It never touches the
network, the store, the clock or the settings.
"""
