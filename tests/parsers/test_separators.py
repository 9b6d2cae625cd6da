"""Lines between dashes, and the line above which one writes."""

import pytest

from postroom.parsers.languages import LANGUAGES
from postroom.parsers.reply import read_reply
from postroom.parsers.separators import Separator, read_separator

ORIGINALS = [
    "-----Original Message-----", "----- Original Message -----", "-------- Original message --------",
    "-----Ursprüngliche Nachricht-----", "-------- Ursprüngliche Nachricht --------", "----- Ursprüngliche Mail -----",
    "-----Message d'origine-----", "-------- Message d'origine --------", "----- Mail original -----",
    "-----Mensaje original-----", "-------- Mensaje original --------", "-----Messaggio originale-----", "----Messaggio originale----",
    "-----Mensagem original-----", "-----Oorspronkelijk bericht-----", "-----Oprindelig meddelelse-----",
    "-----Opprinnelig melding-----", "-----Ursprungligt meddelande-----", "-----Alkuperäinen viesti-----",
    "-----Oryginalna wiadomość-----", "-----Původní zpráva-----", "---------- Původní e-mail ----------", "-----Pôvodná správa-----",
    "-----Eredeti üzenet-----", "-----Mesaj original-----", "-----Αρχικό μήνυμα-----", "-----Özgün İleti-----", "-----Orijinal Mesaj-----",
    "-----Исходное сообщение-----", "-----Вихідне повідомлення-----", "-----Оригинално съобщение-----", "-----Izvorna poruka-----",
    "-----Izvirno sporočilo-----", "-----הודעה מקורית-----", "-----الرسالة الأصلية-----", "-----ข้อความต้นฉบับ-----",
    "-----元のメッセージ-----", "-----원본 메시지-----", "------------------ 原始邮件 ------------------", "-----原始郵件-----",
    "‐‐‐‐‐‐‐ Original Message ‐‐‐‐‐‐‐", "*----- Original Message -----*", "------Original Message------", "----- Reply message -----",
    '-----"Ann Lee" <ann@example.org> wrote: -----', "-----Ann Lee/Acme schrieb: -----",
]  # fmt: skip
FORWARDS = [
    "---------- Forwarded message ---------", "---------- Forwarded message ----------", "-------- Forwarded Message --------",
    "Begin forwarded message:", "---------- Weitergeleitete Nachricht ----------", "-------- Weitergeleitete Nachricht --------",
    "Anfang der weitergeleiteten Nachricht:", "-------- Message transféré --------", "Début du message transféré :", "Début du message réexpédié :",
    "---------- Mensaje reenviado ----------", "Inicio del mensaje reenviado:", "-------- Messaggio inoltrato --------", "Inizio messaggio inoltrato:",
    "-------- Mensagem encaminhada --------", "Início da mensagem reenviada:", "-------- Doorgestuurd bericht --------", "Begin doorgestuurd bericht:",
    "-------- Videresendt meddelelse --------", "Start på videresendt besked:", "-------- Vidarebefordrat meddelande --------",
    "-------- Videresendt melding --------", "-------- Välitetty viesti --------", "-------- Przekazana wiadomość --------",
    "Początek przekazywanej wiadomości:", "-------- Přeposlaná zpráva --------", "-------- Továbbított üzenet --------",
    "-------- Mesaj redirecționat --------", "-------- Προωθημένο μήνυμα --------", "-------- Yönlendirilmiş İleti --------",
    "-------- Пересылаемое сообщение --------", "Начало переадресованного сообщения:", "-------- Переслане повідомлення --------",
    "-------- הודעה שהועברה --------", "-------- الرسالة المعاد توجيهها --------", "-------- 転送されたメッセージ --------",
    "-------- 전달된 메시지 --------", "-------- 转发的邮件 --------", "-------- 轉寄郵件 --------", "----- Forwarded by Ann Lee/Acme on 01/02/2024 10:00 AM -----",
    "----- Weitergeleitet von Ann Lee/Acme am 01.02.2024 10:00 -----", "----- Forwarded message from Ann <ann@example.org> -----",
]  # fmt: skip
MARKERS = [
    "-- reply above this line --", "##- Please type your reply above this line -##", "--- Reply above this line ---",
    "=-=-= Please reply above this line =-=-=", "##### Bitte antworten Sie oberhalb dieser Linie #####",
    "--- Répondez au-dessus de cette ligne ---", "--- Responda por encima de esta línea ---", "—— 请在此行上方回复 ——",
    "--- Antwoord boven deze lijn ---", "--- Svara ovanför denna rad ---", "--- Prosimy odpowiadać powyżej tej linii ---",
]  # fmt: skip


@pytest.mark.parametrize("line", ORIGINALS)
def test_a_separator_names_the_original(line):
    assert read_separator(line) is Separator.ORIGINAL
    assert read_reply(f"New.\n\n{line}\n\nOld words.\n").reply_text == "New."


@pytest.mark.parametrize("line", FORWARDS)
def test_a_separator_names_a_forward(line):
    assert read_separator(line) is Separator.FORWARDED
    assert read_reply(f"New.\n\n{line}\nFrom: Ann <ann@example.org>\nSubject: x\n\nOld words.\n").reply_text == "New."


@pytest.mark.parametrize("line", MARKERS)
def test_our_marker_and_its_kin_end_the_reply(line):
    assert read_separator(line) is Separator.MARKER
    assert read_reply(f"New.\n\n{line}\n\nYour ticket was updated.\n").reply_text == "New."
    assert read_reply(f"New.\n\n> {line}\n> Your ticket was updated.\n").reply_text == "New."


def test_words_below_the_marker_are_shown_when_nothing_stands_above():
    assert read_reply("-- reply above this line --\n\nMy words.\n").reply_text == "My words."


@pytest.mark.parametrize(
    "line",
    [
        "original message",
        "-- original --but not--",
        "- forwarded",
        "I forwarded the message.",
        "----",
        "Forwarded:",
        "--------- shopping list ---------",
    ],
)
def test_other_lines_are_no_separators(line):
    assert read_separator(line) is None


def test_a_sentence_about_the_marker_is_none():
    text = "Why does it say reply above this line?\n\nI don't get it."
    assert read_reply(text).reply_text == text


def test_every_language_names_its_original_message():
    for language in LANGUAGES:
        for phrase in language.original.split("|"):
            if phrase and " " in phrase:
                assert read_separator(f"-----{phrase.capitalize()}-----") is Separator.ORIGINAL
