"""What one key of the configuration says of another, and of which form a value has to be.

What is wrong is a ConfigError whose one line begins with the path of the key.
"""

from __future__ import annotations

import ipaddress
import math
import re
from urllib.parse import urlsplit

from postroom.config_keys import LOOPBACK, S3, Config, Imap, RawMail, SmartHost
from postroom.config_oauth import check_oauth
from postroom.config_rules import Known, check_assign, check_rules
from postroom.config_section import Section, shown
from postroom.config_times import check_statuses, check_times, check_zone, clock_time
from postroom.errors import ConfigError

REPLY_DAYS_MAX = 36_500  # a token has 16 bits for the day of its expiry
FIRST_NUMBER_MAX = 900_000_000  # a tag in a subject has nine digits at most
HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
HOST_MAX = 170  # characters: selector, "_domainkey" and domain together have to fit a name (RFC 1035 §2.3.4)
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PREFIX = re.compile(r"(?:[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*)?")
OBJECT_SECONDS_MAX = 4.0
ACTIVATED = "systemd"  # in smtp.listen: the sockets that systemd opened


def check(config: Config) -> None:
    """What one key says about another."""
    _check_raw_mail(config.raw_mail)
    _check_queues(config)
    check_oauth(config.oauth)
    for name, app in config.oauth.items():
        _check_numbers(app, f"oauth.{name}")
    check_statuses(config.status)
    _check_reports(config)
    seen: dict[str, str] = {}
    watched: dict[tuple[str, int, str, str], str] = {}
    for name, mailbox in config.mailbox.items():
        path = f"mailbox.{name}"
        if mailbox.queue not in config.queue:
            raise ConfigError(f"{path}.queue: there is no [queue.{mailbox.queue}]")
        addresses = [("address", mailbox.address), *(("aliases", alias) for alias in mailbox.aliases)]
        for where, address in addresses:
            key = check_address(address, f"{path}.{where}")
            if key in seen:
                raise ConfigError(f"{path}.{where}: {address} is already served by mailbox.{seen[key]}")
            seen[key] = name
        if mailbox.imap:
            _check_imap(mailbox.imap, f"{path}.imap")
            _check_login(config, mailbox.imap, f"{path}.imap")
            folder = (mailbox.imap.host.lower(), mailbox.imap.port, mailbox.imap.user, mailbox.imap.folder)
            if folder in watched:
                raise ConfigError(f"{path}.imap: mailbox.{watched[folder]} fetches from this folder already")
            watched[folder] = name
    _check_dkim(config)
    agents: dict[str, str] = {}
    for name, who in config.agent.items():
        key = check_address(who.address, f"agent.{name}.address")
        if key in seen:
            raise ConfigError(f"agent.{name}.address: an agent cannot be one of our mailboxes")
        if key in agents:
            raise ConfigError(f"agent.{name}.address: {who.address} is agent.{agents[key]}'s already")
        agents[key] = name
    _check_smarthosts(config)
    for section in (
        "smtp",
        "outgoing",
        "authentication",
        "processing",
        "answers",
        "keys",
        "tickets",
        "retention",
        "alarms",
    ):
        _check_numbers(getattr(config, section), section)
    if config.smtp.tls != "off" and not config.smtp.tls_certificate:
        raise ConfigError("smtp.tls_certificate: is missing, and smtp.tls needs one")
    for key, value, allowed in (
        ("default_type", config.tickets.default_type, config.tickets.types),
        ("default_priority", config.tickets.default_priority, config.tickets.priorities),
    ):
        if value not in allowed:
            raise ConfigError(f"tickets.{key}: {shown(value)} is none of {', '.join(map(shown, allowed))}")
    if config.keys.reply_days > REPLY_DAYS_MAX:
        raise ConfigError(f"keys.reply_days: more than {REPLY_DAYS_MAX} cannot be signed")
    if config.tickets.first_number > FIRST_NUMBER_MAX:
        raise ConfigError(f"tickets.first_number: more than {FIRST_NUMBER_MAX} leaves no room")
    _check_listening(config)
    tickets = config.tickets
    choices = {"priority": tickets.priorities, "type": tickets.types, "category": tickets.categories}
    check_rules(config.rule, config.block, Known(config.queue, config.mailbox, config.agent, choices))
    _check_resolver(config.authentication.resolver)


def _check_raw_mail(raw: RawMail) -> None:
    _check_numbers(raw, "raw_mail")
    if not raw.url:
        for key in ("endpoint", "access_key", "secret_key_file", "secret_key_env"):
            if getattr(raw, key):
                raise ConfigError(f"raw_mail.url: is missing, and raw_mail.{key} is of no use without it")
        return
    bucket, prefix = raw.place
    if not raw.url.startswith(S3) or not BUCKET.fullmatch(bucket) or not PREFIX.fullmatch(prefix):
        raise ConfigError(f"raw_mail.url: {shown(raw.url)} is not such as s3://bucket or s3://bucket/prefix")
    if raw.endpoint:
        try:
            found = urlsplit(raw.endpoint)
            is_sound = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
        except ValueError:
            is_sound = False
        if not is_sound or found.username or found.query or found.path.strip("/"):
            raise ConfigError(f"raw_mail.endpoint: {shown(raw.endpoint)} is not such as https://s3.example.com")
    has_secret = bool(raw.secret_key_file or raw.secret_key_env)
    if raw.access_key and not has_secret:
        raise ConfigError("raw_mail.secret_key_file: is missing; or name an environment variable with secret_key_env")
    if has_secret and not raw.access_key:
        raise ConfigError("raw_mail.access_key: is missing, and a secret key is of no use without it")
    if raw.timeout_seconds > OBJECT_SECONDS_MAX:
        raise ConfigError(
            f"raw_mail.timeout_seconds: a sender is answered within 5 s; more than {OBJECT_SECONDS_MAX} is of no use"
        )


def _check_queues(config: Config) -> None:
    for name, queue in config.queue.items():
        for key, agents in (("agents", queue.agents), ("reviewers", queue.reviewers)):
            for agent in agents:
                if agent not in config.agent:
                    raise ConfigError(f"queue.{name}.{key}: there is no [agent.{agent}]")
        check_assign(queue.assign, f"queue.{name}.assign", config.agent)
        if queue.escalate_to and queue.escalate_to not in config.agent:
            raise ConfigError(f"queue.{name}.escalate_to: there is no [agent.{queue.escalate_to}]")
        targets = {"first_response_hours": queue.first_response_hours, "resolution_hours": queue.resolution_hours}
        priorities = config.tickets.priorities
        check_times(f"queue.{name}", queue.hours, queue.holidays, queue.time_zone, targets, priorities)


def _check_reports(config: Config) -> None:
    for name, queue in config.queue.items():
        if queue.digest_at:
            clock_time(queue.digest_at, f"queue.{name}.digest_at")
    for notice in config.notify.to.__struct_fields__:
        for number, who in enumerate(getattr(config.notify.to, notice)):
            path = f"notify.to.{notice}[{number}]"
            if "@" in who:
                check_address(who, path)
            elif who not in ("assigned", "queue") and who not in config.agent:
                raise ConfigError(f'{path}: {who!r} is neither "assigned" nor "queue", no agent\'s NAME and no address')
    if config.operator.address:
        check_address(config.operator.address, "operator.address")
    reports = config.reports
    for number, address in enumerate(reports.monthly_to):
        check_address(address, f"reports.monthly_to[{number}]")
    clock_time(reports.monthly_at, "reports.monthly_at")
    check_zone(reports.time_zone, "reports.time_zone")


LOCAL_PART_MAX = 18  # octets: with "+", and a signed token behind it, the whole stays within 64 (RFC 5321 §4.5.3.1.1)


def check_address(address: str, path: str) -> str:
    """The address in the form that is compared (lower case); ConfigError where it is not a plain addr-spec."""
    local, at, domain = address.rpartition("@")
    if (
        not at
        or not re.fullmatch(r"[A-Za-z0-9!#$%&'*/=?^_`{|}~.-]+", local)
        or not re.fullmatch(r"[A-Za-z0-9.-]+", domain)
    ):
        raise ConfigError(f"{path}: {address!r} is not an address such as support@example.com")
    if path.startswith("mailbox.") and len(local) > LOCAL_PART_MAX:
        raise ConfigError(
            f"{path}: {local!r} is longer than {LOCAL_PART_MAX} characters; signed addresses need the room"
        )
    return address.lower()


def _check_dkim(config: Config) -> None:
    records: dict[str, str] = {}
    for name, key in config.dkim.items():
        for what, host in (("domain", key.domain), ("selector", key.selector)):
            if not HOST.fullmatch(host) or len(host) > HOST_MAX:
                raise ConfigError(f"dkim.{name}.{what}: {shown(host)} is no name such as example.com or postroom")
        record = f"{key.selector}._domainkey.{key.domain}".lower()
        if record in records:
            raise ConfigError(f"dkim.{name}.selector: dkim.{records[record]} is published there; each key has its own")
        records[record] = name


def _check_listening(config: Config) -> None:
    for listen in config.smtp.listen:
        if listen != ACTIVATED:
            split_listen(listen)
    health = config.health
    if health.listen and split_listen(health.listen, "health.listen")[0] not in LOOPBACK and not health.public:
        raise ConfigError(
            f"health.listen: {health.listen} can be reached from other machines; set health.public = true if they may "
            "see how much mail there is"
        )


def _check_imap(imap: Imap, path: str) -> None:
    _check_security(imap, path)
    _check_numbers(imap, path)
    if imap.after == "move" and not imap.move_to:
        raise ConfigError(f'{path}.move_to: is missing, and after = "move" needs it')
    if imap.after == "move" and imap.move_to == imap.folder:
        raise ConfigError(f"{path}.move_to: is the folder that is watched")


def _check_login(config: Config, peer: Imap | SmartHost, path: str) -> None:
    """A password, or a token that is never sent in the clear; not both."""
    has_password = bool(peer.password_file or peer.password_env)
    if not peer.oauth:
        if (peer.user or isinstance(peer, Imap)) and not has_password:
            raise ConfigError(
                f"{path}.password_file: is missing; or name an environment variable with password_env, or an oauth"
            )
        return
    if peer.oauth not in config.oauth:
        raise ConfigError(f"{path}.oauth: there is no [oauth.{peer.oauth}]")
    if not peer.user:
        raise ConfigError(f"{path}.user: is missing, and oauth needs it: the account's address")
    if has_password:
        raise ConfigError(f"{path}.oauth: takes the place of a password; leave one of them out")
    if (peer.transport if isinstance(peer, SmartHost) else peer.security) == "none":
        raise ConfigError(f"{path}.security: oauth sends a token, which is never sent without TLS")


def _check_smarthosts(config: Config) -> None:
    for path, peer in config.smarthosts().items():
        _check_smarthost(peer, path)
        _check_login(config, peer, path)
    for name, mailbox in config.mailbox.items():
        if mailbox.smarthost and mailbox.smarthost not in config.smarthost:
            raise ConfigError(f"mailbox.{name}.smarthost: there is no [smarthost.{mailbox.smarthost}]")


def _check_smarthost(smtp: SmartHost, path: str) -> None:
    _check_security(smtp, path)
    _check_numbers(smtp, path)
    if smtp.socket and smtp.transport != "none":
        raise ConfigError(f"{path}.security: {smtp.security} is of no use on a socket of this machine")


def _check_security(peer: Imap | SmartHost, path: str) -> None:
    is_local = peer.is_local if isinstance(peer, SmartHost) else peer.host in LOOPBACK
    if peer.security == "none" and not is_local and (isinstance(peer, Imap) or peer.user):
        raise ConfigError(f"{path}.security: none would send the password in the clear; it is for loopback only")
    if not 0 < peer.port < 65536:
        raise ConfigError(f"{path}.port: {peer.port} is no port")


ZERO_IS_FINE = {
    "tickets.close_solved_hours",
    "tickets.feedback_after_hours",
    "processing.workers",
    "raw_mail.min_size",
    "smtp.min_free_disk",
    "tickets.reopen_days",
    "tickets.remind_customer_days",
    "tickets.close_resolved_days",
    "outgoing.per_minute",
    "outgoing.per_hour",
    "outgoing.domain_per_minute",
    "outgoing.domain_per_hour",
    "answers.per_sender_hour",
    "answers.per_sender_day",
    "answers.per_domain_hour",
    "answers.all_hour",
    "retention.received_days",
    "retention.sent_days",
    "retention.quarantined_days",
    "retention.closed_ticket_days",
    "answers.hold_bounces",
    "alarms.failing_minutes",
    "alarms.mailbox_silent_hours",
    "alarms.oldest_minutes",
    "alarms.quarantine",
    "alarms.disk",
    "alarms.steady_minutes",
}


def _check_numbers(table: Section, path: str) -> None:
    """Counts and times below their least sensible value are mistakes, not wishes."""
    for key in table.__struct_fields__:
        value = getattr(table, key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        if not math.isfinite(value):
            raise ConfigError(f"{path}.{key}: {value} is no number")
        if value < 0 or (value == 0 and f"{path}.{key}" not in ZERO_IS_FINE):
            raise ConfigError(f"{path}.{key}: {value:g} is too small")


def split_listen(listen: str, path: str = "smtp.listen") -> tuple[str, int]:
    """Host and port of a `smtp.listen` entry: `127.0.0.1:2525`, `[::1]:2525`, `:25` (every address)."""
    host, colon, port = listen.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ConfigError(f"{path}: {listen!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def split_resolver(server: str) -> tuple[str, int]:
    """Address and port of `authentication.resolver`: `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::1`, `[2001:db8::1]:5353`."""
    host, colon, port = server.rpartition(":")
    if colon and (server.startswith("[") or server.count(":") == 1):
        return host.strip("[]"), int(port) if port.isascii() and port.isdigit() else 0
    return server.strip("[]"), 53


def _check_resolver(server: str) -> None:
    host, port = split_resolver(server)
    try:
        if server:
            ipaddress.ip_address(host)
    except ValueError:
        port = 0
    if not 0 < port < 65536:
        raise ConfigError(f"authentication.resolver: {server!r} is not an address such as 127.0.0.1 or 127.0.0.1:5353")
