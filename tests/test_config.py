"""The configuration: what is wrong in it is said in one line with the key's path, and the example tells the truth."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom import config
from postroom.config import Config, Imap, SmartHost, load, parse, read_secret
from postroom.config_rules import Then, When
from postroom.errors import ConfigError

EXAMPLE = Path(__file__).parents[1] / "config.example.toml"

MAILBOX = """
[agent.ann]
address = "ann@example.com"
[mailbox.support]
address = "support@example.com"
queue = "support"
"""
IMAP = """
[mailbox.support.imap]
host = "imap.example.com"
user = "support"
password_file = "imap-password"
"""
APP = "[oauth.w]\nclient_id = 'x'\n"
MICROSOFT = APP + "provider = 'microsoft'\n"
OAUTH_IMAP = "[mailbox.support.imap]\nhost = 'imap.example.com'\nuser = 'support@example.com'\noauth = 'w'\n"


def error_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(tomllib.loads(text), Path("/etc/postroom"))
    assert caught.value.exit_status == 78
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("colour = 1", "colour"),
        ("[smtp]\nlisten_on = []", "smtp.listen_on"),
        ("[outgoing.smtp]\npassword = 'x'", "outgoing.smtp.password"),
        (MAILBOX + IMAP + "pasword_file = 'x'", "mailbox.support.imap.pasword_file"),
        ("[folder]", "folder"),
        ('"a\\nb" = 1', '"a\\nb"'),
        ('[smtp]\n"a\\nb" = 1', 'smtp."a\\nb"'),
    ],
)
def test_an_unknown_key_is_named_with_its_path(text: str, path: str) -> None:
    assert error_of(text).startswith(f"{path}: there is no such key")


def test_a_password_in_the_file_is_answered_with_where_it_belongs() -> None:
    assert "password_file or password_env" in error_of(MAILBOX + IMAP + "password = 'x'")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("smtp = 1", "smtp: expected a table"),
        ("queue = 1", "queue: expected tables such as [queue.NAME]"),
        ("queue.support = 1", "queue.support: expected a table"),
        ("[smtp]\nlisten = '127.0.0.1:25'", "smtp.listen: expected"),
        ("[smtp]\nlisten = [25]", "smtp.listen[0]: expected"),
        ("[smtp]\nconnections = 'many'", "smtp.connections: expected"),
        ("[smtp]\nconnections = true", "smtp.connections: expected"),
        ("[smtp]\nmax_size = '25 MB'", 'smtp.max_size: expected a size such as "25 MiB"'),
        ("[smtp]\nmax_size = true", "smtp.max_size: expected a size"),
        (f"[smtp]\nmax_size = '{'9' * 400} MiB'", "smtp.max_size: expected a size"),
        ("[smtp]\nprotocol = 'uucp'", "smtp.protocol: expected one of smtp, lmtp"),
        (MAILBOX + IMAP + "after = 'burn'", "mailbox.support.imap.after: expected one of leave, flag, move, delete"),
        (MAILBOX + IMAP + "port = 'imaps'", "mailbox.support.imap.port: expected"),
        ("[processing]\nparse_seconds = 'ten'", "processing.parse_seconds: expected"),
        ("[authentication]\ncheck = 'imap'", "authentication.check: expected one of off, smtp"),
        ("[authentication]\ntimeout_seconds = 0", "authentication.timeout_seconds: 0 is too small"),
        ("[authentication]\nresolver = 'dns.example'", "authentication.resolver: 'dns.example' is not an address"),
        ("[authentication]\nresolver = '127.0.0.1:port'", "authentication.resolver: '127.0.0.1:port' is not"),
        ("[authentication]\nresolver = '[::1]:99999'", "authentication.resolver: '[::1]:99999' is not"),
    ],
)
def test_a_wrong_type_is_named_with_its_path(text: str, message: str) -> None:
    assert error_of(text).startswith(message)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[agent.ann]\nname = 'Ann'", "agent.ann.address: is missing"),
        ("[mailbox.sales]\nqueue = 'support'", "mailbox.sales.address: is missing"),
        ("[mailbox.sales]\naddress = 'sales@example.com'", "mailbox.sales.queue: is missing"),
        (MAILBOX + "[mailbox.support.imap]\nhost = 'x'\nuser = 'y'", "mailbox.support.imap.password_file: is missing"),
        (MAILBOX + IMAP + "after = 'move'", "mailbox.support.imap.move_to: is missing"),
        ("[outgoing.smtp]\nuser = 'postroom'", "outgoing.smtp.password_file: is missing"),
        ("[smarthost.other]\nuser = 'postroom'", "smarthost.other.password_file: is missing"),
        (
            "[smarthost.other]\nhost = 'mx.example'\nsecurity = 'none'\nuser = 'u'\npassword_env = 'P'",
            "smarthost.other.security: none would",
        ),
        ("[outgoing.smtp]\nhost = 'unix:/run/lmtp'\nsecurity = 'tls'", "outgoing.smtp.security: tls is of no use"),
        (MAILBOX + "smarthost = 'other'", "mailbox.support.smarthost: there is no [smarthost.other]"),
        ("[outgoing]\nper_minute = -1", "outgoing.per_minute: -1 is too small"),
        ("[smtp]\ntls = 'starttls'", "smtp.tls_certificate: is missing"),
        ("[oauth.w]\nprovider = 'google'", "oauth.w.client_id: is missing"),
        ("[oauth.w]\nclient_id = 'x'", "oauth.w.token_url: is missing; or name a provider"),
        (APP + "token_url = 'https://x/t'\nflow = 'browser'", "oauth.w.authorize_url: is missing"),
        (APP + "provider = 'microsoft'\nflow = 'app'", "oauth.w.client_secret_file: is missing"),
        (APP + "provider = 'microsoft'\nflow = 'app'\nclient_secret_env = 'S'", "oauth.w.tenant: flow"),
        (APP + "provider = 'google'\nflow = 'app'\nclient_secret_env = 'S'", "oauth.w.flow: "),
        (APP + "client_secret = 'x'", "oauth.w.client_secret: there is no such key; a secret is named with client_"),
        (MAILBOX + OAUTH_IMAP, "mailbox.support.imap.oauth: there is no [oauth.w]"),
        (MAILBOX + OAUTH_IMAP + "password_file = 'x'\n" + MICROSOFT, "mailbox.support.imap.oauth: takes the place"),
        (
            MAILBOX + OAUTH_IMAP.replace("imap.example.com", "127.0.0.1") + "security = 'none'\n" + MICROSOFT,
            "mailbox.support.imap.security: oauth sends a token",
        ),
        (MICROSOFT + "[outgoing.smtp]\noauth = 'w'\nport = 587\nhost = 'x'", "outgoing.smtp.user: is missing"),
        (MICROSOFT + "[outgoing.smtp]\noauth = 'w'\nuser = 'u'", "outgoing.smtp.security: oauth sends a token"),
    ],
)
def test_what_is_missing_is_named_with_its_path(text: str, path: str) -> None:
    assert error_of(text).startswith(path)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[queue.support]\nagents = ['bob']", "queue.support.agents: there is no [agent.bob]"),
        ("[mailbox.a]\naddress = 'a@example.com'\nqueue = 'sales'", "mailbox.a.queue: there is no [queue.sales]"),
        ("[queue.'Big Sales']", 'queue."Big Sales": a name has'),
        (
            "[agent.ann]\naddress = 'Ann <ann@example.com>'",
            "agent.ann.address: 'Ann <ann@example.com>' is not an address",
        ),
        ("[agent.ann]\naddress = 'support@localhost'", "agent.ann.address: an agent cannot be one of our mailboxes"),
        (
            MAILBOX + "[agent.bob]\naddress = 'ANN@example.com'",
            "agent.bob.address: ANN@example.com is agent.ann's already",
        ),
        (
            MAILBOX + "aliases = ['support@EXAMPLE.com']",
            "mailbox.support.aliases: support@EXAMPLE.com is already served",
        ),
        (MAILBOX + "aliases = ['nonsense']", "mailbox.support.aliases: 'nonsense' is not an address"),
        (
            MAILBOX.replace("support@", "a-very-long-department@"),
            "mailbox.support.address: 'a-very-long-department' is",
        ),
        (MAILBOX + IMAP + "security = 'none'", "mailbox.support.imap.security: none would send the password"),
        (MAILBOX + IMAP + "port = 70000", "mailbox.support.imap.port: 70000 is no port"),
        (MAILBOX + IMAP + "poll_seconds = 0", "mailbox.support.imap.poll_seconds: 0 is too small"),
        (MAILBOX + IMAP + "after = 'move'\nmove_to = 'INBOX'", "mailbox.support.imap.move_to: is the folder"),
        ("[outgoing.smtp]\nconnections = 0", "outgoing.smtp.connections: 0 is too small"),
        ("[outgoing]\nretry_days = -1", "outgoing.retry_days: -1 is too small"),
        ("[outgoing]\nretry_days = nan", "outgoing.retry_days: nan is no number"),
        ("[smtp]\nlisten = ['2525']", "smtp.listen: '2525' is not HOST:PORT"),
        ("[smtp]\nlisten = ['127.0.0.1:smtp']", "smtp.listen: '127.0.0.1:smtp' is not HOST:PORT"),
        ("[smtp]\nlisten = ['127.0.0.1:²']", "smtp.listen: '127.0.0.1:²' is not HOST:PORT"),
        ("[smtp]\nlisten = ['127.0.0.1:65536']", "smtp.listen: '127.0.0.1:65536' is not HOST:PORT"),
        ("[tickets]\ndefault_type = 'riddle'", "tickets.default_type: riddle is none of question, incident"),
        ("[queue.a]\nhours = ['mon 9-17']", "queue.a.hours[0]: 'mon 9-17' is not such as"),
        ("[queue.a]\nhours = ['mon-son 09:00-17:00']", "queue.a.hours[0]: 'mon-son 09:00-17:00' is not such as"),
        ("[queue.a]\nhours = ['mon 17:00-09:00']", "queue.a.hours[0]: 'mon 17:00-09:00' does not begin before"),
        ("[queue.a]\nhours = ['mon 17:00-24:01']", "queue.a.hours[0]: 'mon 17:00-24:01' does not begin before"),
        ("[queue.a]\nholidays = ['2026-02-29']", "queue.a.holidays[0]: '2026-02-29' is no day"),
        ("[queue.a]\nholidays = ['25.12.']", "queue.a.holidays[0]: '25.12.' is no day"),
        ("[queue.a]\ntime_zone = 'Berlin'", "queue.a.time_zone: 'Berlin' is no time zone"),
        ("[queue.a]\ntime_zone = '../etc'", "queue.a.time_zone: '../etc' is no time zone"),
        ("[queue.a]\nresolution_hours = -1", "queue.a.resolution_hours: -1 is not between"),
        ("[queue.a]\nresolution_hours = nan", "queue.a.resolution_hours: nan is not between"),
        ("[queue.a]\nfirst_response_hours = { urgent = 1 }", "queue.a.first_response_hours: 'urgent' is no priority"),
        ("[queue.a]\nescalate_to = 'zoe'", "queue.a.escalate_to: there is no [agent.zoe]"),
        ("[status.held]", "status.held.phase: is missing"),
        ("[status.held]\nphase = 'gone'", "status.held.phase: expected one of open, pending_customer"),
        ("[status.open]\nphase = 'open'", "status.open.phase: is fixed"),
        ("[status.open]\nto = ['gone']", "status.open.to: there is no status 'gone'"),
        ("[status.on-hold]\nphase = 'open'", "status.on-hold: a status has no -"),
        ("[tickets]\npriorities = ['low']", "tickets.default_priority: medium is none of low"),
    ],
)
def test_what_does_not_fit_together_is_named_with_its_path(text: str, path: str) -> None:
    assert error_of(text).startswith(path)


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com/t", "ftp://127.0.0.1/t", "https://u:p@example.com/t", "https://", "example.com", "https://x y/",
        "https://[x/", "https://x:port/", "https://x/#f", "http://127.0.0.1.example.com/", "https://x/\\u0007",
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["token_url", "device_url", "authorize_url"])
def test_a_url_that_secrets_must_not_go_to_is_refused(key: str, url: str) -> None:
    assert error_of(f'{MICROSOFT}{key} = "{url}"').startswith(f"oauth.w.{key}: ")


def test_the_providers_urls_and_scopes_are_known() -> None:
    text = MICROSOFT + "tenant = 'example.onmicrosoft.com'\n[oauth.g]\nclient_id = 'x'\nprovider = 'google'"
    apps = parse(tomllib.loads(text), Path()).oauth
    assert (apps["w"].way, apps["g"].way) == ("device", "browser")
    assert apps["w"].url("token") == "https://login.microsoftonline.com/example.onmicrosoft.com/oauth2/v2.0/token"
    assert apps["g"].wanted == ("https://mail.google.com/",)


scalars = st.text() | st.booleans() | st.integers() | st.floats() | st.datetimes() | st.just("5 MiB")
lists = st.lists(scalars, max_size=3)
TABLES = {
    **{name: (name, kind) for name, kind in config.SECTIONS.items()},
    "queue": ("queue.x", config.Queue),
    "agent": ("agent.x", config.Agent),
    "mailbox": ("mailbox.x", config.Mailbox),
    "status": ("status.x", config.Status),
    "oauth": ("oauth.x", config.Oauth),
}


def tables_of(kind: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """Tables with keys that are known or not, and values of every type."""
    imap_table = st.deferred(lambda: tables_of(Imap))
    keys = st.sampled_from([*(field.name for field in msgspec.structs.fields(kind)), "x", "a\nb"])
    good = st.fixed_dictionaries({}, optional={"address": st.just("a@example.com"), "queue": st.just("support")})
    junk = st.dictionaries(keys, scalars | lists | st.dictionaries(keys, scalars, max_size=2), max_size=3)
    tables = st.builds(lambda first, second: {**first, **second}, good, junk)
    if kind is config.Mailbox:
        return st.builds(lambda table, imap_: {**table, "imap": imap_}, tables, imap_table) | tables
    return tables


def keys_of(kind: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(kind)}


def rules() -> st.SearchStrategy[Any]:
    """Rules that are nearly right, in lists that may hold anything."""
    words = st.sampled_from(["support", "ann@example.com", "@example.com", "(a+)+", "spam", "none", "\n", ""])
    text_keys = st.sampled_from(["contains", "equals", "matches", "name"])
    text = st.dictionaries(text_keys, words | st.lists(words), max_size=3)
    values = words | st.lists(words, max_size=2) | text | st.lists(text, max_size=2) | scalars
    tables = [st.dictionaries(st.sampled_from(sorted(keys_of(kind))), values, max_size=3) for kind in (When, Then)]
    rule = st.builds(lambda when, then: {"name": "x", "when": when, "then": then}, *(one | scalars for one in tables))
    return st.lists(rule | scalars, max_size=3) | scalars


def documents() -> st.SearchStrategy[dict[str, Any]]:
    def document(name: str) -> st.SearchStrategy[dict[str, Any]]:
        path, kind = TABLES[name]
        table = tables_of(kind) | scalars | lists
        return (st.builds(lambda key, value: {name: {key: value}}, st.just("x") | st.text(), table)
                if path.endswith(".x") else table.map(lambda value: {name: value}))  # fmt: skip

    ruled = st.builds(lambda found: {"rule": found}, rules())
    return st.sampled_from(sorted(TABLES)).flatmap(document) | ruled | st.dictionaries(st.text(), scalars, max_size=2)


@given(documents())
def test_whatever_a_file_holds_is_a_configuration_or_one_line_of_error(data: dict[str, Any]) -> None:
    try:
        parse(data, Path("/etc/postroom"))
    except ConfigError as error:
        line = str(error)
        assert line.isprintable(), line
        assert re.match(r'([A-Za-z0-9_.\[\]-]|"([^"\\]|\\.)*")+: ', line), line


EXAMPLE_BYTES = (Path(__file__).parents[1] / "config.example.toml").read_bytes()
PIECES = [
    b"[smtp]\n", b"[[rule]]\n", b"[mailbox.a]\n", b"=", b'"', b"'", b'"""', b"[", b"]", b"{", b"}", b"\n", b"\r", b"\0", b"\xff", b"\xc3",
    b'address = "a@b.example"\n', b"listen = []\n", b"1", b"-", b"0x", b"1e999", b"nan", b"2026-13-01", b"\\u0000", b"\\ud800", b"#", b".", b"_",
]  # fmt: skip


@given(
    st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=30).map(b"".join)
    | st.builds(
        lambda at, length, more: EXAMPLE_BYTES[:at] + more + EXAMPLE_BYTES[at + length :],
        st.integers(0, len(EXAMPLE_BYTES)), st.integers(0, 40), st.sampled_from(PIECES) | st.binary(max_size=5),
    )
)  # fmt: skip
def test_whatever_bytes_a_file_is_made_of_it_is_a_configuration_or_one_line_of_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(content)
    line = ""
    try:
        load(str(file))
    except ConfigError as error:
        line = str(error)
    assert "\n" not in line


@pytest.mark.parametrize(
    "content",
    [b"x = " + b"[" * 100_000, b"x = " + b"9" * 10_000, b"x." * 20_000 + b"x = 1", b"x = {a=" * 10_000, b"\xff"],
)
def test_a_file_that_is_too_much_for_its_reader_is_one_line_too(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "postroom.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        load(str(file))
    assert "\n" not in str(error.value)


def test_a_text_with_a_nul_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^mailbox\.a\.aliases\[0\]: holds a NUL"):
        parse({"mailbox": {"a": {"address": "a@b.example", "queue": "support", "aliases": ["a\0"]}}}, Path())


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "postroom.toml"
    file.write_text("[smtp\n")
    with pytest.raises(ConfigError, match=r"postroom\.toml: not valid TOML: .*line 1"):
        load(str(file))
    file.write_bytes(b"# \xff\n")
    with pytest.raises(ConfigError, match=r"postroom\.toml: not valid TOML"):
        load(str(file))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent: No such file or directory"):
        load(str(tmp_path / "absent"))
    with pytest.raises(ConfigError, match="Is a directory"):
        load(str(tmp_path))


def test_the_file_is_found_by_argument_then_environment_then_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("argument", "environment", "postroom"):
        (tmp_path / f"{name}.toml").write_text(f"[tickets]\nprefix = '{name}-'\n")
    environ = {"POSTROOM_CONFIG": str(tmp_path / "environment.toml")}
    assert load("argument.toml", environ).tickets.prefix == "argument-"
    assert load(None, environ).tickets.prefix == "environment-"
    assert load(None, {}).tickets.prefix == "postroom-"


def test_without_any_file_the_defaults_hold_and_nothing_leaves_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, "SEARCH_PATH", ("postroom.toml",))
    found = load(None, {})
    assert found.store_url() == f"sqlite:///{tmp_path}/var/postroom.db"
    assert found.smtp.listen == ("127.0.0.1:2525",)
    assert found.outgoing.courier == "maildir"
    assert {name: box.address for name, box in found.mailbox.items()} == {"support": "support@localhost"}
    assert found.agent == {}


def test_relative_paths_begin_at_the_files_folder(tmp_path: Path) -> None:
    (tmp_path / "postroom.toml").write_text("[store]\nurl = 'sqlite:///mail.db'\n[outgoing]\nmaildir = '/srv/out'\n")
    found = load(str(tmp_path / "postroom.toml"))
    assert found.store_url() == f"sqlite:///{tmp_path}/mail.db"
    assert found.resolve(found.keys.file) == tmp_path / "var/signing-keys"
    assert found.resolve(found.outgoing.maildir) == Path("/srv/out")


def test_a_size_is_octets_or_has_a_unit() -> None:
    sizes = ("1000", "'1000 B'", "'1.5 KiB'", "'25 MiB'", "'2GiB'")
    parsed = [parse(tomllib.loads(f"[smtp]\nmax_size = {size}"), Path()).smtp.max_size for size in sizes]
    assert parsed == [1000, 1000, 1536, 25 * 2**20, 2 * 2**30]


# ---------------------------------------------------------------- secrets


def imap(**changes: str) -> Imap:
    return Imap(host="imap.example.com", user="support", **changes)


def write_secret(path: Path, content: bytes = b"pass word\n", mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def secret(folder: Path, peer: Imap | SmartHost, environ: dict[str, str] | None = None) -> str:
    return read_secret(Config(folder=folder), "mailbox.support.imap", peer, environ or {})


def test_a_secret_is_read_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    write_secret(tmp_path / "imap-password")
    assert secret(tmp_path, imap(password_file="imap-password")) == "pass word"


def test_a_secret_is_read_from_systemds_credentials_first(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    write_secret(tmp_path / "imap-password", b"from the folder")
    write_secret(tmp_path / "credentials" / "imap-password", b"from systemd", 0o440)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    assert secret(tmp_path, imap(password_file="imap-password"), environ) == "from systemd"
    assert secret(tmp_path, imap(password_file="imap-password")) == "from the folder"
    absolute = imap(password_file=str(tmp_path / "imap-password"))
    assert secret(tmp_path, absolute, environ) == "from the folder"


def test_a_secret_is_read_from_the_environment(tmp_path: Path) -> None:
    assert secret(tmp_path, imap(password_env="IMAP_PASSWORD"), {"IMAP_PASSWORD": "x y"}) == "x y"
    with pytest.raises(ConfigError, match=r"^mailbox\.support\.imap\.password_env: \$IMAP_PASSWORD is not set$"):
        secret(tmp_path, imap(password_env="IMAP_PASSWORD"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_secret_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    file = write_secret(tmp_path / "imap-password", mode=mode)
    with pytest.raises(ConfigError) as caught:
        secret(tmp_path, imap(password_file="imap-password"))
    assert str(caught.value) == f"mailbox.support.imap.password_file: others can read {file}; run: chmod 600 {file}"


def test_a_secret_that_is_missing_empty_or_no_text_is_refused(tmp_path: Path) -> None:
    write_secret(tmp_path / "empty", b"\n")
    write_secret(tmp_path / "binary", b"\xff\xfe")
    for name, reason in (("absent", "No such file"), ("empty", "is empty"), ("binary", "is not UTF-8")):
        with pytest.raises(ConfigError, match=rf"^mailbox\.support\.imap\.password_file: .*{name}.*{reason}"):
            secret(tmp_path, imap(password_file=name))


def test_a_smarthost_without_a_user_needs_no_secret(tmp_path: Path) -> None:
    assert secret(tmp_path, SmartHost()) == ""


# ---------------------------------------------------------------- config.example.toml

KEY_LINE = re.compile(r"#?([a-z_]+) = ")
TABLE_LINE = re.compile(r"#?\[([a-z_.]+)\]")
NO_DEFAULT = {
    ("agent", "ann", "address"), ("mailbox", "support", "imap", "host"), ("mailbox", "support", "imap", "user"),
    ("mailbox", "support", "imap", "password_file"), ("status", "on_hold", "phase"),
    ("oauth", "work", "client_id"), ("oauth", "work", "provider"),
    ("dkim", "main", "domain"), ("dkim", "main", "selector"), ("dkim", "main", "key_file"),
}  # fmt: skip


def example_with_everything_on() -> dict[str, Any]:
    lines = EXAMPLE.read_text("utf-8").splitlines()
    enabled = [line[1:] if re.match(r"#[a-z\[]", line) else line for line in lines]
    return tomllib.loads("\n".join(enabled))


def test_the_example_as_it_stands_is_the_defaults() -> None:
    assert parse(tomllib.loads(EXAMPLE.read_text("utf-8")), Path()) == Config()


def test_the_example_with_every_line_on_shows_every_key_with_its_default() -> None:
    data = example_with_everything_on()
    parse(data, Path())
    assert data.pop("smarthost")["other"].keys() <= keys_of(SmartHost)  # its keys are those of [outgoing.smtp]
    [rule] = data.pop("rule")  # its keys have no defaults: what is not there asks nothing and does nothing
    assert rule.keys() == keys_of(config.Rule)
    assert rule["when"].keys() == keys_of(When)
    assert rule["then"].keys() == keys_of(Then)
    shown = dict(flatten(data))
    wanted = {(section,): kind for section, kind in config.SECTIONS.items()}
    wanted |= {
        ("notify", "to"): type(Config().notify.to),
        ("outgoing", "smtp"): SmartHost,
        ("queue", "support"): config.Queue,
        ("agent", "ann"): config.Agent,
    }
    wanted |= {("mailbox", "support"): config.Mailbox, ("mailbox", "support", "imap"): Imap}
    wanted |= {("status", "on_hold"): config.Status, ("dkim", "main"): config.Dkim, ("oauth", "work"): config.Oauth}
    expected: dict[tuple[str, ...], Any] = {}
    for path, kind in wanted.items():
        for field in msgspec.structs.fields(kind):
            if (*path, field.name) not in wanted:
                expected[*path, field.name] = field.default
    assert shown.keys() == expected.keys()
    standard = Config()
    for path, value in shown.items():
        if path in NO_DEFAULT:
            continue
        if path[:2] == ("mailbox", "support") and len(path) == 3:
            default: Any = getattr(standard.mailbox["support"], path[2])
        else:
            default = expected[path]
        if isinstance(default, config.Size):
            value = parse({"smtp": {"max_size": value}}, Path()).smtp.max_size  # noqa: PLW2901
        assert value == (list(default) if isinstance(default, tuple) else default), ".".join(path)


def flatten(table: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    found: list[tuple[tuple[str, ...], Any]] = []
    for key, value in table.items():
        found += flatten(value, (*path, key)) if isinstance(value, dict) else [((*path, key), value)]
    return found


def test_every_key_of_the_example_has_a_line_of_why_above_it() -> None:
    lines = EXAMPLE.read_text("utf-8").splitlines()
    without = [line for above, line in pairwise(lines) if KEY_LINE.match(line) and not above.startswith("# ")]
    assert without == []
    assert sum(map(bool, map(KEY_LINE.match, lines))) > 80
    assert {match[1] for match in map(TABLE_LINE.match, lines) if match} >= {
        "store",
        "agent.ann",
        "mailbox.support.imap",
    }


def test_two_mailboxes_cannot_fetch_from_one_folder():
    imap = {"host": "imap.example.com", "user": "support", "password_env": "P"}
    mailboxes = {
        "a": {"address": "a@example.com", "queue": "support", "imap": imap},
        "b": {"address": "b@example.com", "queue": "support", "imap": {**imap, "host": "IMAP.example.com"}},
    }
    with pytest.raises(ConfigError, match=r"^mailbox\.b\.imap: mailbox\.a fetches from this folder already$"):
        parse({"mailbox": mailboxes}, Path("/"))


def test_every_unknown_key_is_named_at_once() -> None:
    words = error_of(
        "[smtp]\nlistens = []\nmax_size = 1\n[queue.support]\nagent = 1\n[[rule]]\nwhen = {size = {above = 1}}\n[other]"
    )
    assert words == ("smtp.listens: there is no such key, nor queue.support.agent, rule[0].when.size.above, other")


@pytest.mark.parametrize(
    ("keys", "transport"),
    [
        ({}, "none"), ({"host": "unix:/run/dovecot/lmtp"}, "none"), ({"host": "smtp.example.com"}, "starttls"),
        ({"host": "smtp.example.com", "port": 465}, "tls"), ({"port": 465}, "tls"),
        ({"host": "smtp.example.com", "security": "none"}, "none"), ({"security": "starttls"}, "starttls"),
    ],
)  # fmt: skip
def test_a_smarthost_elsewhere_is_spoken_to_in_the_clear_only_where_that_is_written_down(
    keys: dict[str, Any], transport: str
) -> None:
    assert parse({"outgoing": {"smtp": keys}}, Path()).outgoing.smtp.transport == transport


def test_health_is_for_this_machine_unless_others_may_see_it() -> None:
    assert error_of("[health]\nlisten = '0.0.0.0:9090'").startswith("health.listen: ")
    assert error_of("[health]\nlisten = '9090'").startswith("health.listen: ")
    assert parse({"health": {"listen": "0.0.0.0:9090", "public": True}}, Path()).health.public
