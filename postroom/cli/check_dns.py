"""What does the DNS say of the domains that we send from: where does their mail go, and who may send in their name?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from postroom import config
from postroom.cli.finding import Doubt, Finding, checked
from postroom.errors import TemporaryFailure, UserError

if TYPE_CHECKING:
    from postroom.desk.lookup import Dns

DNS_SECONDS = 5.0


def domains(settings: config.Config) -> Iterator[Finding]:
    """MX, SPF and DMARC of each mailbox's domain."""
    from postroom.daemon.resolver import open_resolver
    from postroom.outbound.addresses import domain_of

    names = dict.fromkeys(domain_of(mailbox.address) for mailbox in settings.mailbox.values())
    dns = open_resolver(settings.authentication.resolver)
    for domain in names:
        if "." not in domain:
            yield Finding(f"dns {domain}", "a name of this machine: the DNS has nothing to say of it")
            continue
        yield checked(f"dns {domain} MX", lambda domain=domain: _mx(dns, domain))  # type: ignore[misc]
        yield checked(f"dns {domain} SPF", lambda domain=domain: _spf(dns, domain))  # type: ignore[misc]
        yield checked(f"dns {domain} DMARC", lambda domain=domain: _dmarc(dns, domain))  # type: ignore[misc]


def _ask(dns: Dns, name: str, kind: str) -> tuple[str, ...]:
    try:
        return dns(name, kind, DNS_SECONDS)
    except TemporaryFailure as error:
        raise UserError(f"{error}; another server may be named in authentication.resolver") from error


def _mx(dns: Dns, domain: str) -> str:
    hosts = _ask(dns, domain, "MX")
    if any(host in ("", ".") for host in hosts):
        raise UserError(f"{domain} takes no mail at all, it says (a null MX, RFC 7505); publish the host that does")
    if hosts:
        lost = [host for host in hosts if not (_ask(dns, host, "A") or _ask(dns, host, "AAAA"))]
        if lost:
            raise UserError(
                f"{', '.join(lost)} has no address: mail that goes there does not arrive; mend the MX record"
            )
        return f"mail to {domain} goes to {', '.join(hosts)}"
    if _ask(dns, domain, "A") or _ask(dns, domain, "AAAA"):
        return Doubt(f"there is none, so mail goes to {domain} itself; publish the host that takes it")
    raise UserError(
        f"there is none, and {domain} has no address: mail to it does not arrive; publish the host that takes it"
    )


def _spf(dns: Dns, domain: str) -> str:
    records = [text for text in _ask(dns, domain, "TXT") if text.lower().split(" ")[0] == "v=spf1"]
    if not records:
        return Doubt(
            f"{domain} does not say who may send in its name, and others trust its mail less; publish a TXT record such as "
            '"v=spf1 mx include:SMARTHOST -all"'
        )
    if len(records) > 1:
        raise UserError(f"{domain} has {len(records)} records, which count as none (RFC 7208 §4.5); leave one")
    if records[0].lower().split()[-1] in ("+all", "all"):
        return Doubt(f"{records[0]}: it lets anybody send in its name; end it with -all or ~all")
    return records[0]


def _dmarc(dns: Dns, domain: str) -> str:
    from postroom.desk.check_dmarc import VERSION, organisational_domain, read_policy

    for where in dict.fromkeys((domain, organisational_domain(domain))):
        records = [text for text in _ask(dns, f"_dmarc.{where}", "TXT") if VERSION.match(text)]
        if len(records) > 1:
            raise UserError(
                f"_dmarc.{where} has {len(records)} records, which count as none (RFC 7489 §6.6.3); leave one"
            )
        if records:
            policy = read_policy(records[0], where, where != domain)
            if policy is None:
                raise UserError(f"_dmarc.{where} cannot be read, and counts as none: {records[0]}")
            words = f"{policy.disposition}, by _dmarc.{where}"
            return words if policy.disposition != "none" else f"{words}: forged mail is only reported"
    return Doubt(
        f"there is none: others cannot tell forged mail from {domain}'s, and large providers want one; publish a TXT record "
        f'_dmarc.{domain} such as "v=DMARC1; p=none"'
    )
