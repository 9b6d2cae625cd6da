"""A corpus of mail to measure with: the same bytes for the same seed, anywhere.

What a help desk gets: 70% plain text of 2 to 5 KB, 20% HTML of 10 to 30 KB, 8% with attachments of 50 to 300 KB, 2% with
attachments of 1 to 3 MB; 40% begin a conversation, 60% go on with one and say so rightly in `References`; 300 people, in nine
languages and the charsets and transfer encodings that their programs use.

    python bench/corpus.py --count 1000 corpus.mbox
"""

from __future__ import annotations

import argparse
import base64
import email.header
import email.utils
import hashlib
import json
import quopri
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

SEED = 20260302
SENDERS = 300
NEW_SHARE = 0.4
KINDS = {"plain": 0.70, "html": 0.20, "attachment": 0.08, "large": 0.02}
SIZES = {  # octets of the whole message, from and to
    "plain": (2_000, 5_000), "html": (10_000, 30_000), "attachment": (50_000, 300_000), "large": (1_000_000, 3_000_000),
}  # fmt: skip
FIRST_DATE = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
RECENT_THREADS = 40  # a reply goes to one of the conversations that moved last
REFERENCES_MAX = 20  # as mail programs cut them


@dataclass(frozen=True, slots=True)
class Language:
    """What its writers write: sentences with `{n}` for a number, and how their program encodes it."""

    code: str
    charset: str
    encoding: str  # of the body: "7bit", "8bit", "quoted-printable" or "base64"
    subjects: tuple[str, ...]
    greeting: str
    sentences: tuple[str, ...]
    closing: str
    wrote: str  # the line above a quotation


LANGUAGES = (
    Language(
        "en", "us-ascii", "7bit",
        ("Printer on floor {n} does not print", "Cannot log in since update {n}", "Invoice {n} has a wrong address", "Order {n} is late"),
        "Hello,",
        (
            "since this morning the device with the number {n} shows only a red light.",
            "I have tried to restart it twice, as your colleague said on the phone, but nothing changed.",
            "The error message on the screen says \"code {n}: the service is not available\".",
            "About {n} people in our office are waiting for this, so it is rather urgent.",
            "Could you please tell me what I should do next, and when somebody can come by?",
            "We have a support contract with the reference {n}, valid until the end of the year.",
            "Before the last update everything worked well, and we did not change anything ourselves.",
        ),
        "Best regards,", "On {date}, {name} wrote:",
    ),
    Language(
        "de", "iso-8859-1", "quoted-printable",
        ("Drucker im {n}. Stock druckt nicht", "Rückfrage zur Rechnung {n}", "Passwort zurücksetzen für Gerät {n}"),
        "Guten Tag,",
        (
            "seit heute früh lässt sich das Gerät mit der Nummer {n} nicht mehr einschalten.",
            "Ich habe es schon zweimal vom Strom genommen, leider ohne Erfolg.",
            "Die Meldung lautet „Fehler {n}: Übertragung fehlgeschlagen“.".replace("„", '"').replace("“", '"'),
            "Könnten Sie mir bitte mitteilen, wann ein Techniker vorbeikommen kann?",
            "Unsere Kundennummer ist {n}, der Vertrag läuft noch bis Jahresende.",
            "Für Rückfragen erreichen Sie mich täglich zwischen 8 und 17 Uhr.",
        ),
        "Mit freundlichen Grüßen", "Am {date} schrieb {name}:",
    ),
    Language(
        "fr", "utf-8", "quoted-printable",
        ("Problème de connexion n° {n}", "Question sur la facture {n}", "Livraison {n} incomplète"),
        "Bonjour,",
        (
            "depuis ce matin, l’appareil numéro {n} ne répond plus du tout.",
            "J’ai déjà essayé de le redémarrer, sans succès, comme indiqué dans votre guide.",
            "Le message affiché est « erreur {n} : accès refusé ».",
            "Pourriez-vous me dire quand le problème sera réglé, s’il vous plaît ?",
            "Notre contrat porte la référence {n} et court jusqu’à la fin de l’année.",
        ),
        "Cordialement,", "Le {date}, {name} a écrit :",
    ),
    Language(
        "es", "utf-8", "8bit",
        ("No puedo iniciar sesión ({n})", "Factura {n} incorrecta", "¿Cuándo llega el pedido {n}?"),
        "Buenos días:",
        (
            "desde ayer el equipo número {n} no enciende y la pantalla queda en negro.",
            "Ya lo reinicié varias veces, pero sigue igual.",
            "Aparece el mensaje «código {n}: operación no válida».",
            "¿Podrían indicarme cuándo estará solucionado, por favor?",
            "Nuestro número de cliente es {n}, con contrato vigente hasta diciembre.",
        ),
        "Un saludo,", "El {date}, {name} escribió:",
    ),
    Language(
        "pl", "iso-8859-2", "quoted-printable",
        ("Zgłoszenie {n}: drukarka nie działa", "Błąd na fakturze {n}"),
        "Dzień dobry,",
        (
            "od rana urządzenie o numerze {n} nie włącza się.",
            "Próbowałam już dwa razy uruchomić je ponownie, ale bez skutku.",
            "Na ekranie widać komunikat \"błąd {n}: usługa niedostępna\".",
            "Proszę o informację, kiedy problem zostanie rozwiązany.",
            "Nasz numer klienta to {n}, umowa jest ważna do końca roku.",
        ),
        "Pozdrawiam", "W dniu {date} {name} pisze:",
    ),
    Language(
        "ru", "koi8-r", "base64",
        ("Не печатает принтер {n}", "Вопрос по счёту {n}"),
        "Здравствуйте!",
        (
            "С сегодняшнего утра устройство номер {n} не включается.",
            "Мы дважды перезагружали его, но это не помогло.",
            "На экране появляется сообщение: ошибка {n}, служба недоступна.",
            "Подскажите, пожалуйста, когда можно ждать специалиста?",
            "Номер нашего договора {n}, он действует до конца года.",
        ),
        "С уважением,", "{date} {name} пишет:",
    ),
    Language(
        "ja", "iso-2022-jp", "7bit",
        ("プリンター{n}号機の不具合について", "請求書{n}の件"),
        "お世話になっております。",
        (
            "今朝から{n}番の装置が起動しなくなりました。",
            "電源を入れ直してみましたが、状況は変わりません。",
            "画面には「エラー{n}:接続できません」と表示されています。",
            "対応方法をご教示いただけますでしょうか。",
            "契約番号は{n}で、年末まで有効です。",
        ),
        "よろしくお願いいたします。", "{date} {name} のメール:",
    ),
    Language(
        "zh", "gb2312", "base64",
        ("打印机{n}无法打印", "关于发票{n}的问题"),
        "您好,",
        (
            "从今天早上开始,编号为{n}的设备无法启动。",
            "我们已经重新启动了两次,但是没有效果。",
            "屏幕上显示“错误{n}:服务不可用”。",
            "请告诉我们什么时候可以解决这个问题。",
            "我们的合同编号是{n},有效期到今年年底。",
        ),
        "此致敬礼", "{date},{name} 写道:",
    ),
    Language(
        "it", "windows-1252", "8bit",
        ("Accesso non riuscito ({n})", "Fattura {n}: perché due volte?"),
        "Buongiorno,",
        (
            "da stamattina l’apparecchio numero {n} non si accende più.",
            "L’ho già riavviato due volte, purtroppo senza risultato.",
            "Sullo schermo compare “errore {n}: servizio non disponibile”.",
            "Potreste dirmi quando verrà risolto, per cortesia?",
            "Il nostro contratto è il n. {n}, valido fino alla fine dell’anno.",
        ),
        "Cordiali saluti", "Il {date} {name} ha scritto:",
    ),
)  # fmt: skip
FIRST_NAMES = (
    "Ann",
    "Jörg",
    "Zoë",
    "Marta",
    "Łukasz",
    "Ольга",
    "健太",
    "伟",
    "José",
    "Chiara",
    "Peter",
    "Amélie",
    "Sven",
    "Ingrid",
)
LAST_NAMES = (
    "Miller",
    "Groß",
    "Durand",
    "García",
    "Kowalska",
    "Иванова",
    "佐藤",
    "王",
    "Rossi",
    "Smith",
    "Lindqvist",
    "Novák",
)
PROGRAMS = (
    "User-Agent: Mozilla Thunderbird",
    "X-Mailer: Microsoft Outlook 16.0",
    "X-Mailer: Apple Mail (2.3774.500.171.1.1)",
    "X-Mailer: iPhone Mail (21E236)",
)


@dataclass(frozen=True, slots=True)
class Person:
    """One who writes."""

    name: str
    address: str
    language: Language
    program: str


@dataclass(frozen=True, slots=True)
class Mail:
    """A message, and what a reader of it should find out."""

    raw: bytes  # with CRLF, as it comes over SMTP
    sender: str
    recipient: str
    message_id: str  # without angle brackets
    conversation: str  # the Message-ID that began it; its own where it is new
    kind: str  # a key of KINDS
    date: datetime

    @property
    def is_new(self) -> bool:
        """Whether it begins a conversation."""
        return self.message_id == self.conversation


@dataclass(slots=True)
class _Thread:
    subject: str
    people: list[Person]
    ids: list[str] = field(default_factory=list)
    last_text: str = ""
    last_date: datetime = FIRST_DATE
    last_name: str = ""


def make_corpus(
    count: int, seed: int = SEED, recipient: str = "support@example.com", kinds: Mapping[str, float] = KINDS
) -> Iterator[Mail]:
    """Yield `count` messages to `recipient`, each after those that it answers; `kinds`: how large a share of each there is."""
    chance = random.Random(seed)
    people = [_person(chance, number) for number in range(SENDERS)]
    threads: list[_Thread] = []
    date = FIRST_DATE
    for number in range(count):
        date += timedelta(seconds=chance.randint(5, 300))
        if not threads or chance.random() < NEW_SHARE:
            who = chance.choice(people)
            subject = chance.choice(who.language.subjects).format(n=chance.randint(2, 99999))
            threads.append(_Thread(subject, [who, *chance.sample(people, chance.choice((0, 0, 0, 1, 2)))]))
        else:
            at = len(threads) - 1 - min(int(chance.expovariate(2 / RECENT_THREADS)), len(threads) - 1)
            threads.append(threads.pop(at))
        yield _write(chance, threads[-1], number, date, recipient, kinds)


def _person(chance: random.Random, number: int) -> Person:
    name = f"{chance.choice(FIRST_NAMES)} {chance.choice(LAST_NAMES)}"
    address = f"customer{number}@client{number % 60}.example"
    weights = [6, 4, 2, 2, 1, 1, 1, 1, 1]
    return Person(name, address, chance.choices(LANGUAGES, weights)[0], chance.choice(PROGRAMS))


def _write(
    chance: random.Random, thread: _Thread, number: int, date: datetime, recipient: str, kinds: Mapping[str, float]
) -> Mail:
    who = thread.people[0] if not thread.ids or chance.random() < 0.7 else chance.choice(thread.people)
    message_id = f"{chance.getrandbits(64):016x}.{number}@{who.address.partition('@')[2]}"
    kind = chance.choices(list(kinds), list(kinds.values()))[0]
    size = chance.randint(*SIZES[kind])
    headers = _headers(chance, thread, who, message_id, date, recipient)
    budget = min(size, SIZES["plain"][1] if kind != "html" else size) - len(headers) - 400
    text = _text(chance, thread, who, budget if kind != "html" else budget // 4)
    body_headers, body = _body(chance, kind, who.language, text, size - len(headers))
    raw = headers + body_headers + b"\r\n" + body
    mail = Mail(raw, who.address, recipient, message_id, (thread.ids or [message_id])[0], kind, date)
    thread.ids.append(message_id)
    thread.last_text, thread.last_date, thread.last_name = text, date, who.name
    return mail


def _headers(
    chance: random.Random, thread: _Thread, who: Person, message_id: str, date: datetime, recipient: str
) -> bytes:
    domain = who.address.partition("@")[2]
    stamp = email.utils.format_datetime(date)
    others = [person for person in thread.people if person is not who]
    signature = base64.b64encode(chance.randbytes(256)).decode()
    lines = [
        f"Received: from out.{domain} (out.{domain} [192.0.2.{chance.randint(1, 254)}])",
        f"\tby mx.example.com (Postfix) with ESMTPS id {chance.getrandbits(40):010X}",
        f"\tfor <{recipient}>; {stamp}",
        f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain}; s=mail;",
        "\th=from:to:subject:date:message-id; bh=" + base64.b64encode(chance.randbytes(32)).decode() + ";",
        *(f"\t{'b=' * (at == 0)}{signature[at : at + 70]}" for at in range(0, len(signature), 70)),
        f"Date: {stamp}",
        f"From: {_address(who)}",
        f"To: {recipient}",
        *([f"Cc: {', '.join(map(_address, others))}"] if others else []),
        f"Subject: {_encoded(('Re: ' if thread.ids else '') + thread.subject, who.language.charset)}",
        f"Message-ID: <{message_id}>",
    ]
    if thread.ids:
        answered = thread.ids[-1] if chance.random() < 0.8 else chance.choice(thread.ids)
        chain = thread.ids[: thread.ids.index(answered) + 1]
        if len(chain) > REFERENCES_MAX:
            chain = [chain[0], *chain[-REFERENCES_MAX + 1 :]]
        lines += [f"In-Reply-To: <{answered}>", "References: " + "\r\n ".join(f"<{one}>" for one in chain)]
    lines += [who.program, "MIME-Version: 1.0"]
    return ("\r\n".join(lines) + "\r\n").encode("ascii")


def _address(person: Person) -> str:
    return f"{_encoded(person.name, 'utf-8')} <{person.address}>"


def _encoded(text: str, charset: str) -> str:
    if text.isascii():
        return text
    try:
        header = email.header.Header(text, charset, maxlinelen=70)
    except UnicodeEncodeError:  # another's subject, in a charset that lacks its letters
        header = email.header.Header(text, "utf-8", maxlinelen=70)
    return header.encode(linesep="\r\n")


def _text(chance: random.Random, thread: _Thread, who: Person, octets: int) -> str:
    """What a person writes, then their name, then what they answer; about so many octets when encoded."""
    language = who.language
    quote = ""
    if thread.last_text:
        quote = f"\n\n{language.wrote.format(date=thread.last_date.date(), name=thread.last_name)}"
        quoted_lines = chance.randint(5, 40)
        length = 0
        for line in thread.last_text.splitlines()[:quoted_lines]:
            length += _encoded_size(language, line)
            if length > octets // 2:
                break
            quote += f"\n> {line}"
    paragraphs = [language.greeting]
    length = _encoded_size(language, quote)
    while length < octets or len(paragraphs) < 2:
        sentences = [chance.choice(language.sentences) for _ in range(chance.randint(1, 3))]
        paragraphs.append("\n".join(sentence.format(n=chance.randint(2, 99999)) for sentence in sentences))
        length += _encoded_size(language, paragraphs[-1]) + 4
    paragraphs.append(f"{language.closing}\n{who.name}")
    text = "\n\n".join(paragraphs) + quote
    while _encoded_size(language, text) > octets + 300:  # a name in another script made all of it longer
        text = text[: len(text) * 9 // 10].rstrip()
    return text


def _encoded_size(language: Language, text: str) -> int:
    return len(_part("text/plain", language, text)[1])


def _body(chance: random.Random, kind: str, language: Language, text: str, octets: int) -> tuple[bytes, bytes]:
    """The MIME headers of the whole and its body, of about `octets`."""
    plain = _part("text/plain", language, text)
    if kind == "plain":
        return plain
    boundary = f"----=_Part_{chance.getrandbits(64):016x}"
    if kind == "html":
        return _multipart("alternative", boundary, [plain, _html(chance, language, text, octets - len(plain[1]) - 400)])
    parts = [plain]
    left = octets - len(plain[1]) - 600
    files = chance.choice((1, 1, 2))
    for number in range(files):
        name, content_type, magic = chance.choice(ATTACHMENTS)
        content = magic + chance.randbytes(max(1, left // files * 3 // 4 - left // 100 - len(magic)))
        headers = (
            f'Content-Type: {content_type}; name="{number}-{name}"\r\nContent-Transfer-Encoding: base64\r\n'
            f'Content-Disposition: attachment; filename="{number}-{name}"\r\n'
        )
        parts.append((headers.encode(), base64.encodebytes(content).replace(b"\n", b"\r\n")))
    return _multipart("mixed", boundary, parts)


ATTACHMENTS = (
    ("invoice.pdf", "application/pdf", b"%PDF-1.7\n"),
    ("photo.jpg", "image/jpeg", b"\xff\xd8\xff\xe0\x00\x10JFIF"),
    ("screenshot.png", "image/png", b"\x89PNG\r\n\x1a\n"),
    ("log.zip", "application/zip", b"PK\x03\x04"),
)


def _part(content_type: str, language: Language, text: str) -> tuple[bytes, bytes]:
    charset, encoding = language.charset, language.encoding
    try:
        content = text.encode(charset)
    except UnicodeEncodeError:  # it quotes a name or a sentence in another script
        content = text.encode("utf-8")
        mostly_ascii = sum(map(str.isascii, text)) > len(text) * 0.8
        charset, encoding = "utf-8", "quoted-printable" if mostly_ascii else "base64"
    content = content.replace(b"\n", b"\r\n") + b"\r\n"
    if encoding == "base64":
        content = base64.encodebytes(content).replace(b"\n", b"\r\n")
    elif encoding == "quoted-printable":
        content = quopri.encodestring(content.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    headers = f"Content-Type: {content_type}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n"
    return headers.encode(), content


def _html(chance: random.Random, language: Language, text: str, octets: int) -> tuple[bytes, bytes]:
    """The text as an office program would have it: styled to the last word."""
    rows = []
    length = 0
    lines = text.splitlines()
    at = 0
    while length < octets - 700:
        line = lines[at] if at < len(lines) else chance.choice(language.sentences).format(n=chance.randint(2, 99999))
        escaped = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") or "&nbsp;"
        row = f'<p class="MsoNormal" style="margin:0cm;font-size:11pt;font-family:Calibri,sans-serif"><span lang="{language.code}">{escaped}</span></p>'
        rows.append(row)
        encoded = (
            len(quopri.encodestring(row.encode())) if language.encoding != "base64" else len(row.encode()) * 4 // 3
        )
        length += encoded + 2
        at += 1
    head = "<html><head><style>p.MsoNormal{margin:0;color:#1f497d}a:link{color:blue}</style></head>\n<body lang=en>\n"
    # In UTF-8, as office programs send it, whatever the plain part is in.
    encoding = "base64" if language.encoding == "base64" else "quoted-printable"
    in_utf8 = Language(language.code, "utf-8", encoding, (), "", (), "", "")
    return _part("text/html", in_utf8, head + "\n".join(rows) + "\n</body></html>")


def _multipart(subtype: str, boundary: str, parts: list[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    delimiter = f"--{boundary}".encode()
    body = b"This is a multi-part message in MIME format.\r\n"
    for headers, content in parts:
        body += delimiter + b"\r\n" + headers + b"\r\n" + content + b"\r\n"
    return f'Content-Type: multipart/{subtype};\r\n boundary="{boundary}"\r\n'.encode(), body + delimiter + b"--\r\n"


def write_mbox(path: Path, mails: Iterable[Mail]) -> None:
    """Write an mbox as a mail server delivers: with Return-Path, `From ` lines quoted as mboxrd does, line ends as on disk."""
    with path.open("wb") as out:
        for mail in mails:
            out.write(f"From {mail.sender} {mail.date:%a %b %d %H:%M:%S %Y}\n".encode())
            out.write(f"Return-Path: <{mail.sender}>\n".encode())
            for line in mail.raw.replace(b"\r\n", b"\n").splitlines(keepends=True):
                out.write(b">" + line if line.lstrip(b">").startswith(b"From ") else line)
            out.write(b"\n")


def describe(mails: Iterable[Mail]) -> dict[str, object]:
    """What is in a corpus: counts, octets, and a digest of every byte."""
    kinds: Counter[str] = Counter()
    octets: Counter[str] = Counter()
    senders: set[str] = set()
    conversations: set[str] = set()
    digest = hashlib.sha256()
    for mail in mails:
        kinds[mail.kind] += 1
        octets[mail.kind] += len(mail.raw)
        senders.add(mail.sender)
        conversations.add(mail.conversation)
        digest.update(mail.raw)
    return {
        "messages": kinds.total(), "conversations": len(conversations), "senders": len(senders), "octets": octets.total(),
        "kinds": {kind: {"messages": kinds[kind], "meanOctets": octets[kind] // kinds[kind]} for kind in KINDS if kinds[kind]},
        "sha256": digest.hexdigest(),
    }  # fmt: skip


def main() -> None:
    """Write a corpus to an mbox and say what is in it."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("mbox", type=Path)
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--seed", type=int, default=SEED)
    given = options.parse_args()
    mails = list(make_corpus(given.count, given.seed))
    write_mbox(given.mbox, mails)
    json.dump(describe(mails), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
