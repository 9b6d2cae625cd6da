"""The table of faults names tests that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
TABLE = (ROOT / "tests" / "FAULTS.md").read_text("utf-8")


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED.findall(TABLE))))
def test_what_the_table_of_faults_names_is_there(path, name):
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)


def test_every_row_of_the_table_names_a_test():
    rows = [line for line in TABLE.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 20
    assert [row for row in rows if not NAMED.search(row)] == []
