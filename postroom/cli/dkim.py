"""`postroom dkim`: what has to be published so that others can verify what we sign; and whether it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from postroom import config
from postroom.cli import output
from postroom.errors import ConfigError, TemporaryFailure, UserError

if TYPE_CHECKING:
    from postroom.outbound.signing import Key

DNS_SECONDS = 5.0


@click.group("dkim")
def command() -> None:
    """The keys that sign what goes out, and what the DNS has to say of them."""


@command.command("record")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@click.pass_obj
def record(config_path: str | None, name: str | None, as_json: bool) -> None:
    """Print the DNS record to publish for the key of [dkim.NAME], as a line of a zone file; without NAME for each key."""
    from postroom.outbound.signing import read_key, zone_line

    settings = config.load(config_path)
    if name is not None and name not in settings.dkim:
        raise UserError(f"there is no [dkim.{name}] in the configuration")
    if not settings.dkim:
        raise UserError("no key is configured: see [dkim.NAME] in config.example.toml")
    for one in settings.dkim if name is None else (name,):
        key = read_key(settings, one, settings.dkim[one])
        if as_json:
            output.print_json({"name": one, "record": key.record_name, "type": "TXT", "value": key.record})
        else:
            click.echo(zone_line(key.record_name, key.record))


def sound_key(settings: config.Config, name: str) -> Key:
    """The key of [dkim.NAME]. Raises ConfigError where nothing can be signed with it."""
    from postroom.outbound.addresses import domain_of
    from postroom.outbound.signing import read_key

    key = read_key(settings, name, settings.dkim[name])
    if not any(key.is_for(domain_of(mailbox.address)) for mailbox in settings.mailbox.values()):
        raise ConfigError(f"dkim.{name}: no mailbox sends from {key.domain}: nothing is signed with it")
    return key


def check_key(settings: config.Config, name: str) -> str:
    """What is to be said of the key of [dkim.NAME]. Raises ConfigError or UserError where others could not verify it."""
    from postroom.daemon.resolver import open_resolver

    key = sound_key(settings, name)
    try:
        published = open_resolver(settings.authentication.resolver)(key.record_name, "TXT", DNS_SECONDS)
    except TemporaryFailure as error:
        raise UserError(f"{error}: whether the key is published cannot be said") from error
    why = _wrong_record(key, published)
    if why is not None:
        raise UserError(f"{why}; publish what this prints: postroom dkim record {name}")
    return f"{key.algorithm} for {key.domain}, published as {key.record_name}"


def _wrong_record(key: Key, published: tuple[str, ...]) -> str | None:
    """Why others cannot verify by what is published."""
    from postroom.desk.check_dkim import Signature, read_tags, wrong_key

    if not published:
        return f"there is no TXT record {key.record_name}"
    if len(published) > 1:
        return f"{key.record_name} has {len(published)} TXT records, and may have one"
    tags = read_tags(published[0]) or {}
    if "".join(tags.get("p", "").split()) != key.public:
        return f"{key.record_name} publishes another key"
    return wrong_key(published[0], Signature(0, key.domain, key.selector, key.domain, key.algorithm))
