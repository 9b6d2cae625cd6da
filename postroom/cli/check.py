"""`postroom check`: is everything there that the configuration names, and as it should be? One line for each, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import click

from postroom import config
from postroom.cli import output
from postroom.cli.finding import Finding, checked
from postroom.cli.opening import log_errors_only
from postroom.errors import ConfigError

PROBES_AT_ONCE = 8
COLOURS = {"ok": {"fg": "green"}, "warning": {"fg": "yellow", "bold": True}, "failed": {"fg": "red", "bold": True}}


@click.command("check")
@click.option("--dns", "with_dns", is_flag=True, help="Ask the DNS about your domains, too: MX, SPF, DKIM, DMARC.")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@click.pass_obj
def command(config_path: str | None, with_dns: bool, as_json: bool) -> int:
    """Check the configuration, this machine, and each connection: one line each, `ok`, `warning` or `failed`, and what to do."""
    settings = config.load(config_path)
    log_errors_only(settings)
    worst = 0
    for finding in check(settings, with_dns):
        worst = max(worst, finding.status)
        if as_json:
            output.print_json({
                "check": finding.what, "ok": finding.status == 0, "state": finding.state, "detail": str(finding.words),
            })  # fmt: skip
        else:
            mark = click.style(f"{finding.state:<7}", **COLOURS[finding.state])  # type: ignore[arg-type]
            click.echo(f"{mark}  {finding.what}: {output.one_line(finding.words)}")
    return worst


def check(settings: config.Config, with_dns: bool = False) -> Iterator[Finding]:
    """Every check, in the order in which things are needed."""
    from postroom.cli import check_machine, check_peers, check_store

    yield Finding("configuration", _configuration(settings))
    yield checked("templates", lambda: _templates(settings))
    yield checked("keys.file", lambda: check_store.keys(settings))
    yield checked("store.url", lambda: check_store.database(settings))
    if settings.raw_mail.url:
        yield checked("raw_mail.url", lambda: check_store.objects(settings))
    yield checked("clock", lambda: check_store.clock(settings))
    yield checked("disk", lambda: check_machine.disk(settings))
    yield checked("permissions", lambda: check_machine.permissions(settings))
    yield checked("daemon", lambda: check_store.daemon(settings))
    if settings.smtp.tls != "off":
        yield checked("smtp.tls_certificate", lambda: check_peers.certificate(settings))
    for listen in settings.smtp.listen:
        yield checked(f"smtp.listen {listen}", lambda listen=listen: check_machine.port(settings, listen))  # type: ignore[misc]
    if settings.health.listen:
        yield checked("health.listen", lambda: check_machine.health(settings))
    yield from _connections(settings)
    for name in settings.dkim:
        yield checked(f"dkim.{name}", lambda name=name: _dkim(settings, name, with_dns))  # type: ignore[misc]
    if settings.outgoing.courier != "smtp":
        yield checked("outgoing.maildir", lambda: check_store.folder(settings.resolve(settings.outgoing.maildir)))
    if with_dns:
        from postroom.cli import check_dns

        yield from check_dns.domains(settings)


def _connections(settings: config.Config) -> Iterator[Finding]:
    """Every IMAP and SMTP server, several at once: one that is silent takes its whole time."""
    from postroom.cli import check_peers

    with ThreadPoolExecutor(PROBES_AT_ONCE) as pool:
        probes: list[Future[Finding]] = []

        def probe(what: str, look: Callable[[], str]) -> None:
            probes.append(pool.submit(checked, what, look))

        for name, mailbox in settings.mailbox.items():
            if mailbox.imap:
                probe(f"mailbox.{name}.imap", lambda name=name: check_peers.imap(settings, name))  # type: ignore[misc]
        if settings.outgoing.courier == "smtp":
            for path in settings.smarthosts():
                probe(path, lambda path=path: check_peers.smarthost(settings, path))  # type: ignore[misc]
        for one in probes:
            yield one.result()


def _configuration(settings: config.Config) -> str:
    where = str(settings.path) if settings.path else "no file: the embedded defaults"
    counts = ", ".join(
        f"{len(table)} {name}{'' if len(table) == 1 else plural}"
        for name, plural, table in (
            ("mailbox", "es", settings.mailbox), ("queue", "s", settings.queue), ("agent", "s", settings.agent),
        )
    )  # fmt: skip
    return f"{where} ({counts})"


def _templates(settings: config.Config) -> str:
    from postroom.outbound.templates import Templates

    folder = settings.resolve(settings.templates.folder) if settings.templates.folder else None
    problems = Templates(folder, settings.templates.language).check()
    if problems:
        raise ConfigError("; ".join(map(str, problems)))
    return (
        f"{settings.templates.language}, with the overrides of {folder}"
        if folder
        else f"{settings.templates.language}, ours"
    )


def _dkim(settings: config.Config, name: str, with_dns: bool) -> str:
    from postroom.cli.dkim import check_key, sound_key

    if with_dns:
        return check_key(settings, name)
    key = sound_key(settings, name)
    return f"{key.algorithm} for {key.domain}; whether it is published says: postroom check --dns"
