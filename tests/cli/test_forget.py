"""`postroom forget`, as its operator types it: it says what there is, asks, and says what it did."""

CARLA = "Carla@customer.example.org"


def test_it_says_how_much_there_is_and_asks(desk):
    [traces] = desk("forget", CARLA, "--dry-run", "--json").objects
    assert (traces["tickets"], traces["received"], traces["pending"]) == (1, 3, 0)
    ran = desk("forget", CARLA, stdin=b"n\n")
    assert ran.status == 130
    assert "Own tickets:" in ran.out
    assert desk.ticket("T-1001")["subject"] == "Printer on fire"


def test_what_is_forgotten_is_gone_and_its_numbers_stay(desk):
    ran = desk("forget", CARLA, "--yes")
    assert ran.status == 0, ran.err
    assert "erased 1 tickets" in ran.out
    ticket = desk.ticket("T-1001")
    assert (ticket["subject"], ticket["submitterEmail"], len(ticket["messages"])) == ("(erased)", "", 2)
    assert b"smoke at 8:55" not in b"".join(path.read_bytes() for path in (desk.folder / "var").glob("postroom.db*"))
    assert desk("tickets", "show", "T-1001").status == 0
    assert desk("inbound", "explain", "1").status == 0
    assert desk("outbox", "list").status == 0


def test_an_agent_and_we_ourselves_are_not_forgotten(desk):
    for address in ("ann@example.com", "support@example.com", "support+x@example.com", "nonsense"):
        ran = desk("forget", address, "--yes")
        assert (ran.status, ran.err.count("\n")) == (1, 1)
