"""Postroom: the mail core of a help desk.

Mail comes in by IMAP and SMTP, becomes part of a ticket, and is answered by mail. The rooms and
the one direction in which they import each other are drawn in ARCHITECTURE.md.
"""

__version__ = "0.1.0"
