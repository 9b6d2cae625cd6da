"""To whom nothing goes by itself any more, from the command line."""

from __future__ import annotations

CARLA = "carla@customer.example.org"


def test_nobody_is_held_at_first(desk):
    assert "no address is held" in desk("addresses", "list").out
    assert desk("addresses", "list", "--json").objects == []
    assert "no address is held because it bounced" in desk("addresses", "release", "--bounced").out


def test_an_operator_holds_an_address_and_releases_it(desk):
    [held] = desk("addresses", "hold", "Carla@Customer.example.org", "--why", "she phoned", "--json").objects
    assert (held["address"], held["because"], held["why"]) == (CARLA, "complaint", "she phoned")
    assert "she phoned" in desk("addresses", "list").out
    assert "she phoned" in desk("tickets", "show", "T-1001").out
    assert desk.ticket("T-1001")["automaticMail"].endswith("she phoned")
    [released] = desk("addresses", "release", CARLA, "--json").objects
    assert (released["held"], released["why"]) == (False, None)
    assert desk.ticket("T-1001")["automaticMail"] is None


def test_what_complained_is_not_released_with_what_bounced(desk):
    desk("addresses", "hold", CARLA)
    assert desk("addresses", "release", "--bounced", "--json").objects == []
    assert [row["address"] for row in desk("addresses", "list", "--json").objects] == [CARLA]


def test_a_customer_is_written_to_in_his_language_until_that_is_taken_back(desk):
    [known] = desk("addresses", "language", "Carla@Customer.example.org", "de", "--json").objects
    assert (known["address"], known["language"], known["held"]) == (CARLA, "de", False)
    assert "in the language of his mail" in desk("addresses", "language", CARLA).out
    assert "there is no catalogue for xx; there are: en, de" in desk("addresses", "language", CARLA, "xx").err


def test_what_is_no_address_or_not_held_is_one_line(desk):
    assert desk("addresses", "hold", "carla").status == 1
    assert "is not held" in desk("addresses", "release", "dora@shop.example.net").err
    assert "name an address" in desk("addresses", "release").err
