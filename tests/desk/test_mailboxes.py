from pathlib import Path

import pytest

from postroom import config
from postroom.desk.mailboxes import Mailboxes, Served

MAILBOXES = Mailboxes(
    config.parse(
        {
            "queue": {"support": {}},
            "mailbox": {
                "support": {"address": "Support@example.com", "queue": "support", "aliases": ["help@example.com"]}
            },
        },
        Path("/"),
    )
)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("support@example.com", Served("support", None)),
        ("SUPPORT@EXAMPLE.COM", Served("support", None)),
        ("help@example.com", Served("support", None)),
        ("support+anything@example.com", Served("support", "anything")),
        ("Support+Any+Thing@example.com", Served("support", "any+thing")),
        ("support@example.org", None),
        ("supporter@example.com", None),
        ("+support@example.com", None),
        ("support@example.com@evil.example", None),
        ("support", None),
        ("", None),
    ],
)
def test_an_address_is_served_in_any_case_and_with_anything_behind_the_plus(address, expected):
    assert MAILBOXES.find(address) == expected
