"""The mails of a solution's way: to who reviews it, to the customer, and what he says of it and of the whole."""

from __future__ import annotations

from typing import Any

from postroom.desk import solution
from postroom.outbound import answering, wording
from postroom.outbound.readers import readers
from postroom.outbound.recipients import who_answers
from postroom.outbound.to_agents import is_on, tell, tell_of_colleague
from postroom.outbound.to_customer import write
from postroom.outbound.told import Post, Told
from postroom.store import addressing, solutions
from postroom.threading.tokens import Says

RATINGS = tuple(says for says in Says if says.rating)


def put_to_customer(post: Post, told: Told) -> None:
    """The requester gets the solution with his two links; whoever else takes part reads it without them."""
    people = list(readers(post, told))
    row = solutions.latest(told.connection, told.case.id)
    asked = people[:1] if row is not None and people and people[0].address.lower() == row.customer else []
    if not post.config.notify.solution or row is None or not asked:
        answering.write(post, told, "reply", people, {}, "the solution, without links,")
        return
    solved, not_solved = post.letters.links(told.case, row.nonce, (Says.SOLVED, Says.NOT_SOLVED))
    links = {"solved": solved, "not_solved": not_solved}
    answering.write(post, told, "solution", asked, {"links": links}, "the solution")
    if people[1:]:
        answering.write(post, told, "solution", people[1:], {"links": None}, "the solution, without links,")


def tell_of_passing(post: Post, told: Told) -> None:
    """Who proposed it: a reviewer agrees. Of one that nobody reviewed, the ticket's agent, unless it is his own."""
    row, happened = solutions.latest(told.connection, told.case.id), told.happened
    if row is None or row.reviewed_by is None:
        tell_of_colleague(post, told)
        return
    agents = [agent for agent in told.agents() if agent.id == row.proposed_by and agent.id != row.reviewed_by]
    reviewer = next((a.title or a.name for a in told.agents() if a.id == row.reviewed_by), happened.actor)
    if agents and is_on(post, told, "solution_passed"):
        tell(post, told, "solution_passed", agents, {**_with_message(post, told), "reviewer": reviewer})


def ask_for_review(post: Post, told: Told) -> None:
    """Those who may review it, but not who proposed it; what they answer stays at the desk."""
    row = solutions.latest(told.connection, told.case.id)
    if row is None or not is_on(post, told, "solution_review"):
        return
    allowed = {one.id for one in solution.reviewers(told.connection, post.config, told.case.queue, row.proposed_by)}
    author = next((a for a in told.agents() if a.id == row.proposed_by), None)
    name = (author.title or author.name) if author else told.happened.actor
    agents = [agent for agent in told.agents() if agent.id in allowed]
    data = {**_with_message(post, told), "agent": {"name": name}}
    tell(post, told, "solution_review", agents, data, is_internal=True)


def tell_of_sending_back(post: Post, told: Told) -> None:
    """Who proposed it reads what the reviewer says."""
    if not is_on(post, told, "solution_refused"):
        return
    happened = told.happened
    agents = [agent for agent in told.agents() if agent.id == happened.agent_id]
    now = post.clock().astimezone(wording.zone_of(post.config, told.case.queue))
    reviewer = next((a.title or a.name for a in told.agents() if a.name == happened.actor), happened.actor)
    message: dict[str, Any] = {"author": reviewer, "date": now, "text": happened.words[: wording.MAX_TOLD], "files": []}
    data = {"message": message, "solution": _with_message(post, told)["message"]["text"], "reviewer": reviewer}
    tell(post, told, "solution_refused", agents or who_answers(told), data)


def tell_of_approval(post: Post, told: Told) -> None:
    """The ticket's agent, else who proposed it: the customer says that it is solved."""
    if is_on(post, told, "solution_approved"):
        tell(post, told, "solution_approved", _who_solved(told), _with_solution(post, told))


def tell_of_refusal(post: Post, told: Told) -> None:
    """The ticket's agent, else who proposed it: the customer says that it is not, and why."""
    if is_on(post, told, "solution_refused"):
        tell(post, told, "solution_refused", _who_solved(told), {**_with_solution(post, told), "reviewer": ""})


def ask_for_feedback(post: Post, told: Told) -> None:
    """The requester gets five links."""
    urls = post.letters.links(told.case, 0, RATINGS)
    links = [{"rating": says.rating, "url": url} for says, url in zip(RATINGS, urls, strict=True)]
    data = {"ticket": wording.ticket_data(post.config, told.case), "links": links}
    write(post, told, "feedback_request", data, "a question for feedback")


def tell_of_feedback(post: Post, told: Told) -> None:
    """The ticket's agent, else who solved it."""
    if is_on(post, told, "feedback_given"):
        data = {**_with_message(post, told), "rating": told.case.satisfaction_rating}
        tell(post, told, "feedback_given", _who_solved(told), data)


def _who_solved(told: Told) -> list[Any]:
    row = solutions.latest(told.connection, told.case.id)
    proposer = [a for a in told.agents() if row is not None and a.id == row.proposed_by]
    assigned = [a for a in told.agents() if a.id == told.case.assigned_to]
    return assigned or proposer or who_answers(told)


def _with_solution(post: Post, told: Told) -> dict[str, Any]:
    return {**_with_message(post, told), "solution": told.case.resolution_summary or ""}


def _with_message(post: Post, told: Told) -> dict[str, Any]:
    """The message that it is about."""
    id_ = told.happened.message_id
    assert id_ is not None
    row, files = addressing.message(told.connection, id_), addressing.files(told.connection, id_)
    return {"message": wording.message_of_row(row, files, wording.zone_of(post.config, told.case.queue))}
