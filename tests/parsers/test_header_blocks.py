"""Header blocks above quoted mail, in many languages and forms, and lists that look like one."""

import pytest

from postroom.parsers.header_blocks import read_block, split_header
from postroom.parsers.lines import split_lines, view
from postroom.parsers.reply import read_reply

# language: sender, date, to, cc, subject as Outlook, Apple Mail or the web mailers of the country write them
LABELS = {
    "en": ("From", "Sent", "To", "Cc", "Subject"),
    "en-mac": ("From", "Date", "To", "Cc", "Subject"),
    "de": ("Von", "Gesendet", "An", "Cc", "Betreff"),
    "de-t-online": ("Von", "Datum", "An", "Kopie", "Betreff"),
    "fr": ("De", "Envoyé", "À", "Cc", "Objet"),
    "fr-yahoo": ("De", "Envoyé le", "À", "Cc", "Objet"),
    "fr-orange": ("De", "Date", "A", "Copie à", "Sujet"),
    "es": ("De", "Enviado el", "Para", "CC", "Asunto"),
    "es-mac": ("De", "Fecha", "Para", "Cc", "Asunto"),
    "it": ("Da", "Inviato", "A", "Cc", "Oggetto"),
    "it-libero": ("Da", "Data", "A", "Cc", "Ogg"),
    "pt": ("De", "Enviado", "Para", "Cc", "Assunto"),
    "pt-br": ("De", "Enviada em", "Para", "Cc", "Assunto"),
    "ca": ("De", "Enviat", "Per a", "Cc", "Assumpte"),
    "ro": ("De la", "Trimis", "Către", "Cc", "Subiect"),
    "nl": ("Van", "Verzonden", "Aan", "CC", "Onderwerp"),
    "da": ("Fra", "Sendt", "Til", "Cc", "Emne"),
    "no": ("Fra", "Dato", "Til", "Kopi", "Emne"),
    "sv": ("Från", "Skickat", "Till", "Kopia", "Ämne"),
    "fi": ("Lähettäjä", "Lähetetty", "Vastaanottaja", "Kopio", "Aihe"),
    "is": ("Frá", "Sent", "Til", "Afrit", "Efni"),
    "et": ("Saatja", "Saadetud", "Adressaat", "Koopia", "Teema"),
    "lv": ("No", "Nosūtīts", "Kam", "Kopija", "Temats"),
    "lt": ("Nuo", "Išsiųsta", "Kam", "Kopija", "Tema"),
    "pl": ("Od", "Wysłano", "Do", "DW", "Temat"),
    "pl-wp": ("Od", "Data", "Do", "Kopia", "Temat"),
    "cs": ("Od", "Odesláno", "Komu", "Kopie", "Předmět"),
    "sk": ("Od", "Odoslané", "Komu", "Kópia", "Predmet"),
    "sl": ("Od", "Poslano", "Za", "Kp", "Zadeva"),
    "hr": ("Od", "Poslano", "Prima", "Kopija", "Predmet"),
    "sr": ("Од", "Послато", "За", "Копија", "Тема"),
    "bg": ("От", "Изпратено", "До", "Копие", "Относно"),
    "hu": ("Feladó", "Elküldve", "Címzett", "Másolatot kap", "Tárgy"),
    "el": ("Από", "Στάλθηκε", "Προς", "Κοιν.", "Θέμα"),
    "tr": ("Kimden", "Gönderildi", "Kime", "Bilgi", "Konu"),
    "ru": ("От", "Отправлено", "Кому", "Копия", "Тема"),
    "ru-mail": ("От кого", "Дата", "Кому", "Копия", "Тема"),
    "uk": ("Від", "Надіслано", "Кому", "Копія", "Тема"),
    "he": ("מאת", "נשלח", "אל", "עותק", "נושא"),
    "ar": ("من", "تم الإرسال", "إلى", "نسخة", "الموضوع"),
    "fa": ("از", "تاریخ", "به", "رونوشت", "موضوع"),
    "hi": ("प्रेषक", "भेजा गया", "प्रति", "प्रतिलिपि", "विषय"),
    "th": ("จาก", "ส่ง", "ถึง", "สำเนา", "เรื่อง"),
    "vi": ("Từ", "Đã gửi", "Đến", "Cc", "Chủ đề"),
    "id": ("Dari", "Dikirim", "Kepada", "Cc", "Subjek"),
    "ms": ("Daripada", "Dihantar", "Kepada", "Salinan", "Subjek"),
    "ja": ("差出人", "送信日時", "宛先", "CC", "件名"),
    "ko": ("보낸 사람", "보낸 날짜", "받는 사람", "참조", "제목"),
    "zh-cn": ("发件人", "发送时间", "收件人", "抄送", "主题"),
    "zh-tw": ("寄件者", "寄件日期", "收件者", "副本", "主旨"),
}
VALUES = (
    "Ann Lee <ann@example.org>",
    "Monday, January 1, 2024 10:00 AM",
    "Bob <bob@example.org>",
    "c@example.org",
    "Printer: it smokes",
)
LAYOUTS = {
    "plain": "{0}: {1}",
    "bold": "*{0}:* {1}",
    "markdown": "**{0}:** {1}",
    "french": "{0} : {1}",
    "wide": "{0}：{1}",
    "indented": "   {0}: {1}",
    "tab": "{0}:\t{1}",
    "hugging": "{0}:{1}",
    "bidi": "\u200f\u200f{0}: {1}",
}


def block(labels, layout="{0}: {1}", values=VALUES, between="\n"):
    return between.join(layout.format(label, value) for label, value in zip(labels, values, strict=True))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("language", LABELS)
def test_a_header_block_ends_what_the_author_wrote(language, layout):
    text = f"My new words.\n\n{block(LABELS[language], LAYOUTS[layout])}\n\nThe old words\nof Ann\n"
    reply = read_reply(text)
    assert reply.reply_text == "My new words."
    assert reply.quoted_text is not None
    assert reply.quoted_text.endswith("of Ann")


@pytest.mark.parametrize("language", LABELS)
def test_a_header_block_gives_its_values_by_kind(language):
    found = read_block([view(line) for line in split_lines(block(LABELS[language]))], 0)
    assert found is not None
    assert found.values == dict(zip(("sender", "date", "to", "cc", "subject"), VALUES, strict=True))


@pytest.mark.parametrize("language", LABELS)
def test_an_outlook_block_names_people_without_addresses(language):
    labels = LABELS[language]
    text = f"New.\n\n{labels[0]}: Ann Lee\n{labels[1]}: Montag, 1. Januar 2024 10:00\n{labels[2]}: Bob\n{labels[4]}: Hello\n\nOld.\n"
    assert read_reply(text).reply_text == "New."


SPECIAL = {
    "double spaced": "From: Ann <ann@example.org>\n\nSent: Monday, 1 January 2024\n\nTo: Bob\n\nSubject: Hello\n\nOld.",
    "wrapped": "From: Ann Lee\n<ann@example.org>\nSent: Monday, 1 January 2024\nTo: Bob <bob@example.org>;\nCarl <carl@example.org>; Dora\n<dora@example.org>\nSubject: Hello\n\nOld.",
    "one line": "From: Ann <ann@example.org> Sent: Monday, 1 January 2024 To: Bob Subject: Hello\n\nOld.",
    "two in one line": "De : Ann <ann@example.org>\nDate : 01/01/24 10:00 (GMT+01:00)\nÀ : bob@example.org Objet : Bonjour\n\nOld.",
    "rule above": "________________________________\nFrom: Ann <ann@example.org>\nSent: Monday, 1 January 2024\nTo: Bob\nSubject: Hello\n\nOld.",
    "dashes above": " ------------------------------\n\n*From:* Ann [mailto:ann@example.org]\n*Sent:* Monday\n*Subject:* Hello\n\nOld.",
    "subject first": "-----Original-Nachricht-----\nBetreff: Hallo\nDatum: 2024-01-01\nVon: Ann <ann@example.org>\nAn: Bob\n\nOld.",
    "naver": "-----Original Message-----\nFrom: Ann<ann@example.org>\nTo: bob@example.org\nCc:\nSent: 2024-01-01 (월) 10:00:00\nSubject: Hello\n\nOld.",
    "qq": '------------------ 原始邮件 ------------------\n发件人: "Ann"<ann@example.org>;\n发送时间: 2024年1月1日(星期一) 上午10:00\n收件人: "Bob"<bob@example.org>;\n主题: 你好\n\nOld.',
    "seznam": "---------- Původní e-mail ----------\nOd: Ann <ann@example.org>\nKomu: bob@example.org\nDatum: 1. 1. 2024 10:00:00\nPředmět: Ahoj\n\nOld.",
    "orange": "> Message du 01/01/24 10:00\n> De : Ann\n> A : bob@example.org\n> Objet : Bonjour\n>\n> Old.",
    "lotus": "From:\tAnn Lee/Acme\nTo:\tBob/Acme@Acme\nDate:\t01/01/2024 10:00 AM\nSubject:\tHello\n\nOld.",
    "notes": "Ann Lee <ann@example.org>\n01/01/2024 10:00 AM\n\nTo\nBob <bob@example.org>\ncc\n\nSubject\nHello\n\nOld.",
    "em client": '------ Original Message ------\nFrom "Ann" <ann@example.org>\nTo bob@example.org\nDate 1/1/2024 10:00:00 AM\nSubject Hello\n\nOld.',
    "two headers": "From: Ann <ann@example.org>\nDate: 2024-01-01\n\nOld.",
    "mail windows": "Von: Ann\nGesendet: Montag, 1. Januar 2024 10:00\nAn: bob@example.org\nBetreff: Hallo\n\nOld.",
    "important": "From: Ann <ann@example.org>\nSent: Monday, 1 January 2024\nTo: Bob\nCc: Carl\nSubject: Hello\nImportance: High\n\nOld.",
    "entities": "From: Ann &lt;ann@example.org&gt;\nSent: Monday, 1 January 2024\nSubject: Hello\n\nOld.",
}


@pytest.mark.parametrize("name", SPECIAL)
def test_an_odd_header_block_is_one(name):
    reply = read_reply(f"New words.\n\n{SPECIAL[name]}\n")
    assert reply.reply_text == "New words."
    assert "Old." in (reply.quoted_text or "")


OWN = [
    "From: Berlin\nTo: Paris\nDate: 3 May 2024\nPassengers: 2",
    "To: be decided\nSubject: to change",
    "Date: 3 May\nTime: 10:00\nPlace: Berlin",
    "From: the kitchen\nTo: the garden",
    "Name: Ann\nE-mail: ann@example.org\nSubject: broken printer",
    "De: Madrid\nA: Barcelona\nFecha: 3 de mayo",
    "An: alle\nTermin: morgen",
    "Von 10:00\nbis 12:00",
    "A: yes\nB: no",
    "Subject: matters\nPara: nada",
]


@pytest.mark.parametrize("own", OWN)
def test_a_list_that_looks_like_headers_survives(own):
    text = f"Hello,\n\nplease book this:\n\n{own}\n\nIs that possible?"
    assert read_reply(text).reply_text == text


def test_a_contact_form_that_begins_with_headers_keeps_its_text():
    text = "From: Ann <ann@example.org>\nSubject: Printer\n\nMy printer smokes.\nPlease help.\n"
    assert read_reply(text).reply_text == "My printer smokes.\nPlease help."


def test_a_header_needs_its_colon_and_a_known_label():
    assert split_header("From: Ann") == ("sender", "Ann")
    assert split_header("*Betreff :* Hallo") == ("subject", "Hallo")
    assert split_header("From Ann") is None
    assert split_header("https://example.org") is None
