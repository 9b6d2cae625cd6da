"""Mail that hands on another, inline, as mail programs write it in many languages."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.parsers.forwarded import read_addresses, read_forwarded
from postroom.parsers.parsed import Address

ANN = Address("Ann Lee", "ann@example.org")

# language: separator, and the labels From, Date, Subject, To as the program's block has them
GMAIL = {
    "en": ("---------- Forwarded message ---------", "From", "Date", "Subject", "To"),
    "de": ("---------- Weitergeleitete Nachricht ---------", "Von", "Datum", "Betreff", "An"),
    "de-gmail": ("---------- Forwarded message ---------", "Von", "Date", "Subject", "To"),
    "fr": ("-------- Message transféré --------", "De", "Date", "Sujet", "Pour"),
    "es": ("---------- Mensaje reenviado ----------", "De", "Fecha", "Asunto", "Para"),
    "it": ("-------- Messaggio inoltrato --------", "Da", "Data", "Oggetto", "A"),
    "pt": ("-------- Mensagem encaminhada --------", "De", "Data", "Assunto", "Para"),
    "ro": ("-------- Mesaj redirecționat --------", "De la", "Data", "Subiect", "Către"),
    "ca": ("-------- Missatge reenviat --------", "De", "Data", "Assumpte", "A"),
    "nl": ("-------- Doorgestuurd bericht --------", "Van", "Datum", "Onderwerp", "Aan"),
    "da": ("-------- Videresendt meddelelse --------", "Fra", "Dato", "Emne", "Til"),
    "no": ("-------- Videresendt melding --------", "Fra", "Dato", "Emne", "Til"),
    "sv": ("-------- Vidarebefordrat meddelande --------", "Från", "Datum", "Ämne", "Till"),
    "fi": ("-------- Välitetty viesti --------", "Lähettäjä", "Päiväys", "Aihe", "Vastaanottaja"),
    "pl": ("-------- Przekazana wiadomość --------", "Od", "Data", "Temat", "Do"),
    "cs": ("-------- Přeposlaná zpráva --------", "Od", "Datum", "Předmět", "Komu"),
    "sk": ("-------- Preposlaná správa --------", "Od", "Dátum", "Predmet", "Komu"),
    "hu": ("-------- Továbbított üzenet --------", "Feladó", "Dátum", "Tárgy", "Címzett"),
    "el": ("-------- Προωθημένο μήνυμα --------", "Από", "Ημερομηνία", "Θέμα", "Προς"),
    "tr": ("-------- Yönlendirilmiş İleti --------", "Kimden", "Tarih", "Konu", "Kime"),
    "ru": ("-------- Пересылаемое сообщение --------", "От кого", "Дата", "Тема", "Кому"),
    "uk": ("-------- Переслане повідомлення --------", "Від", "Дата", "Тема", "Кому"),
    "bg": ("-------- Препратено съобщение --------", "От", "Дата", "Относно", "До"),
    "hr": ("-------- Proslijeđena poruka --------", "Šalje", "Datum", "Naslov", "Prima"),
    "he": ("-------- הודעה שהועברה --------", "מאת", "תאריך", "נושא", "אל"),
    "ar": ("-------- الرسالة المعاد توجيهها --------", "من", "التاريخ", "الموضوع", "إلى"),
    "vi": ("-------- Thư được chuyển tiếp --------", "Từ", "Ngày", "Chủ đề", "Đến"),
    "id": ("-------- Pesan Terusan --------", "Dari", "Tanggal", "Perihal", "Kepada"),
    "ja": ("-------- 転送されたメッセージ --------", "差出人", "日付", "件名", "宛先"),
    "ko": ("-------- 전달된 메시지 --------", "보낸 사람", "날짜", "제목", "받는 사람"),
    "zh-cn": ("-------- 转发的邮件 --------", "发件人", "日期", "主题", "收件人"),
    "zh-tw": ("-------- 轉寄郵件 --------", "寄件者", "日期", "主旨", "收件者"),
}
APPLE = {
    "en": ("Begin forwarded message:", "From", "Subject", "Date", "To"),
    "de": ("Anfang der weitergeleiteten Nachricht:", "Von", "Betreff", "Datum", "An"),
    "fr": ("Début du message réexpédié :", "De", "Objet", "Date", "À"),
    "es": ("Inicio del mensaje reenviado:", "De", "Asunto", "Fecha", "Para"),
    "it": ("Inizio messaggio inoltrato:", "Da", "Oggetto", "Data", "A"),
    "pt": ("Início da mensagem reenviada:", "De", "Assunto", "Data", "Para"),
    "nl": ("Begin doorgestuurd bericht:", "Van", "Onderwerp", "Datum", "Aan"),
    "da": ("Start på videresendt besked:", "Fra", "Emne", "Dato", "Til"),
    "pl": ("Początek przekazywanej wiadomości:", "Od", "Temat", "Data", "Do"),
    "ru": ("Начало переадресованного сообщения:", "От", "Тема", "Дата", "Кому"),
    "zh": ("开始转发邮件：", "发件人", "主题", "日期", "收件人"),
}
OUTLOOK = {
    "FW": ("From", "Sent", "To", "Subject"), "WG": ("Von", "Gesendet", "An", "Betreff"), "TR": ("De", "Envoyé", "À", "Objet"),
    "RV": ("De", "Enviado el", "Para", "Asunto"), "I": ("Da", "Inviato", "A", "Oggetto"), "ENC": ("De", "Enviado", "Para", "Assunto"),
    "VS": ("Fra", "Sendt", "Til", "Emne"), "VB": ("Från", "Skickat", "Till", "Ämne"), "VL": ("Lähettäjä", "Lähetetty", "Vastaanottaja", "Aihe"),
    "PD": ("Od", "Wysłano", "Do", "Temat"), "İLT": ("Kimden", "Gönderildi", "Kime", "Konu"), "转发": ("发件人", "发送时间", "收件人", "主题"),
}  # fmt: skip


@pytest.mark.parametrize("language", GMAIL)
def test_a_forward_is_read_by_its_separator(language):
    separator, sender, date, subject, to = GMAIL[language]
    text = f"Please look.\n\n{separator}\n{sender}: Ann Lee <ann@Example.org>\n{date}: Mon, 1 Jan 2024 10:00\n{subject}: Printer: it smokes\n{to}: <bob@example.org>, Carl <carl@example.org>\n\n\nHello Bob,\n\nit smokes.\n"
    found = read_forwarded(text)
    assert found is not None
    assert found.sender == ANN
    assert found.date == "Mon, 1 Jan 2024 10:00"
    assert found.subject == "Printer: it smokes"
    assert found.to == (Address("", "bob@example.org"), Address("Carl", "carl@example.org"))
    assert found.text == "Hello Bob,\n\nit smokes."


@pytest.mark.parametrize("quoted", [True, False])
@pytest.mark.parametrize("language", APPLE)
def test_apple_mail_s_forward_is_read_quoted_or_not(language, quoted):
    separator, sender, subject, date, to = APPLE[language]
    lines = [
        f"{sender}: Ann Lee <ann@example.org>",
        f"{subject}: Hello",
        f"{date}: 1. Januar 2024 um 10:00:00 MEZ",
        f"{to}: bob@example.org",
        "",
        "Hello Bob",
        "> older",
    ]
    body = "\n".join(f"> {line}".rstrip() if quoted else line for line in lines)
    found = read_forwarded(f"See:\n\n{separator}\n\n{body}\n")
    assert found is not None
    assert (found.sender, found.subject, found.date) == (ANN, "Hello", "1. Januar 2024 um 10:00:00 MEZ")
    assert found.text == "Hello Bob\n> older"


@pytest.mark.parametrize("prefix", OUTLOOK)
def test_outlook_s_header_block_is_a_forward_by_the_subject_only(prefix):
    sender, date, to, subject = OUTLOOK[prefix]
    text = f"Please look.\n\n{sender}: Ann Lee <ann@example.org>\n{date}: Montag, 1. Januar 2024 10:00\n{to}: Bob; Carl\n{subject}: Hello\n\nIt smokes.\n"
    found = read_forwarded(text, f"{prefix}: Hello")
    assert found is not None
    assert (found.sender, found.subject, found.text) == (ANN, "Hello", "It smokes.")
    assert found.to == (Address("Bob", ""), Address("Carl", ""))
    assert read_forwarded(text, "Re: Hello") is None
    assert read_forwarded(text) is None


OTHERS = {
    "Lotus Notes": "----- Forwarded by Bob/Acme on 01/02/2024 10:00 AM -----\n\nAnn Lee <ann@example.org>\n01/01/2024 10:00 AM\n\nTo\nBob/Acme@Acme\ncc\n\nSubject\nHello\n\nIt smokes.\n",
    "Yandex": '-------- Пересылаемое сообщение --------\n01.01.2024, 10:00, "Ann Lee" <ann@example.org>:\n\nIt smokes.\n-------- Конец пересылаемого сообщения --------\n',
    "eM Client": '------ Forwarded Message ------\nFrom "Ann Lee" <ann@example.org>\nTo bob@example.org\nDate 1/1/2024 10:00:00 AM\nSubject Hello\n\nIt smokes.\n',
    "Thunderbird": "-------- Forwarded Message --------\nSubject: \tHello\nDate: \tMon, 1 Jan 2024 10:00:00 +0100\nFrom: \tAnn Lee <ann@example.org>\nTo: \tbob@example.org\n\n\n\nIt smokes.\n",
    "bold": "---------- Forwarded message ---------\n*From:* *Ann Lee* <ann@example.org>\n*Date:* Mon, 1 Jan 2024\n*Subject:* Hello\n\nIt smokes.\n",
    "quoted as a whole": "> Begin forwarded message:\n> \n> From: Ann Lee <ann@example.org>\n> Subject: Hello\n> \n> It smokes.\n",
    "without a word above": "---------- Forwarded message ---------\nFrom: Ann Lee <ann@example.org>\nSubject: Hello\n\nIt smokes.\n",
}


@pytest.mark.parametrize("program", OTHERS)
def test_other_programs_forwards_are_read(program):
    found = read_forwarded(OTHERS[program])
    assert found is not None
    assert found.sender == ANN
    assert found.text == "It smokes."


def test_a_forward_by_subject_with_an_intro_line_is_read():
    found = read_forwarded(
        "Look.\n\nAm 01.01.2024 um 10:00 schrieb Ann Lee <ann@example.org>:\n\nIt smokes.\n", "Fwd: Hello"
    )
    assert found is not None
    assert (found.sender, found.text) == (ANN, "It smokes.")


def test_words_below_a_quoted_forward_are_the_forwarder_s():
    found = read_forwarded(
        "Begin forwarded message:\n\n> From: Ann Lee <ann@example.org>\n> Subject: Hello\n> \n> It smokes.\n\nWhat now?\n"
    )
    assert found is not None
    assert found.text == "It smokes."


def test_a_reply_to_a_forward_is_no_forward():
    old = "---------- Forwarded message ---------\nFrom: Ann Lee <ann@example.org>\nSubject: Hello\n\nIt smokes.\n"
    quoted = "".join(f"> {line}\n" for line in old.splitlines())
    assert read_forwarded(f"Thanks.\n\nOn 1/1/24 10:00, Bob wrote:\n{quoted}", "Re: Fwd: Hello") is None
    assert (
        read_forwarded(
            f"Thanks.\n\nFrom: Bob <bob@example.org>\nSent: Monday\nTo: Ann\nSubject: FW: Hello\n\n{old}",
            "Re: FW: Hello",
        )
        is None
    )
    assert read_forwarded(f"Thanks.\n\n-----Original Message-----\nFrom: Bob\nSubject: x\n\n{old}") is None


def test_a_mail_about_forwarding_is_no_forward():
    assert read_forwarded("I forwarded the message to you.\n\nForwarded message: see attachment\n", "Fwd: x") is None
    assert read_forwarded("", "Fwd: x") is None


def test_people_are_read_as_header_lines_for_readers_write_them():
    assert read_addresses('"Lee, Ann" <ann@example.org>; Bob [mailto:bob@EXAMPLE.org]; c@example.org <mailto:c@example.org>') == (
        Address("Lee, Ann", "ann@example.org"), Address("Bob", "bob@example.org"), Address("", "c@example.org"),
    )  # fmt: skip
    assert read_addresses("Ann Lee; Bob") == (Address("Ann Lee", ""), Address("Bob", ""))
    assert read_addresses("") == ()


@given(st.text(max_size=200), st.text(max_size=20))
@settings(deadline=None)
def test_any_text_gives_a_forward_or_none(text, subject):
    read_forwarded(text, subject)
    read_forwarded(f"---------- Forwarded message ---------\nFrom: {text}\nSubject: {subject}\n\n{text}", subject)


@pytest.mark.parametrize(
    "flood",
    ["---------- Forwarded message ---------\n", "From: a@b.c\n", "> ", "a@b.c, ", "On 1/1/24 10:00, Ann wrote:\n"],
)
def test_a_flood_is_read_to_its_end(flood):
    read_forwarded(flood * 30_000, "Fwd: x")
    read_addresses(flood * 30_000)
