"""Intro lines as mail programs write them, and sentences that look like one."""

import pytest

from postroom.parsers.reply import read_reply

A = "Ann Lee <ann@example.org>"

GMAIL = [
    f"On Mon, Jan 1, 2024 at 10:00 AM {A} wrote:",
    f"Am Mo., 1. Jan. 2024 um 10:00 Uhr schrieb {A}:",
    f"Le lun. 1 janv. 2024 à 10:00, {A} a écrit :",
    f"El lun, 1 ene 2024 a las 10:00, {A} escribió:",
    "El lun, 1 ene 2024 a la(s) 10:00 a.m., Ann Lee (ann@example.org) escribió:",
    f"Il giorno lun 1 gen 2024 alle ore 10:00 {A} ha scritto:",
    f"Em seg., 1 de jan. de 2024 às 10:00, {A} escreveu:",
    f"{A} escreveu (segunda, 1/01/2024 à(s) 10:00):",
    f"Op ma 1 jan 2024 om 10:00 schreef {A}:",
    f"Den man. 1. jan. 2024 kl. 10.00 skrev {A}:",
    f"man. 1. jan. 2024 kl. 10:00 skrev {A}:",
    f"Den mån 1 jan. 2024 kl 10:00 skrev {A}:",
    f"ma 1. tammik. 2024 klo 10.00 {A} kirjoitti:",
    f"pon., 1 sty 2024 o 10:00 {A} napisał(a):",
    f"po 1. 1. 2024 v 10:00 odesílatel {A} napsal:",
    f"po 1. 1. 2024 o 10:00 {A} napísal(a):",
    f"{A} ezt írta (időpont: 2024. jan. 1., H, 10:00):",
    f"În lun., 1 ian. 2024 la 10:00, {A} a scris:",
    f"Στις Δευ, 1 Ιαν 2024 στις 10:00 π.μ., ο/η {A} έγραψε:",
    f"{A}, 1 Oca 2024 Pzt, 10:00 tarihinde şunu yazdı:",
    f"пн, 1 янв. 2024 г. в 10:00, {A}:",
    f"пн, 1 січ. 2024 р. о 10:00 {A} пише:",
    f"На пн, 1.01.2024 г. в 10:00 {A} написа:",
    f"pon, 1. sij 2024. u 10:00 {A} napisao je:",
    f"пон, 1. јан 2024. у 10:00 {A} је написао/ла:",
    f"V V pon., 1. jan. 2024 ob 10:00 je oseba {A} napisala:",
    f"Kuupäev E, 1. jaanuar 2024 kell 10:00 kirjutas {A}:",
    f"pirmd., 2024. g. 1. janv., plkst. 10:00 — lietotājs {A} rakstīja:",
    f"2024-01-01, pr, 10:00 {A} rašė:",
    f"Missatge de {A} del dia dl., 1 de gen. 2024 a les 10:00:",
    "\u202bבתאריך יום ב׳, 1 בינו׳ 2024 ב-10:00 מאת \u202aAnn Lee\u202c\u200f <\u202aann@example.org\u202c\u200f>:\u202c",
    "في الاثنين، ١ يناير ٢٠٢٤ ١٠:٠٠ ص Ann Lee <ann@example.org> كتب:",
    f"در تاریخ دوشنبه ۱ ژانویهٔ ۲۰۲۴،\u200f ۱۰:۰۰ {A} نوشت:",
    f"सोम, 1 जन॰ 2024 को 10:00 am बजे को {A} ने लिखा:",
    f"ในวันที่ จ. 1 ม.ค. 2024 เวลา 10:00 {A} เขียนว่า:",
    f"Vào Th 2, 1 thg 1, 2024 vào lúc 10:00 {A} đã viết:",
    f"Pada tanggal Sen, 1 Jan 2024 pukul 10.00 {A} menulis:",
    f"2024年1月1日(月) 10:00 {A}:",
    f"2024년 1월 1일 (월) 오전 10:00, {A}님이 작성:",
    f"{A} 于2024年1月1日周一 10:00写道：",
    f"{A} 於 2024年1月1日 週一 上午10:00寫道：",
    f"Noong Lun, Ene 1, 2024 nang 10:00 AM, sinulat ni {A} ang:",
    f"2024-01-01 10:00 GMT+01:00 {A}:",
]
APPLE = [
    f"On Jan 1, 2024, at 10:00 AM, {A} wrote:",
    f"On 1 Jan 2024, at 10:00, {A} wrote:",
    f"Am 01.01.2024 um 10:00 schrieb {A}:",
    f"Le 1 janv. 2024 à 10:00, {A} a écrit :",
    f"Il giorno 1 gen 2024, alle ore 10:00, {A} ha scritto:",
    f"El 1 ene 2024, a las 10:00, {A} escribió:",
    f"Op 1 jan. 2024, om 10:00 heeft {A} het volgende geschreven:",
    f"1 jan. 2024 kl. 10:00 skrev {A}:",
    f"Den 1. jan. 2024 kl. 10.00 skrev {A}:",
    f"{A} kirjoitti 1.1.2024 kello 10.00:",
    f"Wiadomość napisana przez {A} w dniu 01.01.2024, o godz. 10:00:",
    f"No dia 01/01/2024, às 10:00, {A} escreveu:",
    f"Em 1 de jan. de 2024, à(s) 10:00, {A} escreveu:",
    f"1 янв. 2024 г., в 10:00, {A} написал(а):",
    f"1 січ. 2024 р. о 10:00 {A} написав(-ла):",
    f"1. 1. 2024 v 10:00, {A}:",
    f"2024. jan. 1. dátummal, 10:00 időpontban {A} írta:",
    f"Pe 1 ian. 2024, la 10:00, {A} a scris:",
    f"{A} şunları yazdı (1 Oca 2024 10:00):",
    f"1 Ιαν 2024, 10:00 π.μ., ο χρήστης «{A}» έγραψε:",
    f"ב-1 בינו׳ 2024, בשעה 10:00, \u200f{A} כתב/ה:",
    f"في 1 يناير 2024، الساعة 10:00 ص، كتب/كتبت {A}:",
    f"2024/01/01 10:00、{A}のメール:",
    f"2024. 1. 1. 오전 10:00, {A} 작성:",
    f"在 2024年1月1日，10:00，{A} 写道：",
    f"{A} 於 2024年1月1日 上午10:00 寫道：",
    f"Vào 10:00, 1 thg 1, 2024, {A} đã viết:",
    f"เมื่อ 1 ม.ค. 2024 เวลา 10:00 {A} เขียนว่า:",
    f"Pada 1 Jan 2024, pukul 10.00, {A} menulis:",
    f"Dana 1. sij. 2024., u 10:00, {A} napisao/la je:",
    f"El dia 1 gen. 2024, a les 10:00, {A} va escriure:",
]
OTHERS = [
    "On 01/01/2024 10:00, Ann Lee wrote:",  # Thunderbird
    "On 1/1/24 10:00 AM, Ann Lee wrote:",
    "Am 01.01.24 um 10:00 schrieb Ann Lee:",
    "Am 01.01.2024 10:00, schrieb Ann Lee:",
    "Le 01/01/2024 à 10:00, Ann Lee a écrit :",
    "Il 01/01/2024 10:00, Ann Lee ha scritto:",
    "El 1/1/24 a las 10:00, Ann Lee escribió:",
    "Op 01-01-2024 om 10:00 schreef Ann Lee:",
    "W dniu 01.01.2024 o 10:00, Ann Lee pisze:",
    "Em 01/01/2024 10:00, Ann Lee escreveu:",
    "01.01.2024 10:00, Ann Lee пишет:",
    "Dne 01. 01. 24 v 10:00 Ann Lee napsal(a):",
    "2024. 01. 01. 10:00 keltezéssel, Ann Lee írta:",
    "Den 2024-01-01 kl. 10:00, skrev Ann Lee:",
    "Den 01.01.2024 10:00, skrev Ann Lee:",
    "Ann Lee kirjoitti 1.1.2024 klo 10.00:",
    "Στις 1/1/24 10:00, ο/η Ann Lee έγραψε:",
    "在 2024/1/1 10:00, Ann Lee 写道:",
    "24. 1. 1. 오전 10:00에 Ann Lee 이(가) 쓴 글:",
    "1.01.2024 10:00 tarihinde Ann Lee yazdı:",
    "Dne 1. 1. 2024 ob 10:00 je Ann Lee napisal(a):",
    "На 1.1.2024 г. в 10:00 ч., Ann Lee написа:",
    "Þann 1.1.2024 10:00, skrifaði Ann Lee:",
    "On Mon, Jan 01, 2024 at 10:00:00AM +0000, Ann Lee wrote:",  # Mutt
    "On Mon, 2024-01-01 at 10:00 +0000, Ann Lee wrote:",  # Evolution
    "Am Montag, dem 01.01.2024 um 10:00 +0100 schrieb Ann Lee:",
    "On Monday 01 January 2024 10:00:00 Ann Lee wrote:",  # KMail
    "Quoting Ann Lee <ann@example.org>:",  # Horde
    "Zitat von Ann Lee <ann@example.org>:",
    f"{A} writes:",  # Gnus
    "On 2024-01-01 10:00, Ann Lee wrote:",  # Roundcube
    "Ann Lee <ann@example.org> hat am 01.01.2024 10:00 CET geschrieben:",  # Open-Xchange
    f"On January 1, 2024 at 10:00 AM {A} wrote:",
    f"On Monday, January 1, 2024 at 10:00:00 AM GMT+1, {A} wrote:",  # Yahoo
    f"Le lundi 1 janvier 2024 à 10:00:00 UTC+1, {A} a écrit :",
    f"Am Montag, 1. Januar 2024 um 10:00:00 MEZ hat {A} Folgendes geschrieben:",
    f"On Monday, January 1st, 2024 at 10:00 AM, {A} wrote:",  # Proton
    f"On 1 Jan 2024, 10:00 +0100, {A}, wrote:",  # Spark
    "---- On Mon, 01 Jan 2024 10:00:00 +0100 Ann Lee <ann@example.org> wrote ----",  # Zoho
    "---- On Mon, 01 Jan 2024 10:00:00 +0100 ann@example.org wrote ---",
    "On Wed, Jan 4, 2023 12:34 AM, ann@example.org wrote:> and on it goes",
    "On Wed, Jan 4, 2023 12:34 AM, Ann Lee wrote: > and on it goes",
    f"Am 1. Januar 2024 10:00:00 MEZ schrieb {A}:",  # K-9
    '01.01.2024, 10:00, "Ann Lee" <ann@example.org>:',  # Yandex
    f"Понедельник, 1 января 2024, 10:00 +03:00 от {A}:",  # Mail.ru
    f"Monday, January 1, 2024 10:00 AM +03:00 from {A}:",
    'At 2024-01-01 10:00:00, "Ann Lee" <ann@example.org> wrote:',  # NetEase
    '在 2024-01-01 10:00:00，"Ann Lee" <ann@example.org> 写道：',
    f"W dniu 2024-01-01 10:00:00 użytkownik {A} napisał:",  # WP
    f"Dnia 1 stycznia 2024 10:00 {A} napisał(a):",  # Onet
    f"Il 1 gennaio 2024 alle 10.00 {A} ha scritto:",  # Libero
    f"Em 01/01/2024 10:00, {A} escreveu:",  # UOL
    ">>> Ann Lee <ann@example.org> 01/01/24 10:00 AM >>>",  # GroupWise
    "In a message dated 1/1/2024 10:00:00 A.M. Eastern Standard Time, ann@example.org writes:",  # AOL
    f"On 1/1/2024 10:00:00 AM, {A} wrote:",  # Mailbird
    f"On Jan 1, 2024, {A} wrote:",  # HEY
    "ann@example.org schrieb am Mo., 1. Jan. 2024, 10:00:",
]


@pytest.mark.parametrize("intro", [*GMAIL, *APPLE, *OTHERS])
@pytest.mark.parametrize("body", ["> The old words\n> of Ann", "The old words\nof Ann"], ids=["quoted", "bare"])
def test_an_intro_line_ends_what_the_author_wrote(intro, body):
    reply = read_reply(f"My new words.\n\n{intro}\n\n{body}\n")
    assert reply.reply_text == "My new words."
    assert reply.quoted_text in (f"{intro}\n\n{body}", f"{intro}\n{body}")


@pytest.mark.parametrize("intro", [*GMAIL, *APPLE])
@pytest.mark.parametrize("width", [76, 45, 38])
def test_a_wrapped_intro_line_is_one_still(intro, width):
    wrapped = _wrap(intro, width)
    if wrapped.count("\n") > 3:
        pytest.skip("wrapped over more lines than any mail program does")
    assert read_reply(f"My new words.\n\n{wrapped}\n\n> old\n").reply_text == "My new words."


@pytest.mark.parametrize("intro", [*GMAIL, *APPLE, *OTHERS])
def test_an_intro_line_that_is_quoted_itself_belongs_to_the_quote(intro):
    assert read_reply(f"My new words.\n\n> {intro}\n> \n> old\n").reply_text == "My new words."


@pytest.mark.parametrize("name", ["Ann Lee", "Dr. Ann-Marie O'Lee", "李安"])
def test_a_bare_name_that_wrote_is_an_intro_above_a_quote_only(name):
    assert read_reply(f"{name} wrote:\n> old words\n\nNew words.\n").reply_text == "New words."
    assert "wrote:" in read_reply(f"{name} wrote:\n\nand I agree with that.\n").reply_text


PROSE = [
    "On Monday you wrote: the printer is broken, and I answered that it is not.",
    "On Monday you wrote:\nthe printer is broken. It is not.",
    "On 3 May 2024 you wrote: the invoice is late. Is it?",
    "As my colleague wrote:\n\nplease send the invoice.",
    "Am Montag schrieb ich: der Drucker geht nicht.",
    "On the other hand:\n\n- it works\n- it is cheap",
    "On page 3 of the manual, the author wrote that one must:\n\n1. open it\n2. close it",
    "Please do the following by 10:00:\n\nopen it",
    "My address is ann@example.org. Please write to it:\n\nThanks in advance for that.",
    "Le client a écrit un long texte :\n\nvoici ce texte.",
    "You can reach me at ann@example.org or bob@example.org. Options:\n\n- mail\n- phone",
    "The schedule for 2024-01-01 10:00:\n\n1. start\n2. end",
    "We met on 1 January 2024 at 10:00. The agenda was:\n\n1. start",
    "The user wrote a ticket about this on another day:\n\nthe printer is broken.",
    "Op de website staat geschreven:\n\nmorgen geleverd.",
    "He said:\n\nno.",
    "Error at 10:00:00 in module a.b:\n\nsegmentation fault",
    "Cc'd ann@example.org on 2024-01-01 because she asked. Reasons:\n\nnone",
]


@pytest.mark.parametrize("prose", PROSE)
def test_prose_that_looks_like_an_intro_survives(prose):
    reply = read_reply(f"Hello,\n\n{prose}\n\nWhat now?\n")
    assert reply.reply_text == f"Hello,\n\n{prose}\n\nWhat now?"
    assert reply.quoted_text is None


def _wrap(text: str, width: int) -> str:
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n".join([*lines, line])
