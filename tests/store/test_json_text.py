"""What stands in a JSON column is what it always was, and comes back as it went in."""

import json

import pytest

from postroom.store.json_text import as_json, from_json


@pytest.mark.parametrize(
    "value", [[], {}, [1, None], {"ä": ["\U0001f600", True]}, (), "", 0, False, None, [[]], {"a": {}}]
)
def test_its_text_is_that_of_the_json_module(value):
    assert json.dumps(value) == as_json(value)
    assert json.loads(json.dumps(value)) == from_json(as_json(value))


def test_what_others_have_written_is_read_too():
    assert from_json(" [ ]\n") == []
    assert from_json(b'{"a": 1}') == {"a": 1}


def test_two_empty_lists_are_not_the_same_one():
    assert from_json("[]") is not from_json("[]")
