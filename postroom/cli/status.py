"""`postroom status`: is all well?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from postroom import config
from postroom.cli import mailboxes, output
from postroom.cli.opening import open_store
from postroom.saying import recalled

if TYPE_CHECKING:
    from postroom.store.engine import Store
    from postroom.store.raw_mail import Lies

WAITING = ("pending", "sending", "retry")  # outgoing mail that is not settled


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def command(config_path: str | None, as_json: bool) -> None:
    """Show health: the oldest unprocessed mail, the outbox, each mailbox's last success, the quarantine."""
    settings = config.load(config_path)
    now = datetime.now(UTC)
    with open_store(settings) as store:
        state = _state(store, settings.answers.all_hour, now) | _around(store, settings)
    state["mailboxes"] = [
        {key: row[key] for key in ("name", "address", "lastSuccessAt", "failingSince", "lastError", "watchedBy")}
        | {"comesBy": "imap" if row["imap"] else "smtp"}
        for row in mailboxes.with_state(settings)
    ]
    state["logins"] = _logins(settings)
    output.print_json(state) if as_json else _print(state)


def _state(store: Store, answers_most: int, now: datetime) -> dict[str, Any]:
    from postroom.outbound.policy import BREAKER
    from postroom.store import correspondents, counters, imap, inbound, outbox, raw_mail, smarthosts

    with store.read() as connection:
        received, oldest = inbound.count_by_state(connection), inbound.oldest_pending(connection)
        outgoing, oldest_out = outbox.count_by_state(connection), outbox.oldest_waiting(connection)
        refused, ways = len(imap.refused(connection)), smarthosts.states(connection)
        lies = raw_mail.lies(connection)
        answered, held = counters.count(connection, BREAKER, counters.HOUR, now), len(correspondents.held(connection))
    return {
        "oldestUnprocessedAt": output.utc(oldest), "oldestUnprocessedSeconds": _seconds(oldest, now),
        "inbound": received, "quarantined": received.get("quarantined", 0), "leftOnServers": refused,
        "outbox": outgoing, "outboxDepth": sum(outgoing.get(name, 0) for name in WAITING),
        "oldestOutgoingAt": output.utc(oldest_out), "oldestOutgoingSeconds": _seconds(oldest_out, now),
        "answersThisHour": min(answered, answers_most), "breakerOpen": answered > answers_most,
        "breakerClosesAt": output.utc(counters.window_of(now, counters.HOUR) + counters.HOUR) if answered > answers_most else None,
        "smarthosts": [
            {"name": row.name, "failingSince": output.utc(row.failing_since), "lastError": row.last_error,
             "nextTryAt": output.utc(row.next_probe_at)} for row in ways
        ],
        "rawMail": _raw_mail(lies, store), "heldAddresses": held, "database": store.engine.name, "at": output.utc(now),
    }  # fmt: skip


def _raw_mail(lies: Lies, store: Store) -> dict[str, Any]:
    """Where mail's bytes lie besides the database."""
    return {
        "url": store.objects.url if store.objects else None, "objects": lies.objects, "octets": lies.octets,
        "toDelete": lies.to_delete, "toPut": lies.to_put,
    }  # fmt: skip


def _around(store: Store, settings: config.Config) -> dict[str, Any]:
    """Who works on the store, what is wrong, and how much room there is."""
    import shutil

    from postroom.store import alarms, overview
    from postroom.store.engine import DAEMON_NAME

    with store.read() as connection:
        standing, queues = alarms.standing(connection), overview.queues(connection)
        names = [] if store.is_sqlite else overview.daemons(connection, DAEMON_NAME)
    held = store.held_by()
    if held is not None and held.is_by_daemon:
        names = [f"{DAEMON_NAME} process {held.process}"]
    folder = store.path.parent if store.path else None
    free, floor = shutil.disk_usage(folder).free if folder else None, int(settings.smtp.min_free_disk)
    return {
        "daemonRuns": bool(names), "daemons": [name.removeprefix(DAEMON_NAME).strip() for name in names],
        "alarms": [{"name": one.name, "detail": recalled(one.words), "since": output.utc(one.since)} for one in standing],
        "queues": queues,
        "disk": {"freeOctets": free, "refusedBelowOctets": floor, "isShort": free is not None and free < floor},
    }  # fmt: skip


def _logins(settings: config.Config) -> list[dict[str, Any]]:
    """The accounts that are used by tokens (OAuth2), and how their logins stand."""
    if not settings.oauth:
        return []
    from postroom.daemon.oauth_standing import standings

    return [
        {"account": one.account.user, "oauth": one.account.name, "usedBy": list(one.used_by), "state": one.state,
         "detail": one.words, "endsAt": output.utc(one.ends_at), "refreshedAt": output.utc(one.refreshed_at)}
        for one in standings(settings)
    ]  # fmt: skip


def _seconds(moment: datetime | None, now: datetime) -> int | None:
    return None if moment is None else max(int((now - moment).total_seconds()), 0)


def _print(state: dict[str, Any]) -> None:
    oldest, oldest_out = state["oldestUnprocessedSeconds"], state["oldestOutgoingSeconds"]
    runs = ", ".join(state["daemons"]) or "NONE RUNS: nothing comes in, nothing goes out; begin with: postroom run"
    output.field("Daemon", runs)
    for alarm in state["alarms"]:
        output.field("Alarm", f"{alarm['name']} since {alarm['since']}: {alarm['detail']}")
    output.field(
        "Unprocessed", "nothing waits" if oldest is None else f"the oldest mail waits for {output.duration(oldest)}"
    )
    output.field("Received", _counts(state["inbound"]))
    output.field("Quarantine", _quarantine(state["quarantined"]))
    waits = f"{state['outboxDepth']} to send, the oldest for {output.duration(oldest_out or 0)}"
    output.field("Outbox", waits if state["outboxDepth"] else "nothing waits")
    output.field("Sent", _counts(state["outbox"]))
    for way in state["smarthosts"]:
        if way["failingSince"]:
            output.field("Mail waits", f"for {way['name']} since {way['failingSince']}: {way['lastError']}")
    for login in state["logins"]:
        output.field("Login", f"{login['account']} ({login['oauth']}): {login['detail']}")
    if state["breakerOpen"]:
        output.field(
            "Breaker",
            f"open: {state['answersThisHour']} answers in this hour are the limit; it closes at {state['breakerClosesAt']}",
        )
    for name, statuses in sorted(state["queues"].items()):
        output.field("Queue", f"{name}: {_counts(statuses)}")
    if state["disk"]["freeOctets"] is not None:
        short = f"; mail is refused below {output.size(state['disk']['refusedBelowOctets'])}"
        output.field(
            "Free disk", output.size(state["disk"]["freeOctets"]) + (short if state["disk"]["isShort"] else "")
        )
    raw = state["rawMail"]
    if raw["url"] or raw["objects"]:
        waits = ", ".join(
            f"{raw[key]} {words}" for key, words in (("toPut", "to put"), ("toDelete", "to delete")) if raw[key]
        )
        where = f"{raw['objects']} mails ({output.size(raw['octets'])}) in {raw['url'] or 'a store that raw_mail.url does not name'}"
        output.field("Raw mail", where + (f"; {waits}" if waits else ""))
    if state["heldAddresses"]:
        output.field("Held", f"{state['heldAddresses']} addresses: see them with `postroom addresses list`")
    if state["leftOnServers"]:
        output.field("Refused", f"{state['leftOnServers']} left on their IMAP servers")
    click.echo()
    output.print_table(
        ("MAILBOX", "ADDRESS", "COMES BY", "LAST READ", "HELD BY", "TROUBLE"),
        [
            (m["name"], m["address"], m["comesBy"].upper(), m["lastSuccessAt"], m["watchedBy"], _trouble(m))
            for m in state["mailboxes"]
        ],
        "no mailboxes",
    )


def _counts(by_state: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(by_state.items())) or "nothing yet"


def _quarantine(count: int) -> str:
    return f"{count}: see them with `postroom inbound list --state quarantined`" if count else "empty"


def _trouble(mailbox: dict[str, Any]) -> Any:
    if not mailbox["failingSince"]:
        return mailbox["lastError"]
    return f"since {mailbox['failingSince']}: {mailbox['lastError']}"
