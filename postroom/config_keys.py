"""Which keys the configuration has, with their types and defaults. What they mean is in config.example.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from postroom.config_oauth import Oauth
from postroom.config_rules import Block, Rule
from postroom.config_section import Section, Size
from postroom.config_times import Hours, Status

Security = Literal["tls", "starttls", "none"]


LOOPBACK = {"localhost", "127.0.0.1", "::1"}
SUBMISSIONS = 465  # the port of implicit TLS (RFC 8314 §7.3)
UNIX = "unix:"
S3 = "s3://"
DEFAULT_SMARTHOST = "outgoing.smtp"  # the path of its table


class Store(Section, frozen=True, kw_only=True):
    """`[store]`: where everything is kept."""

    url: str = "sqlite:///var/postroom.db"
    direct_url: str = ""  # past a pooler that gives each transaction another connection; "" where there is none


class RawMail(Section, frozen=True, kw_only=True):
    """`[raw_mail]`: where the bytes of mail lie, in the database or in a store of objects (S3)."""

    url: str = ""  # "s3://bucket/prefix"; "" is the database
    endpoint: str = ""  # "" is AWS's own of the region
    region: str = "us-east-1"
    access_key: str = ""  # "" is what the machine's role gives
    secret_key_file: str = ""
    secret_key_env: str = ""
    min_size: Size = Size(32 << 10)  # smaller mails stay in the database
    timeout_seconds: float = 4  # a sender is answered within 5 s

    @property
    def place(self) -> tuple[str, str]:
        """Bucket and prefix; the prefix is "" for the whole bucket."""
        bucket, _, prefix = self.url.removeprefix(S3).partition("/")
        return bucket, prefix.strip("/")


class Smtp(Section, frozen=True, kw_only=True):
    """`[smtp]`: mail coming in by SMTP or LMTP. Limits are those of POLICIES.md."""

    listen: tuple[str, ...] = ("127.0.0.1:2525",)
    protocol: Literal["smtp", "lmtp"] = "smtp"
    hostname: str = ""  # "" is the machine's own name
    max_size: Size = Size(25 << 20)
    max_memory: Size = Size(256 << 20)
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
    digest_at: str = ""  # "08:00" of its time zone; "" sends none
    review_solutions: Literal["never", "always"] = "never"
    reviewers: tuple[str, ...] = ()  # agents' names; () are the queue's other agents


class Agent(Section, frozen=True, kw_only=True):
    """`[agent.NAME]`: one who answers."""

    address: str
    language: str = ""  # "" is templates.language
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
    oauth: str = ""  # an [oauth.NAME], instead of a password
    folder: str = "INBOX"
    after: Literal["leave", "flag", "move", "delete"] = "flag"
    move_to: str = ""
    idle: bool = True
    poll_seconds: float = 60
    timeout_seconds: float = 60

    @property
    def account(self) -> str:
        """The account's name in the store."""
        return f"{self.user}@{self.host}:{self.port}"


class Mailbox(Section, frozen=True, kw_only=True):
    """`[mailbox.NAME]`: an address that we serve, and its own sender."""

    address: str
    queue: str
    name: str = ""  # the display name of what we send from here; "" is the queue's title
    aliases: tuple[str, ...] = ()
    trust_reply_to: bool = False
    authserv_id: str = ""
    confirm: bool = True
    smarthost: str = ""  # "" is [outgoing.smtp]
    imap: Imap | None = None


class SmartHost(Section, frozen=True, kw_only=True):
    """`[outgoing.smtp]` and `[smarthost.NAME]`: who takes our mail."""

    protocol: Literal["smtp", "lmtp"] = "smtp"
    host: str = "127.0.0.1"  # or "unix:/path/of/a/socket"
    port: int = 25
    security: Literal["auto", "tls", "starttls", "none"] = "auto"
    ca_file: str = ""
    user: str = ""
    password_file: str = ""
    password_env: str = ""
    oauth: str = ""  # an [oauth.NAME], instead of a password
    connections: int = 4
    connect_seconds: float = 30
    timeout_seconds: float = 300  # RFC 5321 §4.5.3.2, as the following
    data_seconds: float = 120
    dot_seconds: float = 600

    @property
    def socket(self) -> str:
        """The path of the Unix socket; "" for TCP."""
        return self.host.removeprefix(UNIX) if self.host.startswith(UNIX) else ""

    @property
    def is_local(self) -> bool:
        """Whether nothing leaves the machine on the way there."""
        return self.host in LOOPBACK or bool(self.socket)

    @property
    def transport(self) -> Literal["tls", "starttls", "none"]:
        """How the connection is made; "auto" leaves nothing in the clear but on this machine."""
        if self.security != "auto":
            return self.security
        if self.port == SUBMISSIONS and not self.socket:
            return "tls"
        return "none" if self.is_local else "starttls"


class Outgoing(Section, frozen=True, kw_only=True):
    """`[outgoing]`: how mail leaves."""

    courier: Literal["maildir", "smtp"] = "maildir"
    maildir: str = "var/outgoing"
    smtp: SmartHost = SmartHost()
    retry_days: float = 5
    retry_first_seconds: float = 300
    retry_max_seconds: float = 4 * 3600
    batch: int = 50
    per_minute: int = 0  # 0 is no limit
    per_hour: int = 0
    domain_per_minute: int = 0
    domain_per_hour: int = 0


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
    close_solved_hours: float = 0  # 0 is at once
    feedback_after_hours: float = 1
    link_days: float = 30


class NotifyTo(Section, frozen=True, kw_only=True):
    """`[notify.to]`: who gets which notice: assigned, queue, an agent's name, an address."""

    new_ticket: tuple[str, ...] = ("assigned",)
    customer_reply: tuple[str, ...] = ("assigned",)
    undeliverable: tuple[str, ...] = ("assigned",)
    held: tuple[str, ...] = ("assigned",)
    unproven_agent: tuple[str, ...] = ("assigned",)
    escalation: tuple[str, ...] = ("assigned", "queue")
    follow_up: tuple[str, ...] = ("assigned",)


class Notify(Section, frozen=True, kw_only=True):
    """`[notify]`: which mails Postroom sends by itself."""

    confirmation: bool = True
    status: bool = True
    new_ticket: bool = True
    assignment: bool = True
    customer_reply: bool = True
    undeliverable: bool = True
    held: bool = True
    reminder: bool = True
    escalation: bool = True
    follow_up: bool = True
    solution: bool = True
    solution_review: bool = True
    solution_passed: bool = True
    solution_approved: bool = True
    solution_refused: bool = True
    feedback_request: bool = False
    feedback_given: bool = True
    note: bool = True
    colleague: bool = True
    unproven_agent: bool = True
    own_actions: bool = False
    attach_max: Size = Size(1 << 20)
    attach_readers: int = 3  # a notice to more names the files only
    to: NotifyTo = NotifyTo()


class Operator(Section, frozen=True, kw_only=True):
    """`[operator]`: who runs Postroom."""

    address: str = ""  # "" is told nothing by mail
    language: str = ""  # "" is templates.language


class Answers(Section, frozen=True, kw_only=True):
    """`[answers]`: how often Postroom may answer by itself (POLICIES.md, "Limits")."""

    per_sender_hour: int = 3
    per_sender_day: int = 10
    per_domain_hour: int = 30
    all_hour: int = 500
    hold_bounces: int = 3  # 0 never holds
    hold_days: float = 30


class Templates(Section, frozen=True, kw_only=True):
    """`[templates]`: the words of what we send."""

    folder: str = ""  # the operator's overrides
    language: str = "en"  # of those of whom nothing else is known


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


class Reports(Section, frozen=True, kw_only=True):
    """`[reports]`: what is told of a month."""

    monthly_to: tuple[str, ...] = ()
    monthly_at: str = "06:00"
    time_zone: str = "UTC"  # whose months these are


class Retention(Section, frozen=True, kw_only=True):
    """`[retention]`: how long what people wrote is kept, in days; 0 is for ever."""

    received_days: float = 0
    sent_days: float = 0
    quarantined_days: float = 0
    closed_ticket_days: float = 0


class Dkim(Section, frozen=True, kw_only=True):
    """`[dkim.NAME]`: a key that signs what goes out from a domain."""

    domain: str
    selector: str
    key_file: str


class Keys(Section, frozen=True, kw_only=True):
    """`[keys]`: what signs our reply addresses and Message-IDs."""

    file: str = "var/signing-keys"
    reply_days: int = 365


class Health(Section, frozen=True, kw_only=True):
    """`[health]`: a page for monitoring, over HTTP."""

    listen: str = ""  # "" is none
    public: bool = False


class Alarms(Section, frozen=True, kw_only=True):
    """`[alarms]`: from when on the operator is told; 0 never tells."""

    failing_minutes: float = 15
    mailbox_silent_hours: float = 0.5
    oldest_minutes: float = 15
    quarantine: int = 10  # mails within an hour
    disk: float = 2  # times smtp.min_free_disk
    steady_minutes: float = 10


class Log(Section, frozen=True, kw_only=True):
    """`[log]`: what the daemon says of itself."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Config(Section, frozen=True, kw_only=True):
    """The whole file."""

    store: Store = Store()
    raw_mail: RawMail = RawMail()
    smtp: Smtp = Smtp()
    outgoing: Outgoing = Outgoing()
    tickets: Tickets = Tickets()
    notify: Notify = Notify()
    operator: Operator = Operator()
    answers: Answers = Answers()
    templates: Templates = Templates()
    authentication: Authentication = Authentication()
    processing: Processing = Processing()
    reports: Reports = Reports()
    retention: Retention = Retention()
    keys: Keys = Keys()
    log: Log = Log()
    health: Health = Health()
    alarms: Alarms = Alarms()
    block: Block = Block()
    rule: tuple[Rule, ...] = ()
    queue: dict[str, Queue] = msgspec.field(default_factory=lambda: {"support": Queue()})
    agent: dict[str, Agent] = msgspec.field(default_factory=dict)
    status: dict[str, Status] = msgspec.field(default_factory=dict)
    dkim: dict[str, Dkim] = msgspec.field(default_factory=dict)
    smarthost: dict[str, SmartHost] = msgspec.field(default_factory=dict)
    oauth: dict[str, Oauth] = msgspec.field(default_factory=dict)
    mailbox: dict[str, Mailbox] = msgspec.field(
        default_factory=lambda: {"support": Mailbox(address="support@localhost", queue="support")}
    )
    folder: Path = Path()  # where relative paths begin; not a key of the file
    path: Path | None = None  # the file itself; not a key of the file

    def resolve(self, path: str) -> Path:
        """A path of the file as an absolute one: relative ones begin at the file's folder."""
        return (self.folder / path).absolute()

    def smarthosts(self) -> dict[str, SmartHost]:
        """Every smarthost, by the path of its table."""
        return {DEFAULT_SMARTHOST: self.outgoing.smtp, **{f"smarthost.{n}": peer for n, peer in self.smarthost.items()}}

    def store_url(self) -> str:
        """`store.url` with the path of an SQLite file made absolute."""
        scheme, found, path = self.store.url.partition(":///")
        if scheme.startswith("sqlite") and found and not path.startswith("/"):
            return f"{scheme}:///{self.resolve(path)}"
        return self.store.url
