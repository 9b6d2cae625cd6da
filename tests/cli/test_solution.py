"""`postroom tickets solution / review`, and how a solution's way is shown."""

from peers.commandline import CONFIG

FUSE = "We changed the fuse."


def with_review(desk):
    """The desk, with a queue whose solutions bob reviews."""
    desk.write(
        "postroom.toml",
        CONFIG.replace('agents = ["ann"]', 'agents = ["ann", "bob"]\nreview_solutions = "always"').encode(),
    )
    return desk


def purposes(desk, recipient):
    return [row["purpose"] for row in desk("outbox", "list", "--json").objects if row["recipient"] == recipient]


def test_a_solution_is_put_to_the_customer_and_shown(desk):
    ran = desk("tickets", "solution", "T-1001", FUSE, "--as", "ann")
    assert (ran.status, ran.out) == (0, "T-1001: solution proposed, now resolved\n")
    assert "solution" in purposes(desk, "carla@customer.example.org")
    ticket = desk.ticket("T-1001")
    [solution] = ticket["solutions"]
    assert (solution["state"], solution["text"], solution["proposedBy"]) == ("proposed", FUSE, "ann")
    assert (solution["customer"], solution["answeredAt"]) == ("carla@customer.example.org", None)
    assert (ticket["status"], ticket["resolution"]["summary"]) == ("resolved", FUSE)
    assert ticket["firstRespondedAt"]
    page = desk("tickets", "show", "T-1001").out
    assert "waits for its customer's word since" in page
    assert "by ann" in page


def test_a_solution_is_reviewed_by_another(desk):
    desk = with_review(desk)
    assert desk("tickets", "solution", "T-1001", FUSE, "--as", "ann").status == 0
    assert "solution" not in purposes(desk, "carla@customer.example.org")
    assert purposes(desk, "bob@example.com")[:1] == ["solution_review"]
    ran = desk("tickets", "review", "T-1001", "--approve", "--as", "ann")
    assert (ran.status, "the solution is your own" in ran.err) == (1, True)
    ran = desk("tickets", "review", "T-1001", "--approve")
    assert (ran.status, "it has to be an agent" in ran.err) == (1, True)
    assert desk.ticket("T-1001")["solutions"][0]["state"] == "review"
    assert desk("tickets", "review", "T-1001", "--approve", "--as", "bob").status == 0
    assert "solution" in purposes(desk, "carla@customer.example.org")
    [solution] = desk.ticket("T-1001")["solutions"]
    assert (solution["state"], solution["reviewedBy"]) == ("proposed", "bob")


def test_a_solution_that_is_sent_back_can_be_proposed_anew(desk):
    desk = with_review(desk)
    desk("tickets", "solution", "T-1001", FUSE, "--as", "ann")
    assert desk("tickets", "review", "T-1001", "--refuse", "Which fuse?", "--as", "bob").status == 0
    assert "solution_refused" in purposes(desk, "ann@example.com")
    desk("tickets", "solution", "T-1001", "The fuse of the third floor.", "--as", "ann")
    assert [one["state"] for one in desk.ticket("T-1001")["solutions"]] == ["sent_back", "review"]
    assert "sent back by its reviewer" in desk("tickets", "show", "T-1001").out


def test_what_cannot_be_reviewed_is_said(desk):
    ran = desk("tickets", "review", "T-1001", "--approve", "--as", "bob")
    assert (ran.status, "no solution of T-1001 waits for a review" in ran.err) == (1, True)
    assert desk("tickets", "review", "T-1001", "--as", "bob").status == 2
    ran = desk("tickets", "solution", "T-1001", " ")
    assert (ran.status, "there is no text" in ran.err) == (1, True)
    assert desk.ticket("T-1001")["solutions"] == []
