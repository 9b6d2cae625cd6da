"""The configuration: one TOML file, typed and checked, every key with a default.

`load()` finds and reads it; what is wrong is a `ConfigError` whose one line begins with the path of
the key. Every key stands in config.example.toml with its default and one line of why (a test holds it).
Secrets are never in this file: they are named here and read by `read_secret()` when they are needed.
Which keys there are is in `config_keys.py`, what one says of another in `config_checks.py`.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec

from postroom.config_checks import ACTIVATED, LOCAL_PART_MAX, check, check_address, split_listen, split_resolver
from postroom.config_keys import (
    Agent,
    Alarms,
    Answers,
    Authentication,
    Config,
    Dkim,
    Health,
    Imap,
    Keys,
    Log,
    Mailbox,
    Notify,
    Operator,
    Outgoing,
    Processing,
    Queue,
    RawMail,
    Reports,
    Retention,
    SmartHost,
    Smtp,
    Store,
    Templates,
    Tickets,
)
from postroom.config_oauth import Oauth
from postroom.config_rules import Block, Rule
from postroom.config_section import Section, Size, shown
from postroom.config_times import Status
from postroom.errors import ConfigError

__all__ = [
    "ACTIVATED",
    "LOCAL_PART_MAX",
    "Agent",
    "Alarms",
    "Answers",
    "Authentication",
    "Config",
    "Dkim",
    "Health",
    "Imap",
    "Keys",
    "Log",
    "Mailbox",
    "Notify",
    "Oauth",
    "Operator",
    "Outgoing",
    "Processing",
    "Queue",
    "RawMail",
    "Reports",
    "Retention",
    "Size",
    "SmartHost",
    "Smtp",
    "Store",
    "Templates",
    "Tickets",
    "check_address",
    "load",
    "parse",
    "read_client_secret",
    "read_object_key",
    "read_private_file",
    "read_secret",
    "split_listen",
    "split_resolver",
]  # fmt: skip

SEARCH_PATH = ("postroom.toml", "/etc/postroom/config.toml")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")  # of a mailbox, a queue or an agent
SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB)\s*")
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


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
    except ValueError as error:  # not UTF-8, no TOML, or a number of more digits than Python reads
        raise ConfigError(f"{found}: not valid TOML: {' '.join(str(error).split())}") from error
    except RecursionError:
        raise ConfigError(f"{found}: not valid TOML: it is nested too deeply") from None
    return parse(data, found.parent.absolute(), found.absolute())


def parse(data: dict[str, Any], folder: Path, path: Path | None = None) -> Config:
    """The configuration that a TOML document means; its relative paths begin at `folder`."""
    if strange := list(_strangers(data)):
        raise ConfigError(_no_such_keys(strange))
    if (path_of_nul := next(_with_nul(data, ""), None)) is not None:
        raise ConfigError(f"{path_of_nul}: holds a NUL character, which no path and no mail can")
    sections: dict[str, Any] = {}
    for key, value in data.items():
        if key in NAMED_SECTIONS:
            sections[key] = _named(key, value)
        elif key == "rule":
            sections[key] = _rules(value)
        else:
            sections[key] = _convert(value, SECTIONS[key], key)
    config = Config(**sections, folder=folder, path=path)
    check(config)
    return config


SECTIONS: dict[str, type[Section]] = {
    "store": Store, "smtp": Smtp, "outgoing": Outgoing, "tickets": Tickets, "notify": Notify, "answers": Answers,
    "templates": Templates, "authentication": Authentication, "processing": Processing, "keys": Keys, "log": Log,
    "block": Block, "reports": Reports, "retention": Retention, "operator": Operator, "health": Health,
    "alarms": Alarms, "raw_mail": RawMail,
}  # fmt: skip
NAMED_SECTIONS: dict[str, type[Section]] = {
    "queue": Queue,
    "agent": Agent,
    "mailbox": Mailbox,
    "status": Status,
    "dkim": Dkim,
    "smarthost": SmartHost,
    "oauth": Oauth,
}

S = TypeVar("S", bound=Section)


def _strangers(data: dict[str, Any]) -> Iterator[str]:
    """The path of every key that nobody knows, in the file's order: whoever mends one would meet the next."""
    for key, value in data.items():
        if key in NAMED_SECTIONS:
            for name, table in value.items() if isinstance(value, dict) else ():
                yield from _strangers_in(table, NAMED_SECTIONS[key], f"{key}.{shown(name)}")
        elif key == "rule" or key in SECTIONS:
            yield from _strangers_in(value, Rule if key == "rule" else SECTIONS[key], key)
        else:
            yield shown(key)


def _strangers_in(value: Any, kind: Any, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _strangers_in(item, kind, f"{path}[{number}]")
    elif isinstance(value, dict) and (section := _section_of(kind)):
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(section)}
        for key, inner in value.items():
            where = f"{path}.{shown(key)}"
            if key in fields:
                yield from _strangers_in(inner, fields[key], where)
            else:
                yield where


def _with_nul(value: Any, path: str) -> Iterator[str]:
    """The path of each text that holds a NUL: whatever opens a file of that name would break."""
    if isinstance(value, str) and "\0" in value:
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _with_nul(inner, f"{path}.{shown(key)}" if path else shown(key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _with_nul(inner, f"{path}[{number}]")


def _section_of(kind: Any) -> type[Section] | None:
    """The kind of table that a key of this type holds (`Imap | None`, `tuple[Header, ...]`)."""
    if isinstance(kind, type) and issubclass(kind, Section):
        return kind
    return next((found for part in get_args(kind) if (found := _section_of(part))), None)


def _no_such_keys(paths: list[str]) -> str:
    others = f", nor {', '.join(paths[1:])}" if paths[1:] else ""
    is_secret = any(path.endswith(".password") for path in paths)
    hint = "; a secret is named with password_file or password_env" if is_secret else ""
    if any(path.endswith(".client_secret") for path in paths):
        hint = "; a secret is named with client_secret_file or client_secret_env"
    return f"{paths[0]}: there is no such key{others}{hint}"


def _named(key: str, value: Any) -> dict[str, Section]:
    if not isinstance(value, dict):
        raise ConfigError(f"{key}: expected tables such as [{key}.NAME]")
    for name in value:
        if not NAME.fullmatch(name):
            raise ConfigError(f"{key}.{shown(name)}: a name has 1 to 40 of a-z, 0-9, _ and -")
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


def read_secret(config: Config, path: str, peer: Imap | SmartHost, environ: Mapping[str, str] | None = None) -> str:
    """The password of `peer`, whose table is at `path`; "" for a smarthost that wants none, and where tokens take its place.

    A relative `password_file` is looked for in systemd's `$CREDENTIALS_DIRECTORY` first. ConfigError
    where it is missing, empty, or a file that others than its owner can read.
    """
    if peer.password_env:
        return _from_environment(f"{path}.password_env", peer.password_env, environ)
    if not peer.password_file:
        return ""
    return read_private_file(config, f"{path}.password_file", peer.password_file, environ)


def read_client_secret(config: Config, name: str, environ: Mapping[str, str] | None = None) -> str:
    """The secret of `[oauth.NAME]`'s app, found as a password is; "" for an app without one. Raises ConfigError."""
    app = config.oauth[name]
    if app.client_secret_env:
        return _from_environment(f"oauth.{name}.client_secret_env", app.client_secret_env, environ)
    if not app.client_secret_file:
        return ""
    return read_private_file(config, f"oauth.{name}.client_secret_file", app.client_secret_file, environ)


def read_object_key(config: Config, environ: Mapping[str, str] | None = None) -> str:
    """The secret key of `[raw_mail]`, found as a password is; "" where the machine's role takes its place. Raises ConfigError."""
    raw = config.raw_mail
    if raw.secret_key_env:
        return _from_environment("raw_mail.secret_key_env", raw.secret_key_env, environ)
    if not raw.secret_key_file:
        return ""
    return read_private_file(config, "raw_mail.secret_key_file", raw.secret_key_file, environ)


def _from_environment(key: str, name: str, environ: Mapping[str, str] | None) -> str:
    secret = (os.environ if environ is None else environ).get(name, "")
    if not secret:
        raise ConfigError(f"{key}: ${name} is not set")
    return secret


def read_private_file(config: Config, key: str, name: str, environ: Mapping[str, str] | None = None) -> str:
    """The text of the private file `name`, which the configuration names at `key`, without line ends around it.

    A relative one is looked for in systemd's `$CREDENTIALS_DIRECTORY` first. ConfigError where it is missing,
    empty, or a file that others than its owner can read.
    """
    environ = os.environ if environ is None else environ
    credential = Path(environ.get("CREDENTIALS_DIRECTORY", "/nonexistent")) / name
    from_systemd = not Path(name).is_absolute() and credential.is_file()
    file = credential if from_systemd else config.resolve(name)
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
