"""The configuration: one TOML file, typed and checked, every key with a default.

`load()` finds and reads it; what is wrong is a `ConfigError` whose one line begins with the path of
the key. Every key stands in config.example.toml with its default and one line of why (a test holds it).
Secrets are never in this file: they are named here and read by `read_secret()` when they are needed.
"""

from __future__ import annotations

import ipaddress
import json
import math
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import msgspec

from postroom.config_rules import Block, Known, Rule, check_assign, check_rules
from postroom.config_section import Section, Size
from postroom.config_times import Hours, Status, check_statuses, check_times
from postroom.errors import ConfigError

SEARCH_PATH = ("postroom.toml", "/etc/postroom/config.toml")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")  # of a mailbox, a queue or an agent
SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB)\s*")
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}

Security = Literal["tls", "starttls", "none"]


class Store(Section, frozen=True, kw_only=True):
    """`[store]`: where everything is kept."""

    url: str = "sqlite:///var/postroom.db"


class Smtp(Section, frozen=True, kw_only=True):
    """`[smtp]`: mail coming in by SMTP or LMTP. Limits are those of POLICIES.md."""

    listen: tuple[str, ...] = ("127.0.0.1:2525",)
    protocol: Literal["smtp", "lmtp"] = "smtp"
    hostname: str = ""  # "" is the machine's own name
    max_size: Size = Size(25 << 20)
    tls: Literal["off", "starttls", "required", "implicit"] = "off"
    tls_certificate: str = ""
    tls_key: str = ""
    connections: int = 100
    connections_per_client: int = 20
    recipients: int = 100
    errors: int = 20
    command_seconds: float = 300
    transaction_seconds: float = 1800
    min_free_disk: Size = Size(256 << 20)


class Queue(Section, frozen=True, kw_only=True):
    """`[queue.NAME]`: a department and who answers for it."""

    title: str = ""  # "" is the table's name
    agents: tuple[str, ...] = ()
    assign: str = "none"  # none, round_robin, least_loaded, or an agent's name
    hours: tuple[str, ...] = ()  # () is always
    holidays: tuple[str, ...] = ()
    time_zone: str = "UTC"
    first_response_hours: Hours = 0.0  # 0 is never due
    resolution_hours: Hours = 0.0
    escalate_to: str = ""  # an agent's name; "" is the ticket's agent and the queue's


class Agent(Section, frozen=True, kw_only=True):
    """`[agent.NAME]`: one who answers."""

    address: str
    name: str = ""  # "" is the table's name


class Imap(Section, frozen=True, kw_only=True):
    """`[mailbox.NAME.imap]`: where a mailbox's mail is fetched."""

    host: str
    user: str
    port: int = 993
    security: Security = "tls"
    ca_file: str = ""  # "" is the system's store
    password_file: str = ""
    password_env: str = ""
    folder: str = "INBOX"
    after: Literal["leave", "flag", "move", "delete"] = "flag"
    move_to: str = ""
    idle: bool = True
    poll_seconds: float = 60
    timeout_seconds: float = 60


class Mailbox(Section, frozen=True, kw_only=True):
    """`[mailbox.NAME]`: an address that we serve, and its own sender."""

    address: str
    queue: str
    name: str = ""  # the display name of what we send from here; "" is the queue's title
    aliases: tuple[str, ...] = ()
    trust_reply_to: bool = False
    authserv_id: str = ""
    confirm: bool = True
    imap: Imap | None = None


class SmartHost(Section, frozen=True, kw_only=True):
    """`[outgoing.smtp]`: who takes our mail."""

    host: str = "127.0.0.1"
    port: int = 25
    security: Security = "none"
    ca_file: str = ""
    user: str = ""
    password_file: str = ""
    password_env: str = ""
    connections: int = 4
    timeout_seconds: float = 60


class Outgoing(Section, frozen=True, kw_only=True):
    """`[outgoing]`: how mail leaves."""

    courier: Literal["maildir", "smtp"] = "maildir"
    maildir: str = "var/outgoing"
    smtp: SmartHost = SmartHost()
    retry_days: float = 5
    retry_first_seconds: float = 300
    retry_max_seconds: float = 4 * 3600
    batch: int = 50


class Tickets(Section, frozen=True, kw_only=True):
    """`[tickets]`: what a ticket may be."""

    prefix: str = "T-"
    first_number: int = 1001
    reopen_days: float = 14
    types: tuple[str, ...] = ("question", "incident", "problem", "task")
    default_type: str = "question"
    categories: tuple[str, ...] = ()
    priorities: tuple[str, ...] = ("critical", "high", "medium", "low")
    default_priority: str = "medium"
    resolution_codes: tuple[str, ...] = ("solved", "workaround", "not_reproducible", "wont_fix", "duplicate")
    remind_customer_days: float = 0  # 0 is never
    remind_customer_times: int = 2
    close_resolved_days: float = 0  # 0 is never
    close_resolved_mail: bool = False


class Notify(Section, frozen=True, kw_only=True):
    """`[notify]`: which mails Postroom sends by itself."""

    confirmation: bool = True
    status: bool = True
    new_ticket: bool = True
    assignment: bool = True
    customer_reply: bool = True
    undeliverable: bool = True
    reminder: bool = True
    escalation: bool = True
    follow_up: bool = True


class Answers(Section, frozen=True, kw_only=True):
    """`[answers]`: how often Postroom may answer by itself (POLICIES.md, "Limits")."""

    per_sender_hour: int = 3
    per_sender_day: int = 10
    per_domain_hour: int = 30
    all_hour: int = 500


class Templates(Section, frozen=True, kw_only=True):
    """`[templates]`: the words of what we send."""

    folder: str = ""  # the operator's overrides
    language: Literal["en", "de"] = "en"


class Authentication(Section, frozen=True, kw_only=True):
    """`[authentication]`: our own check of who sent a mail (DMARC, by SPF and DKIM)."""

    check: Literal["off", "smtp"] = "off"  # "off": on the defaults nothing leaves the machine, questions neither
    resolver: str = ""  # "" is the machine's own
    timeout_seconds: float = 5


class Processing(Section, frozen=True, kw_only=True):
    """`[processing]`: how mail becomes tickets."""

    workers: int = 0  # 0 is one for each core, at most 4
    batch: int = 50
    attempts: int = 3
    parse_seconds: float = 10
    parse_memory: Size = Size(512 << 20)


class Keys(Section, frozen=True, kw_only=True):
    """`[keys]`: what signs our reply addresses and Message-IDs."""

    file: str = "var/signing-keys"
    reply_days: int = 365


class Log(Section, frozen=True, kw_only=True):
    """`[log]`: what the daemon says of itself."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Config(Section, frozen=True, kw_only=True):
    """The whole file."""

    store: Store = Store()
    smtp: Smtp = Smtp()
    outgoing: Outgoing = Outgoing()
    tickets: Tickets = Tickets()
    notify: Notify = Notify()
    answers: Answers = Answers()
    templates: Templates = Templates()
    authentication: Authentication = Authentication()
    processing: Processing = Processing()
    keys: Keys = Keys()
    log: Log = Log()
    block: Block = Block()
    rule: tuple[Rule, ...] = ()
    queue: dict[str, Queue] = msgspec.field(default_factory=lambda: {"support": Queue()})
    agent: dict[str, Agent] = msgspec.field(default_factory=dict)
    status: dict[str, Status] = msgspec.field(default_factory=dict)
    mailbox: dict[str, Mailbox] = msgspec.field(
        default_factory=lambda: {"support": Mailbox(address="support@localhost", queue="support")}
    )
    folder: Path = Path()  # where relative paths begin; not a key of the file
    path: Path | None = None  # the file itself; not a key of the file

    def resolve(self, path: str) -> Path:
        """A path of the file as an absolute one: relative ones begin at the file's folder."""
        return (self.folder / path).absolute()

    def store_url(self) -> str:
        """`store.url` with the path of an SQLite file made absolute."""
        scheme, found, path = self.store.url.partition(":///")
        if scheme.startswith("sqlite") and found and not path.startswith("/"):
            return f"{scheme}:///{self.resolve(path)}"
        return self.store.url


def load(path: str | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration at `path`, or where `$POSTROOM_CONFIG` and the usual places say, or the defaults.

    Raises ConfigError with the key's path for anything that is wrong in the file.
    """
    environ = os.environ if environ is None else environ
    named = path or environ.get("POSTROOM_CONFIG")
    found = Path(named) if named else next((Path(p) for p in SEARCH_PATH if Path(p).is_file()), None)
    if found is None:
        return Config(folder=Path.cwd())
    try:
        data = tomllib.loads(found.read_bytes().decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{found}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{found}: not valid TOML: {error}") from error
    return parse(data, found.parent.absolute(), found.absolute())


def parse(data: dict[str, Any], folder: Path, path: Path | None = None) -> Config:
    """The configuration that a TOML document means; its relative paths begin at `folder`."""
    sections: dict[str, Any] = {}
    for key, value in data.items():
        if key in NAMED_SECTIONS:
            sections[key] = _named(key, value)
        elif key == "rule":
            sections[key] = _rules(value)
        elif key in SECTIONS:
            sections[key] = _convert(value, SECTIONS[key], key)
        else:
            raise ConfigError(f"{_shown(key)}: there is no such key")
    config = Config(**sections, folder=folder, path=path)
    _check(config)
    return config


SECTIONS: dict[str, type[Section]] = {
    "store": Store, "smtp": Smtp, "outgoing": Outgoing, "tickets": Tickets, "notify": Notify, "answers": Answers,
    "templates": Templates, "authentication": Authentication, "processing": Processing, "keys": Keys, "log": Log,
    "block": Block,
}  # fmt: skip
NAMED_SECTIONS: dict[str, type[Section]] = {"queue": Queue, "agent": Agent, "mailbox": Mailbox, "status": Status}

S = TypeVar("S", bound=Section)


def _named(key: str, value: Any) -> dict[str, Section]:
    if not isinstance(value, dict):
        raise ConfigError(f"{key}: expected tables such as [{key}.NAME]")
    for name in value:
        if not NAME.fullmatch(name):
            raise ConfigError(f"{key}.{_shown(name)}: a name has 1 to 40 of a-z, 0-9, _ and -")
    return {name: _convert(table, NAMED_SECTIONS[key], f"{key}.{name}") for name, table in value.items()}


def _rules(value: Any) -> tuple[Rule, ...]:
    if not isinstance(value, list):
        raise ConfigError("rule: expected a list of tables, each of which begins with [[rule]]")
    return tuple(_convert(table, Rule, f"rule[{number}]") for number, table in enumerate(value))


def _convert(value: Any, section: type[S], path: str) -> S:
    try:
        return msgspec.convert(value, section, dec_hook=_decode)
    except msgspec.ValidationError as error:
        message, _, inner = str(error).partition(" - at `$")
        inner = inner.rstrip("`")
        where = path + inner
        if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", message, re.DOTALL):
            hint = "; a secret is named with password_file or password_env" if unknown[1] == "password" else ""
            raise ConfigError(f"{where}.{_shown(unknown[1])}: there is no such key{hint}") from None
        if missing := re.fullmatch(r"Object missing required field `(.*)`", message):
            raise ConfigError(f"{where}.{missing[1]}: is missing") from None
        if message.startswith("Invalid enum value"):
            message = f"expected one of {', '.join(_choices(section, inner))}"
        message = message.replace("`object`", "a table").replace("`array`", "a list")
        raise ConfigError(f"{where}: {message[0].lower()}{message[1:]}") from None


def _choices(section: type[Section], inner: str) -> tuple[str, ...]:
    """The values that the Literal at `inner` (`.imap.after`) allows."""
    kind: Any = section
    for name in inner.strip(".").split("."):
        # Of `Imap | None` the part that has fields.
        kind = next((part for part in get_args(kind) if hasattr(part, "__struct_fields__")), kind)
        kind = next(field.type for field in msgspec.structs.fields(kind) if field.name == name)
    values = [value for part in get_args(kind) for value in get_args(part) or (part,)]  # of `Literal[...] | None` too
    return tuple(value for value in values if isinstance(value, str))


def _shown(key: str) -> str:
    """A key as TOML would have it in one line: what is no bare key is quoted, and may hold anything."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)


def _decode(wanted: type, value: Any) -> Any:
    if wanted is not Size:
        raise NotImplementedError(wanted)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Size(value)
    if isinstance(value, str) and (match := SIZE.fullmatch(value)):
        octets = float(match[1]) * UNITS[match[2]]
        if math.isfinite(octets):
            return Size(octets)
    raise ValueError('expected a size such as "25 MiB"')


def _check(config: Config) -> None:
    """What one key says about another."""
    for name, queue in config.queue.items():
        for agent in queue.agents:
            if agent not in config.agent:
                raise ConfigError(f"queue.{name}.agents: there is no [agent.{agent}]")
        check_assign(queue.assign, f"queue.{name}.assign", config.agent)
        if queue.escalate_to and queue.escalate_to not in config.agent:
            raise ConfigError(f"queue.{name}.escalate_to: there is no [agent.{queue.escalate_to}]")
        targets = {"first_response_hours": queue.first_response_hours, "resolution_hours": queue.resolution_hours}
        priorities = config.tickets.priorities
        check_times(f"queue.{name}", queue.hours, queue.holidays, queue.time_zone, targets, priorities)
    check_statuses(config.status)
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
            folder = (mailbox.imap.host.lower(), mailbox.imap.port, mailbox.imap.user, mailbox.imap.folder)
            if folder in watched:
                raise ConfigError(f"{path}.imap: mailbox.{watched[folder]} fetches from this folder already")
            watched[folder] = name
    agents: dict[str, str] = {}
    for name, who in config.agent.items():
        key = check_address(who.address, f"agent.{name}.address")
        if key in seen:
            raise ConfigError(f"agent.{name}.address: an agent cannot be one of our mailboxes")
        if key in agents:
            raise ConfigError(f"agent.{name}.address: {who.address} is agent.{agents[key]}'s already")
        agents[key] = name
    _check_smarthost(config.outgoing.smtp, "outgoing.smtp")
    for section in ("smtp", "outgoing", "authentication", "processing", "answers", "keys", "tickets"):
        _check_numbers(getattr(config, section), section)
    if config.smtp.tls != "off" and not config.smtp.tls_certificate:
        raise ConfigError("smtp.tls_certificate: is missing, and smtp.tls needs one")
    for key, value, allowed in (
        ("default_type", config.tickets.default_type, config.tickets.types),
        ("default_priority", config.tickets.default_priority, config.tickets.priorities),
    ):
        if value not in allowed:
            raise ConfigError(f"tickets.{key}: {_shown(value)} is none of {', '.join(map(_shown, allowed))}")
    for listen in config.smtp.listen:
        split_listen(listen)
    tickets = config.tickets
    choices = {"priority": tickets.priorities, "type": tickets.types, "category": tickets.categories}
    check_rules(config.rule, config.block, Known(config.queue, config.mailbox, config.agent, choices))
    _check_resolver(config.authentication.resolver)


LOCAL_PART_MAX = 19  # octets: with "+", and a signed token behind it, the whole stays within 64 (RFC 5321 §4.5.3.1.1)


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


def _check_imap(imap: Imap, path: str) -> None:
    _check_security(imap, path)
    _check_numbers(imap, path)
    if imap.after == "move" and not imap.move_to:
        raise ConfigError(f'{path}.move_to: is missing, and after = "move" needs it')
    if imap.after == "move" and imap.move_to == imap.folder:
        raise ConfigError(f"{path}.move_to: is the folder that is watched")
    if not (imap.password_file or imap.password_env):
        raise ConfigError(f"{path}.password_file: is missing; or name an environment variable with password_env")


def _check_smarthost(smtp: SmartHost, path: str) -> None:
    _check_security(smtp, path)
    _check_numbers(smtp, path)
    if smtp.user and not (smtp.password_file or smtp.password_env):
        raise ConfigError(f"{path}.password_file: is missing; or name an environment variable with password_env")


def _check_security(peer: Imap | SmartHost, path: str) -> None:
    if peer.security == "none" and peer.host not in LOOPBACK and (isinstance(peer, Imap) or peer.user):
        raise ConfigError(f"{path}.security: none would send the password in the clear; it is for loopback only")
    if not 0 < peer.port < 65536:
        raise ConfigError(f"{path}.port: {peer.port} is no port")


ZERO_IS_FINE = {
    "processing.workers",
    "smtp.min_free_disk",
    "tickets.reopen_days",
    "tickets.remind_customer_days",
    "tickets.close_resolved_days",
    "answers.per_sender_hour",
    "answers.per_sender_day",
    "answers.per_domain_hour",
    "answers.all_hour",
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


def split_listen(listen: str) -> tuple[str, int]:
    """Host and port of a `smtp.listen` entry: `127.0.0.1:2525`, `[::1]:2525`, `:25` (every address)."""
    host, colon, port = listen.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ConfigError(f"smtp.listen: {listen!r} is not HOST:PORT")
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


def read_secret(config: Config, path: str, peer: Imap | SmartHost, environ: Mapping[str, str] | None = None) -> str:
    """The password of `peer`, whose table is at `path`; "" for a smarthost that wants none.

    A relative `password_file` is looked for in systemd's `$CREDENTIALS_DIRECTORY` first. ConfigError
    where it is missing, empty, or a file that others than its owner can read.
    """
    environ = os.environ if environ is None else environ
    if peer.password_env:
        secret = environ.get(peer.password_env, "")
        if not secret:
            raise ConfigError(f"{path}.password_env: ${peer.password_env} is not set")
        return secret
    if not peer.password_file:
        return ""
    key = f"{path}.password_file"
    credential = Path(environ.get("CREDENTIALS_DIRECTORY", "/nonexistent")) / peer.password_file
    from_systemd = not Path(peer.password_file).is_absolute() and credential.is_file()
    file = credential if from_systemd else config.resolve(peer.password_file)
    try:
        if not from_systemd and file.stat().st_mode & 0o077:
            raise ConfigError(f"{key}: others can read {file}; run: chmod 600 {file}")
        secret = file.read_text("utf-8").strip("\r\n")
    except OSError as error:
        raise ConfigError(f"{key}: {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{key}: {file} is not UTF-8") from error
    if not secret:
        raise ConfigError(f"{key}: {file} is empty")
    return secret
