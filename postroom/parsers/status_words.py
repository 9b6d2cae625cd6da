"""The words of mail servers, and the enhanced status that each stands for (RFC 3463).

Used only where a report bears no explicit code. Lower case; one blank stands for any white space. The order
matters: what is specific comes before what it contains ("domain does not exist" before "not exist").
"""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """Phrases that tell one status."""

    detail: str  # subject and detail, "1.1"
    usual_class: str  # "4" or "5", where no reply code says it
    phrases: tuple[str, ...]


# fmt: off
WORDS: tuple[Words, ...] = (
    Words("7.26", "5", (
        "dmarc policy", "dmarc verification", "dmarc evaluation", "dmarc check", "failed dmarc", "dmarc fail",
        "unauthenticated email",
    )),
    Words("7.23", "5", (
        "spf check fail", "spf fail", "spf hard fail", "(spf) fail", "spf validation", "not pass spf", "spf record",
        "sender policy framework",
    )),
    Words("7.20", "5", ("dkim signature", "dkim validation", "dkim check", "dkim fail", "dkim verification")),
    Words("7.25", "5", (
        "reverse dns", "rdns", "ptr record", "reverse hostname", "find your hostname", "find your reverse hostname",
        "reverse lookup",
    )),
    Words("1.8", "5", (
        "domain of sender address", "sender domain", "sender's domain", "sender address rejected: domain not found",
        "unresolvable sender", "from domain does not", "return path domain",
    )),
    Words("1.7", "5", ("invalid sender", "bad sender", "sender unknown", "sender address is invalid")),
    Words("2.2", "5", (
        "mailbox full", "mailbox is full", "mailbox was full", "mail box full", "mail box is full", "mailbox size limit",
        "mailfolder is full", "folder is full", "inbox is full", "in-box is full", "inbox full", "account is full",
        "over quota", "overquota", "over-quota", "over the quota", "over his quota", "over its quota", "out of quota",
        "quota exceed", "quota_exceeded", "quota is exceeded", "quota has been exceeded", "quota is full", "quota full",
        "quota violation", "quota limit", "disk quota", "mailbox quota", "quotamaildrop", "exceeded quota",
        "exceeds quota", "exceed quota", "exceed the quota", "exceeded its quota", "exceeded his quota",
        "exceeded their quota", "exceeded the quota", "exceeded storage", "exceeded the local limit",
        "mailbox exceeds allowed size", "mailbox exceeded", "mailbox has exceeded", "mailbox would exceed",
        "storage limit exceeded", "storage quota", "storage allocation", "storage space", "over the maximum allowed quota",
        "maildir over", "not enough storage", "not enough disk space", "not enough space", "not have enough space",
        "insufficient disk space in the recipient", "overdrawn", "user is over", "too much mail data",
        "postfach ist voll", "postfach voll", "postfach des empfängers ist voll", "speicherplatz",
        "boîte pleine", "boite pleine", "boîte aux lettres est pleine", "boîte aux lettres pleine", "quota dépassé",
        "buzón lleno", "buzón está lleno", "casella piena", "casella postale piena", "caixa postal cheia",
        "caixa de correio cheia", "skrzynka pełna", "przepełniona", "ящик переполнен", "postvak is vol", "mailbox vol",
        "容量不足", "容量を超", "メールボックスがいっぱい", "邮箱已满", "收件箱已满", "郵箱已滿", "信箱已滿", "사서함이 가득",
    )),
    Words("3.4", "5", (
        "message too large", "message is too large", "message too big", "message is too big", "message too long",
        "too large for", "size limit", "message size exceeds", "message length exceeds", "message exceeds",
        "message size violation", "maximum message size", "maximum allowed size", "maximum size", "exceeds size",
        "exceeds maximum", "exceeds the maximum", "exceeds fixed", "exceeds administrative limit", "exceeded maximum",
        "larger than the", "is larger than", "zu groß", "demasiado grande", "trop volumineux", "troppo grande",
        "muito grande", "слишком большо", "邮件太大",
    )),
    Words("4.3", "4", (
        "host not found, try again", "temporary lookup", "lookup failure", "lookup failed", "dns lookup", "dns failure",
        "dns error", "name server:", "name server timeout", "nameserver", "mx lookup", "ldap server",
    )),
    Words("1.2", "5", (
        "host unknown", "unknown host", "no such host", "host not found", "host does not exist", "hostname not found",
        "host name lookup failure", "domain not found", "domain does not exist", "domain name not found",
        "domain unknown", "unknown domain", "unresolvable domain", "no such domain", "non-existent domain",
        "nonexistent domain", "domain is invalid", "invalid domain", "invalid destination domain", "nxdomain",
        "any host named", "bad destination host", "destination server not found", "does not exist in dns",
        "server name could not be found", "site not known", "illegal host/domain", "bad destination system",
        "name service error", "domain couldn't be found", "domain could not be found", "domain existiert nicht",
        "le domaine n'existe pas", "el dominio no existe", "domain name system (dns)",
    )),
    Words("1.10", "5", ("null mx", "nullmx", "does not accept mail (")),
    Words("4.4", "5", (
        "find a mail exchanger", "no mx found", "no mx for", "no valid mx", "all relevant mx", "no mail exchanger", "unable to route", "no route found", "mx record", "mx host",
        "no mail server", "mail server for",
    )),
    Words("4.6", "5", (
        "hop count", "too many hops", "mail loop", "loops back", "routing loop", "forwarding loop", "loop detected",
        "looping", "loop alert", "duplicated message-id", "too many received",
    )),
    Words("2.1", "5", (
        "mailbox disabled", "mailbox is disabled", "mailbox has been disabled", "mailbox currently disabled",
        "account disabled", "account is disabled", "account has been disabled", "account is currently disabled",
        "to reach is disabled", "user disabled", "user is disabled", "user suspended", "account suspended",
        "account has been suspended", "account is suspended", "account is locked", "account locked",
        "account inactive", "account is inactive", "mailbox is inactive", "mailbox inactive", "inactive user",
        "inactive recipient", "inactive account", "inactive mailbox", "user is inactive", "not active",
        "mailbox is frozen", "mailbox frozen", "account deactivated", "mailbox deactivated", "has been deactivated",
        "account expired", "account has expired", "disabled or discontinued", "discontinued", "due to inactivity",
        "not accepting mail", "not accepting messages", "is not accepting", "does not accept mail",
        "account is temporarily", "konto ist deaktiviert", "compte désactivé", "cuenta desactivada",
    )),
    Words("1.6", "5", (
        "has moved", "recipient moved", "user has left", "no longer works", "no longer valid", "no longer available",
        "no longer an employee", "no longer on server", "no longer in use", "no longer exists at this address",
    )),
    Words("1.1", "5", (
        "user unknown", "unknown user", "user is unknown", "unknown local", "unknown recipient", "recipient unknown",
        "recipient not found", "receiver not found", "addresses were unknown", "recipient does not exist", "recipient doesn't exist", "recipient no longer",
        "recipient invalid", "recipient name is not recognized", "recipnotfound", "invalid recipient", "invalid user",
        "invalid mailbox", "invalid address", "invalid final delivery user", "bad recipient",
        "bad destination email address", "bad destination mailbox", "no such recipient", "no such user",
        "no such person", "no such account", "no such mailbox", "no such address", "no such local user",
        "no such email", "no such id", "no mailbox", "no account", "no valid recipients", "no user", "no recipient",
        "not a valid user", "not a valid mailbox", "not a valid recipient", "not a known user", "user not known", "not a registered",
        "not a local", "not our customer", "is not known", "not known here", "not listed in", "not found in directory",
        "not found in the directory", "not exist", "doesn't exist", "does'nt exist", "doesn't have a", "user not found",
        "user wasn't found", "address not found", "address wasn't found", "account not found", "mailbox not found",
        "mailbox unknown", "unknown mailbox", "unknown account", "unknown address", "unknown or illegal alias",
        "address unknown", "addressee unknown", "account unknown", "user doesn't", "user invalid",
        "undeliverable address", "can't be found", "cannot be found", "could not be found", "couldn't be found",
        "wasn't found", "was not found", "not recognized", "not recognised", "is unknown", "name not allowed",
        "account that you tried to reach", "possibly incorrect", "unable to find recipient", "no matches to nameserver",
        "unbekannter empfänger", "unbekannter benutzer", "empfänger unbekannt", "existiert nicht", "nicht gefunden",
        "n'existe pas", "utilisateur inconnu", "destinataire inconnu", "introuvable", "no existe",
        "usuario desconocido", "destinatario desconocido", "usuário desconhecido", "não existe", "não foi encontrado",
        "utente sconosciuto", "non esiste", "destinatario sconosciuto", "nie istnieje", "nieznany użytkownik",
        "nie ma takiego", "neexistuje", "нет такого пользователя", "не существует", "не найден", "onbekende gebruiker",
        "bestaat niet", "finns inte", "findes ikke", "finnes ikke", "ei ole olemassa", "nem létezik", "bulunamadı",
        "見つかりません", "見つからない", "存在しません", "あて先不明", "宛先不明", "不存在", "존재하지 않",
    )),
    Words("1.3", "5", (
        "bad address syntax", "bad recipient address syntax", "address syntax", "malformed address", "syntax error in",
        "illegal address", "illegal character", "unbalanced", "invalid syntax", "null local-part",
    )),
    Words("1.0", "5", ("unrouteable", "unroutable", "invalid host in recipient")),
    Words("7.0", "5", (
        "authentication required", "must authenticate", "authentication failed", "unauthenticated sender",
        "starttls command first", "encryption required", "encryption needed",
    )),
    Words("7.1", "4", (
        "greylist", "graylist", "grey listed", "too many messages", "too many mails", "rate limit", "throttl",
        "temporarily deferred", "unusual rate",
    )),
    Words("7.1", "5", (
        "access denied", "access to this", "administrative prohibition", "administratively", "attachments", "banned",
        "black list", "blacklist", "block list", "blocklist", "blocked", "bulk mail", "bulk email",
        "closed mailing list", "content filter", "content rejected", "content restriction", "denied by policy", "dnsbl",
        "may not have permission", "message content", "message refused", "message rejected", "not allowed",
        "not authorized", "not authorised", "not permitted", "not are member", "are not member", "not a member",
        "permission to", "phishing", "policy", "poor reputation", "prohibited", "reject by", "rejected by",
        "rejected due to", "rejected for", "relay access denied", "relay not permitted", "relaying", "unable to relay",
        "cannot relay", "not relay", "restricted", "sender address rejected", "sender denied", "sender was rejected",
        "not accepted", "spam", "spamhaus", "surbl", "suspicious", "uribl", "virus", "abgelehnt", "verweigert",
    )),
    Words("3.1", "4", (
        "insufficient system storage", "insufficient system resources", "insufficient disk", "disk full",
        "no space left", "file system full", "system storage",
    )),
    Words("4.2", "4", (
        "lost connection", "connection dropped", "connection was dropped", "connection reset", "connection closed",
        "connection lost", "broken pipe", "conversation with", "connection died", "bad connection", "timed out while",
        "timeout while", "read timeout",
    )),
    Words("4.1", "4", (
        "connection refused", "connection timed out", "operation timed out", "connect timed out", "no route to host",
        "network is unreachable", "host unreachable", "host is unreachable", "host is down", "not reachable",
        "not responding", "no answer from host", "no response from", "did not respond", "could not connect",
        "couldn't connect", "cannot connect", "can't connect", "unable to connect", "failed to connect",
        "unable to contact", "an smtp connection", "no smtp connection", "connection failed", "network error",
        "cannot send message within",
    )),
    Words("4.5", "4", ("congest", "too many connections", "too many concurrent", "server busy", "system busy", "too busy")),
    Words("4.7", "4", (
        "retry timeout", "retry time", "retry limit", "maximum retries", "in the queue too long", "in queue too long",
        "message expired", "envelope expired", "time limit for", "delivery time expired", "not delivered within",
        "within the time", "been failing for a long time", "deferred for too long", "could not be delivered for",
        "has been delayed", "is delayed for", "delayed for more than", "delayed more than", "still being retried",
        "will be retried", "will retry", "will continue to try", "will continue trying", "will keep trying", "not yet been delivered",
        "not been able to deliver", "undelivered after", "message timed out", "mail expired", "queue lifetime",
    )),
    Words("3.2", "4", (
        "not accepting network messages", "shutting down", "service not available", "service unavailable, try again",
        "temporarily unavailable", "try again later", "temporary failure", "temporary error", "temporary problem",
        "temporarily",
    )),
    Words("3.0", "5", (
        "system error", "internal error", "configuration error", "server error", "local error", "mailer error",
        "program failed", "command died", "command failed", "cannot create output file", "can't create output",
    )),
    Words("1.1", "5", ("mailbox unavailable", "user unavailable", "recipient rejected", "recipient refused", "address rejected")),
)
# fmt: on

# What a reply code alone says (RFC 5321 §4.2.3, RFC 4954 §6, RFC 7504, RFC 7505).
REPLY_STATUS = {
    "421": "4.3.2", "450": "4.2.0", "451": "4.3.0", "452": "4.3.1", "454": "4.7.0", "455": "4.5.4",
    "500": "5.5.2", "501": "5.5.4", "502": "5.5.1", "503": "5.5.1", "504": "5.5.4", "521": "5.3.2",
    "523": "5.3.4", "530": "5.7.0", "534": "5.7.9", "535": "5.7.8", "538": "5.7.11", "551": "5.1.6",
    "552": "5.2.2", "553": "5.1.3", "556": "5.1.10",
}  # fmt: skip
