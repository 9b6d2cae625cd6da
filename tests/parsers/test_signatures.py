"""Signatures in many languages, and words that are none."""

import pytest

from postroom.parsers.device_lines import is_device_line
from postroom.parsers.reply import read_reply
from postroom.parsers.signatures import is_formula

DEVICES = [
    "Sent from my iPhone", "Sent from my iPad", "Sent from my Samsung Galaxy smartphone.", "Sent from Mail for Windows 10", "Sent from Mail for Windows",
    "Sent from Yahoo Mail on Android", "Sent from Yahoo Mail for iPhone", "Sent via BlackBerry from T-Mobile", "Sent from Outlook for Android", "Get Outlook for iOS<https://aka.ms/o0ukef>",
    "Get Outlook for Android", "[Get Outlook for iOS](https://aka.ms/o0ukef)", "Sent with Proton Mail secure email.", "Sent from ProtonMail mobile", "Sent using Zoho Mail",
    "Sent from my Verizon, Samsung Galaxy smartphone", "Sent from my mobile device", "*Sent from my iPhone*", "Sent from a Galaxy device", "-- Sent from my phone", "Sent from Nine",
    "Von meinem iPhone gesendet", "Gesendet von meinem Android-Handy", "Gesendet mit der GMX Mail App", "Gesendet von Mail für Windows 10", "Von meinem Samsung Galaxy Smartphone gesendet.",
    "Outlook für Android beziehen", "Holen Sie sich Outlook für iOS", "Gesendet von Outlook für iOS", "Diese Nachricht wurde von meinem Android Mobiltelefon mit GMX Mail gesendet.", "Gesendet mit der WEB.DE Mail App",
    "Envoyé de mon iPhone", "Envoyé depuis mon appareil Samsung", "Envoyé à partir de Outlook pour Android", "Télécharger Outlook pour iOS", "Envoyé de mon mobile Orange",
    "Enviado desde mi iPhone", "Enviado desde mi Samsung Mobile de Telcel", "Obtener Outlook para iOS", "Enviado desde Correo para Windows 10", "Enviado desde mi teléfono",
    "Inviato da iPhone", "Inviato dal mio iPad", "Scarica Outlook per Android", "Inviato da Libero Mail per Android", "Inviato da Posta per Windows 10",
    "Enviado do meu iPhone", "Enviado do Yahoo Mail no Android", "Obter o Outlook para iOS", "Enviado a partir do meu smartphone Samsung Galaxy.",
    "Verstuurd vanaf mijn iPhone", "Verzonden vanaf mijn Samsung-apparaat", "Outlook voor iOS downloaden", "Verzonden met Outlook voor iOS",
    "Sendt fra min iPhone", "Hent Outlook til iOS", "Sendt fra Outlook for Android", "Skickat från min iPhone", "Skaffa Outlook för iOS", "Hämta Outlook för Android",
    "Lähetetty iPhonesta", "Hanki Outlook for Android", "Wysłane z iPhone'a", "Wysłane z telefonu Samsung Galaxy", "Pobierz program Outlook dla systemu iOS", "Uzyskaj aplikację Outlook dla systemu Android",
    "Odesláno z iPhonu", "Získat Outlook pro iOS", "Odoslané z iPhonu", "Az iPhone-omról küldve", "Elküldve a Samsung Galaxy okostelefonomról.", "Trimis de pe iPhone-ul meu",
    "Στάλθηκε από το iPhone μου", "iPhone'umdan gönderildi", "Samsung cihazımdan gönderildi", "Отправлено с iPhone", "Отправлено с моего Samsung Galaxy", "Отправлено из мобильной Почты Mail.ru",
    "Отправлено из Яндекс Почты", "Надіслано з мого iPhone", "Изпратено от моя iPhone", "Poslano s mog iPhonea", "Poslato sa mog iPhone uređaja", "נשלח מה-iPhone שלי", "أُرسلت من الـ iPhone", "ارسال شده از آیفون من",
    "ส่งจาก iPhone ของฉัน", "Đã gửi từ iPhone của tôi", "Dikirim dari iPhone saya", "Dihantar dari iPhone saya", "iPhoneから送信", "나의 iPhone에서 보냄", "내 iPhone에서 보냄", "发自我的iPhone", "从我的 iPhone 发送",
    "從我的 iPhone 傳送", "Enviat des del meu iPhone", "Saadetud minu iPhone'ist", "Nosūtīts no mana iPhone", "Išsiųsta iš mano iPhone",
]  # fmt: skip
NO_DEVICES = [
    "Sent from my desk, is much easier than my mobile phone.", "Sent from my office to yours by courier yesterday", "The form was sent from my iPhone app to all users.",
    "Sent with love and kisses to you and everybody at home from all of us here", "Enviado por correo el lunes, gracias", "On", "Gesendet von Ihnen? Das glaube ich nicht.",
    "Sent from your side on Monday: the invoice", "Sent by post is it?",
]  # fmt: skip
FORMULAS = [
    "Regards,", "Best regards", "Kind Regards,", "Many thanks and best regards,", "With kind regards", "Yours sincerely,", "Sincerely,", "Cheers,", "Best wishes", "*Best regards,*", "Warm regards!", "Thanks & regards",
    "Mit freundlichen Grüßen", "Mit freundlichem Gruß", "Viele Grüße aus Berlin", "LG", "MfG", "Beste Grüße / Best regards", "Freundliche Grüsse", "Liebe Grüße",
    "Cordialement,", "Bien à vous,", "Meilleures salutations", "Cdlt", "Bonne journée,", "Saludos cordiales", "Un saludo,", "Atentamente,", "Cordiali saluti", "Distinti saluti,", "Atenciosamente,", "Com os melhores cumprimentos",
    "Met vriendelijke groet,", "Groetjes", "Med venlig hilsen", "Mvh", "Med vennlig hilsen", "Med vänliga hälsningar", "Ystävällisin terveisin", "Pozdrawiam,", "Z poważaniem", "S pozdravem", "S pozdravom", "Üdvözlettel,",
    "Cu stimă,", "Με εκτίμηση,", "Saygılarımla,", "С уважением,", "З повагою,", "Поздрави", "Lep pozdrav", "Srdačan pozdrav,", "בברכה,", "مع أطيب التحيات", "با احترام", "सादर", "ขอแสดงความนับถือ", "Trân trọng,", "Hormat saya,",
    "敬具", "以上、よろしくお願いいたします。", "此致", "Lugupidamisega", "Ar cieņu,", "Pagarbiai", "Atentament,", "Kveðja",
]  # fmt: skip


@pytest.mark.parametrize("line", DEVICES)
def test_what_a_telephone_adds_is_signature(line):
    assert is_device_line(line)
    for text in (f"My words.\n\n{line}\n", f"My words.\n\n{line}\n\nOn 1/1/24 10:00, Ann wrote:\n> old\n"):
        reply = read_reply(text)
        assert reply.reply_text == "My words."
        assert reply.signature == line


@pytest.mark.parametrize("line", NO_DEVICES)
def test_a_sentence_about_sending_is_the_author_s(line):
    assert not is_device_line(line)
    assert read_reply(f"My words.\n\n{line}\n").signature is None


@pytest.mark.parametrize("line", FORMULAS)
def test_a_closing_formula_with_what_follows_is_signature(line):
    assert is_formula(line)
    reply = read_reply(
        f"Hello,\n\nthe printer smokes.\n\n{line}\n\nAnn Lee\nHead of Printing, Acme Ltd\nTel. +49 30 1234567\n"
    )
    assert reply.reply_text == "Hello,\n\nthe printer smokes."
    assert reply.signature == f"{line}\n\nAnn Lee\nHead of Printing, Acme Ltd\nTel. +49 30 1234567"


@pytest.mark.parametrize(
    "line",
    [
        "Give my regards to Ann.",
        "As regards the invoice:",
        "In this regards we wait.",
        "We send you greetings and hope for news soon, Ann",
        "Best of all is the printer.",
        "Thanks for the fish.",
    ],
)
def test_a_sentence_with_such_a_word_is_no_formula(line):
    assert not is_formula(line)
    assert read_reply(f"Hello.\n\n{line}\n\nIt smokes.").reply_text == f"Hello.\n\n{line}\n\nIt smokes."


SIGNATURES = {
    "delimiter": "-- \nAnn Lee\nAcme",
    "bare delimiter": "--\nAnn Lee\nAcme",
    "em dash": "—\nAnn Lee\nAcme",
    "dashed name": "-Ann",
    "slashed name": "/Ann",
    "thanks and name": "Thanks,\nAnn",
    "thanks and full name": "Vielen Dank\n\nAnn Lee",
    "formula in one line": "Best regards, Ann Lee",
    "formula then delimiter": "Regards,\nAnn\n\n-- \nAnn Lee\nAcme Ltd\nThis is a longer line about our most recent offers of many printers.",
    "telephone below formula": "Cheers\nAnn\n\nSent from my iPhone",
    "legal": "This e-mail and any attachments are confidential and intended solely for the addressee. If you are not the intended recipient, delete it.",
    "legal in German": "Diese E-Mail enthält vertrauliche und/oder rechtlich geschützte Informationen. Wenn Sie nicht der richtige Adressat sind, vernichten Sie sie.",
    "legal in French": "Ce message et toutes les pièces jointes sont confidentiels et établis à l'attention exclusive de ses destinataires.",
    "formula and legal": "Kind regards\nAnn\n\nCONFIDENTIALITY NOTICE: This message is for the intended recipient only, and may contain privileged words.",
    "virus": "Virus-free. www.avast.com",
    "disclaimer": "Disclaimer\n\nThe information in this mail may be confidential, and it is for the addressee only.",
    "list": "_______________________________________________\nprinters mailing list\nprinters@lists.example.org\nhttps://lists.example.org/listinfo/printers",
    "group": '-- \nYou received this message because you are subscribed to the Google Groups "printers" group.',
    "environment": "Please consider the environment before printing this e-mail.",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_is_folded(name):
    reply = read_reply(f"Hello,\n\nthe printer smokes. What now?\n\n{SIGNATURES[name]}\n")
    assert reply.reply_text == "Hello,\n\nthe printer smokes. What now?"
    assert reply.signature == SIGNATURES[name].strip()


OWN = [
    "Thanks!",
    "Thanks in advance!",
    "Best,\n\nso far, is the new printer of which I wrote you last week already.",
    "- paper\n- toner\n- Ann",
    "Key points\n----\n\n1. It smokes.\n2. It stinks.\n\n----\n\nThe dashes are no signature, they part what I wrote for you.",
    "The legal department asks whether mail to you is confidential.",
    "-- first point to be checked\n-- second point",
    "Please send the invoice\nAnn",
]


@pytest.mark.parametrize("own", OWN)
def test_what_only_looks_like_a_signature_stays(own):
    text = f"Hello,\n\nthe printer smokes.\n\n{own}"
    assert read_reply(text).reply_text == text


def test_a_greeting_is_no_formula_though_it_is_the_same_word():
    assert read_reply("Beste,\n\nhoe gaat het?\n\nTim").reply_text == "Beste,\n\nhoe gaat het?\n\nTim"
    assert read_reply("Ciao\n\ntutto bene?").reply_text == "Ciao\n\ntutto bene?"


def test_a_postscript_below_the_signature_is_the_author_s():
    reply = read_reply("It smokes.\n\nRegards,\nAnn\n\nP.S.: It is the one on the third floor.\n")
    assert reply.signature == "Regards,\nAnn"
    assert reply.reply_text == "It smokes.\nP.S.: It is the one on the third floor."


def test_prose_below_a_signature_without_an_address_is_the_author_s():
    reply = read_reply(
        "First.\n\nBest wishes,\n\nTom\n\nBut one more thing: does the scanner work with the new printer too?\n"
    )
    assert reply.signature == "Best wishes,\n\nTom"
    assert "does the scanner work" in reply.reply_text


def test_a_telephone_s_line_above_the_words_is_taken_off():
    reply = read_reply("Sent from my iPhone\n\nHello,\n\nit smokes.\n")
    assert reply.reply_text == "Hello,\n\nit smokes."
    assert reply.signature == "Sent from my iPhone"


def test_older_mail_without_a_mark_below_a_telephone_s_line_is_folded():
    reply = read_reply(
        "Yes, that is fine.\n\nSent from my iPhone\n\nDear Bob, may we come on Monday at ten in the morning?\n"
    )
    assert reply.reply_text == "Yes, that is fine."
    assert reply.quoted_text == "Dear Bob, may we come on Monday at ten in the morning?"


def test_a_gateway_s_warning_above_the_words_is_folded():
    warning = "CAUTION: This email originated from outside the organisation. Do not click links or open attachments."
    reply = read_reply(f"{warning}\n\nHello,\n\nit smokes.\n")
    assert reply.reply_text == "Hello,\n\nit smokes."
    assert reply.quoted_text == warning


def test_a_mail_of_nothing_but_a_signature_has_no_reply():
    assert read_reply("Sent from my iPhone\n").reply_text == ""
    assert read_reply("-- \nAnn\n").reply_text == ""


def test_pgp_armour_around_the_words_is_signature():
    text = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nIt smokes.\n\n- -- \nAnn\n-----BEGIN PGP SIGNATURE-----\n\niQEzBAEBCAAdFiEE\n=Uwqj\n-----END PGP SIGNATURE-----\n"
    reply = read_reply(text)
    assert reply.reply_text == "It smokes."
    assert reply.quoted_text is None


def test_an_article_pasted_below_a_formula_is_not_the_signature():
    article = (
        "https://news.example.org/article\n\n"
        + "This is a line of an article that the author pasted below the formula for all.\n" * 8
    )
    reply = read_reply(f"Look at this.\n\nCheers,\nAnn\n\n{article}\n-- \nAnn Lee\nAcme\n")
    assert "line of an article" in reply.reply_text
    assert (reply.signature or "").startswith("Cheers,\nAnn")
    assert (reply.signature or "").endswith("Ann Lee\nAcme")
